"""The words of contract §4: lanes, roles, operations, reasons, statuses."""

from enum import StrEnum

KIB = 1024


class Role(StrEnum):
    """What a trusted key may do."""

    DISPATCHER = "dispatcher"
    OPERATOR = "operator"
    ENGINEER = "engineer"


class Lane(StrEnum):
    """Where a signed message comes in: the part of its topic after `quotawatt/v1/{site}/`."""

    QUOTA = "quota"
    LEASE = "lease"
    DISPATCHER = "cmd/dispatcher"
    OPERATOR = "cmd/operator"
    ENGINEER = "cmd/engineer"

    @property
    def typ(self) -> str:
        """The `typ` that its messages carry."""
        match self:
            case Lane.QUOTA:
                return "qw-quota+jws"
            case Lane.LEASE:
                return "qw-lease+jws"
            case Lane.DISPATCHER | Lane.OPERATOR | Lane.ENGINEER:
                return "qw-cmd+jws"

    @property
    def max_bytes(self) -> int:
        """Longest message that is read."""
        return 256 * KIB if self is Lane.QUOTA else 16 * KIB

    @property
    def role(self) -> Role:
        """The role that a key must have to speak here."""
        match self:
            case Lane.QUOTA | Lane.LEASE | Lane.DISPATCHER:
                return Role.DISPATCHER
            case Lane.OPERATOR:
                return Role.OPERATOR
            case Lane.ENGINEER:
                return Role.ENGINEER

    @property
    def commands(self) -> bool:
        """Whether commands come in here."""
        return self not in {Lane.QUOTA, Lane.LEASE}

    @classmethod
    def of_commands(cls, role: Role) -> "Lane":
        """Where commands of a role come in."""
        return cls(f"cmd/{role}")


RSP_TYP = "qw-rsp+jws"


class Op(StrEnum):
    """What a command may ask for."""

    PING = "ping"
    SET_LIMIT = "set_limit"
    HOLD = "hold"
    RELEASE_HOLD = "release_hold"
    EXCLUDE = "device.exclude"
    INCLUDE = "device.include"
    RESTART = "device.restart"
    PLAN = "plan"
    FLUSH = "flush"
    RELOAD = "reload"


READ_ONLY = frozenset({Op.PING, Op.PLAN})
"""Change nothing, so that a doubtful clock does them no harm."""


def may(role: Role, op: str) -> bool:
    """Whether a key of this role may ask for `op`; an unknown one is nobody's but refused later."""
    match role:
        case Role.DISPATCHER:
            return op in READ_ONLY
        case Role.OPERATOR:
            return op not in {Op.FLUSH, Op.RELOAD}
        case Role.ENGINEER:
            return True


class Reason(StrEnum):
    """Why a message is refused, in the order in which it is checked."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown-key"
    BAD_SIGNATURE = "bad-signature"
    WRONG_TYPE = "wrong-type"
    WRONG_AUDIENCE = "wrong-audience"
    ROLE_DENIED = "role-denied"
    RETAINED = "retained"
    JTI_REUSE = "jti-reuse"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    REPLAYED = "replayed"
    INVALID_ARGS = "invalid-args"
    STALE_REVISION = "stale-revision"
    CLOCK_UNTRUSTED = "clock-untrusted"
    UNSAFE = "unsafe"


class Status(StrEnum):
    """What an answer says."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DONE = "done"
    FAILED = "failed"
