"""Who may say what."""

from dataclasses import dataclass

from daemon.commands.words import Role
from daemon.signing import PublicKey


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key of the configuration's `[[trust.keys]]`, valid in [not_before, not_after], Unix seconds."""

    key: PublicKey
    role: Role
    not_before: int | None = None
    not_after: int | None = None

    def valid_at(self, now_s: float) -> bool:
        """Whether the key counts at this moment."""
        return (self.not_before is None or now_s >= self.not_before) and (
            self.not_after is None or now_s <= self.not_after
        )
