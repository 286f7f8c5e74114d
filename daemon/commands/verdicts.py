"""What the verifier makes of a message: one of these."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.commands.claims import Arguments, CommandClaims, Common, LeaseClaims, QuotaClaims
from daemon.commands.orders import Quota
from daemon.commands.trust import TrustedKey
from daemon.commands.words import Lane, Op, Reason
from daemon.signing import Envelope


@dataclass(frozen=True, slots=True)
class Refused:
    """The message has no effect.

    `jti` is `None` where no answer may be given. `uses_seq` = the seq to be recorded all the same.
    `kept` = the answer is stored: the same bytes get it again.
    """

    reason: Reason
    detail: str
    kid: str | None = None
    jti: str | None = None
    uses_seq: int | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class HeldAlready:
    """The bytes of the quota that is held: neither refused nor answered."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The bytes of a message that was answered before: it gets the stored answers again."""

    kid: str
    jti: str


@dataclass(frozen=True, slots=True)
class Authentic:
    """Signed by a trusted key; what it says has not been looked at."""

    lane: Lane
    envelope: Envelope
    key: TrustedKey
    body: Mapping[str, Any] | None
    """The payload if it is an I-JSON object."""
    problem: str
    """Why there is no body."""
    jti: str | None
    """A well-formed `jti`, so that an answer has somewhere to go."""

    @property
    def kid(self) -> str:
        """The key's name."""
        return self.key.key.kid


@dataclass(frozen=True, slots=True)
class Admitted:
    """Meant for this site by someone who may say it, and not seen before; times have not been looked at."""

    authentic: Authentic
    claims: QuotaClaims | LeaseClaims | CommandClaims

    @property
    def common(self) -> Common:
        """The claims that every message has."""
        return self.claims


@dataclass(frozen=True, slots=True)
class TakeQuota:
    """A quota to be held from now on."""

    quota: Quota
    jti: str
    seq: int


@dataclass(frozen=True, slots=True)
class HearLease:
    """A valid lease; it counts only if it names the revision held."""

    kid: str
    rev: int
    iat: int
    exp: int
    seq: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command to be executed."""

    kid: str
    jti: str
    seq: int
    exp: int
    op: Op
    arguments: Arguments
    args: Mapping[str, Any]
    """The arguments as they were sent."""
    hash: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict depends on besides the message. `now_s` is the wall clock, Unix seconds."""

    now_s: float
    clock_trusted: bool
    held_rev: int
    """0 = no quota is held."""
    hold_w: int | None
    """The hold in force, if any."""
    present_limit_w: int
    contract_max_w: int
    knows_device: Callable[[str], bool]
    restart_obstacle: Callable[[str], str | None]
    """Why a device can never be restarted from here, or `None`."""
    objection: Callable[[Op, Arguments], str | None]
    """Why executing this now would be unsafe, or `None`."""
