"""The words of authority: where the site stands, who set its limit, why it is in failsafe."""

from enum import StrEnum


class State(StrEnum):
    """Where the site stands towards those who may command it."""

    INIT = "init"
    CONTROLLED = "controlled"
    LIMITED = "limited"
    FAILSAFE = "failsafe"


class Source(StrEnum):
    """Who set the limit in force; in a tie the first of this order."""

    HOLD = "hold"
    OPERATOR = "operator"
    FAILSAFE = "failsafe"
    QUOTA = "quota"
    CONTRACT = "contract"
    CIRCUIT = "circuit"


class Cause(StrEnum):
    """Why the site is in failsafe; each has its own end and ends no other."""

    LEASE = "lease"
    """None is fresh; ends with a counting lease that came after."""
    METER = "meter"
    """No trusted site power for `METER_LOST_S`; ends when it was fresh for `METER_BACK_S`."""
    TRUST = "trust"
    """The key of the quota held was revoked; ends with a new quota."""
