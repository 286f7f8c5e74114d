"""What one allocation starts from, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.allocation.loads import Bools, Ints
from daemon.table.table import Floats


@dataclass(frozen=True, slots=True)
class Ahead:
    """A lower limit that is known to come."""

    in_s: float
    limit_w: float


@dataclass(frozen=True, slots=True)
class Situation:
    """What one allocation starts from."""

    now_s: float
    measured_w: Floats
    """(loads,): fresh power; NaN = absent."""
    excluded: Bools
    """(loads,): not to be ordered about."""
    limit_w: float
    deadline_s: float
    """When the limit must be met (monotonic)."""
    uncontrolled_w: float
    """Uncontrolled load and cooling."""
    margin_w: float
    deadband_w: float
    ceiling_w: float
    """What the ramp allows the whole site to draw."""
    may_rise: bool
    ahead: Sequence[Ahead] = ()
    cooling_w: float = 0.0
    """Part of `uncontrolled_w` that follows the loads, late."""
    follows: float = 0.0
    """W of cooling for each W of the loads, once it has followed."""
    at_once_w: float = 0.0
    """A load that rises by no more goes to its new level at once; others go step by step."""
    sparing: Bools | None = None
    """(loads,): whose writes are used up: they are ordered about only to shed; `None` = none."""

    def target_w(self, limit_w: float) -> float:
        """What the loads may draw together under a limit."""
        return max(limit_w - self.uncontrolled_w - self.margin_w, 0.0)

    def settled_target_w(self, limit_w: float) -> float:
        """What they may draw under a limit once the cooling has followed them."""
        fixed_w = self.uncontrolled_w - self.cooling_w
        return max((limit_w - self.margin_w - fixed_w) / (1 + self.follows), 0.0)

    def lasting_w(self, limit_w: float) -> float:
        """What they may draw under a limit both now and once the cooling has followed them."""
        return min(self.target_w(limit_w), self.settled_target_w(limit_w))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be ordered, and the arithmetic behind it."""

    level: Ints
    counted_w: Floats
    """(loads,): what each counts at once the plan is ordered."""
    limit_w: float
    uncontrolled_w: float
    margin_w: float
    late_w: float
    """Σ of what slow loads still draw above their orders at the deadline, to be bridged."""
    at_deadline_w: float
    """Σ of what the loads will draw at the deadline."""
    unreachable_w: float
    """Above the target although everything sheddable is shed."""

    @property
    def target_w(self) -> float:
        """What the loads may draw together."""
        return max(self.limit_w - self.uncontrolled_w - self.margin_w, 0.0)

    @property
    def loads_w(self) -> float:
        """What the loads count at together."""
        return float(self.counted_w.sum())
