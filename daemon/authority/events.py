"""What can happen to the authority over the site."""

from dataclasses import dataclass

from daemon.commands.orders import Hold, Lease, OperatorLimit, Quota


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""

    meter_trusted: bool
    """Whether a site power that can be relied upon is known now."""
    records_writable: bool = True
    meter_fresh: bool | None = None
    """Whether the readings of now are beyond doubt: a meter that was distrusted shows that for a while
    before it is trusted again. `None` = as `meter_trusted`."""


@dataclass(frozen=True, slots=True)
class QuotaTaken:
    """A new quota was accepted and stored."""

    quota: Quota


@dataclass(frozen=True, slots=True)
class LeaseSeen:
    """A lease passed signature, type, audience, role and `seq`: its time says something of our clock."""

    iat_s: int
    arrived_s: float
    """By the wall clock."""


@dataclass(frozen=True, slots=True)
class LeaseAccepted:
    """A lease passed every check. It counts only if it is for the quota held."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class HoldSet:
    """An operator's hold; `None` releases it."""

    hold: Hold | None


@dataclass(frozen=True, slots=True)
class LimitSet:
    """An operator's limit; `None` removes it."""

    limit: OperatorLimit | None


@dataclass(frozen=True, slots=True)
class KeysTrusted:
    """The trusted keys as of now; a quota signed by another one loses its authority."""

    kids: frozenset[str]


@dataclass(frozen=True, slots=True)
class LeaseTimed:
    """A lease may now last for less than when it was accepted."""

    lease: Lease | None
    """The one that was accepted last."""


Event = Tick | QuotaTaken | LeaseSeen | LeaseAccepted | HoldSet | LimitSet | KeysTrusted | LeaseTimed
