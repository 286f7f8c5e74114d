"""What the limit in force depends on, and the limit itself."""

from dataclasses import dataclass, field

from daemon.authority.clock_trust import ClockTrust
from daemon.authority.moment import Moment
from daemon.authority.ramp import Ramp
from daemon.authority.states import Cause, Source, State
from daemon.commands.orders import Hold, OperatorLimit, Quota


@dataclass(frozen=True, slots=True)
class Authority:
    """Everything that the limit in force depends on."""

    state: State
    since: Moment
    last_limit_w: int
    last_source: Source
    init_limit_w: int
    """In force in `init`: the failsafe limit, or the last one that was kept if that is lower."""
    quota: Quota | None = None
    fresh_until_s: float | None = None
    """Monotonic: authority is fresh before this."""
    hold: Hold | None = None
    operator_limit: OperatorLimit | None = None
    causes: frozenset[Cause] = frozenset()
    ramp: Ramp | None = None
    clock: ClockTrust = field(default_factory=ClockTrust)
    meter_lost_s: float | None = None
    """Monotonic: since when no site power is known that can be relied upon; `None` = it is known."""
    meter_fresh_s: float | None = None
    """Monotonic: since when the readings are beyond doubt; `None` = they are not."""
    records_writable: bool = True

    def fresh(self, monotonic_s: float) -> bool:
        """Whether a counting lease is alive."""
        return self.fresh_until_s is not None and monotonic_s < self.fresh_until_s


@dataclass(frozen=True, slots=True)
class Verdict:
    """The limit in force after an event."""

    authority: Authority
    limit_w: int
    source: Source
    next_deadline_s: float | None
    """Monotonic: the next moment at which silence alone may change the verdict, if known."""
