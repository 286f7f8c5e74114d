"""What people with authority have said, as far as it is in force or may come into force."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuotaEntry:
    """A limit for the half-open time [start_s, end_s), Unix seconds; `None` = released."""

    start_s: int
    end_s: int
    limit_w: int | None


@dataclass(frozen=True, slots=True)
class Quota:
    """A signed schedule of limits: entries in order, not overlapping; an uncovered time = failsafe limit."""

    rev: int
    entries: tuple[QuotaEntry, ...]
    exp_s: int
    """After this, leases for it no longer count; its limits hold until their ends."""
    kid: str
    jws: str
    hash: str
    """base64url SHA-256 of the JWS bytes."""
    taken_s: float
    """Wall time at which it was accepted; steps that start later were announced."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A heartbeat for one revision of the quota, with the three clocks at its arrival."""

    rev: int
    iat_s: int
    exp_s: int
    wall_s: float
    boottime_s: float
    boot_id: str

    def fresh_for_s(self, timeout_s: float) -> float:
        """Seconds after its arrival for which it keeps authority alive; a delayed one has less."""
        return min(self.exp_s, self.iat_s + timeout_s) - self.wall_s


@dataclass(frozen=True, slots=True)
class Hold:
    """An operator's brake: overlays everything until released or until `until_s`."""

    limit_w: int
    reason: str
    until_s: int | None


@dataclass(frozen=True, slots=True)
class OperatorLimit:
    """`set_limit`: a limit by the operator, until removed or until `until_s`."""

    limit_w: int
    until_s: int | None
