"""An allocation in progress: levels, what they count at, and what is still drawn at the deadline."""

from functools import cached_property

import numpy as np

from daemon.allocation.circuits import Circuits
from daemon.allocation.counting import Look
from daemon.allocation.curves import Curves
from daemon.allocation.loads import Bools, Ints, Loads
from daemon.allocation.memory import UNKNOWN
from daemon.allocation.situation import Situation
from daemon.allocation.steps import Steps, bridging_steps, down_steps, enough
from daemon.table.table import Floats

STRAGGLERS = 1.3
"""A profile states the latency of 95 % of the orders; a deadline is to be met by the others too."""
GRACE_S = 3.0
_PATIENCE_S = 10.0
"""A load that is measured less often than this is not waited for."""
ROUNDING_W = 1e-3
"""Sums of many loads agree to this."""


def longest_lead_s(loads: Loads) -> float:
    """How long before a lower limit the first load is ordered, at most."""
    return float(_lead_s(loads, np.zeros(len(loads), dtype=np.bool_)).max(initial=0.0))


def _lead_s(loads: Loads, proven: Bools) -> Floats:
    """(loads,): how long before a lower limit each is ordered, so that it need not be bridged.

    One that was never seen to obey is ordered so much earlier that it shows by then, and another can take
    its place. Whole seconds, as limits to come are looked at.
    """
    latency_s = loads.latency_down_s
    lead_s = np.maximum(latency_s + GRACE_S, STRAGGLERS * latency_s)
    shows_s = latency_s + np.minimum(loads.period_s, _PATIENCE_S) + GRACE_S
    quickest_s = float(lead_s.min(initial=np.inf))
    lead_s = np.where(proven, lead_s, np.maximum(lead_s, shows_s + quickest_s))
    return np.ceil(lead_s)


class Work:
    """Changes levels and keeps account of it."""

    def __init__(self, situation: Situation, look: Look, circuits: Circuits) -> None:
        self._now = situation
        self._look = look
        self._loads = look.loads
        self._memory = look.memory
        self._circuits = circuits
        self._level = look.memory.level
        self._counted = look.counted_w
        self._sum_w = look.loads_w
        self._target_w = situation.target_w(situation.limit_w)
        self._deadline_s = max(situation.deadline_s, situation.now_s + GRACE_S)
        self._late_w = 0.0
        self._short = False
        """Whether loads were lowered for the site's limit."""
        self._drawn_w: float | None = None
        """`_drawing_w` until the next change of a level."""
        self._kept_down: tuple[Ints, Bools, Steps] | None = None
        """`_down` for a level and who may."""

    @property
    def _curves(self) -> Curves:
        return self._look.curves

    @cached_property
    def _known(self) -> Bools:
        known: Bools = (self._memory.level != UNKNOWN) & ~self._now.excluded
        return known

    @cached_property
    def _movable(self) -> Bools:
        """Nothing counts on an order to a load that does not obey or does not answer."""
        movable: Bools = self._known & self._memory.obeys & ~self._look.missing
        return movable

    @cached_property
    def _lead_s(self) -> Floats:
        """(loads,): how long before a lower limit each is ordered."""
        return _lead_s(self._loads, self._memory.proven)

    # --- levels ---

    def _set(self, level: Ints) -> None:
        """Take levels, and count those that they changed anew."""
        moved = np.flatnonzero(level != self._level)
        if not len(moved):
            return
        self._level = level
        at_level_w = self._memory.level_w(moved, np.maximum(level.take(moved), 0))
        before_w, counted = self._counted.take(moved), self._counted.copy()
        counted[moved] = np.where(self._movable.take(moved), at_level_w, np.maximum(at_level_w, before_w))
        self._counted = counted
        self._sum_w = float(counted.sum())
        self._drawn_w = None

    def _lower(self, steps: Steps, excess_w: float) -> None:
        self._set(enough(steps, np.array([excess_w])).after(self._level))

    def _order_off(self, which: Bools) -> None:
        """Order loads to their lowest level without counting on it."""
        self._level = np.where(self._known & which, 0, self._level)
        self._drawn_w = None

    def _down(self, may: Bools) -> Steps:
        kept = self._kept_down
        if kept is None or kept[0] is not self._level or kept[1] is not may:
            steps = down_steps(self._curves, self._level, self._counted, may)
            kept = self._kept_down = (self._level, may, steps)
        return kept[2]

    def _bridging(self, may: Bools) -> Steps:
        return bridging_steps(self._curves, self._level, self._counted, may, self._loads.reversible)

    def _quick(self, slack: float = 1.0) -> Bools:
        """Loads that a new order reaches before the deadline, with some slack."""
        quick: Bools = slack * self._loads.latency_down_s <= self._deadline_s - self._now.now_s
        return quick

    @cached_property
    def _helping(self) -> Bools:
        """Loads on which a deadline can count whatever befalls their orders."""
        return self._movable & self._quick(STRAGGLERS) & ~self._look.overdue

    # --- in time ---

    def _drawing_w(self) -> float:
        """Σ of what the loads will draw at the deadline, with the orders of this allocation."""
        if self._drawn_w is None:
            self._drawn_w = self._sum_w + float(self._late_w_at(self._deadline_s).sum())
        return self._drawn_w

    def _late_w_at(self, deadline_s: float) -> Floats:
        """(loads,): what each will draw then above what it counts at, with the orders of this allocation."""
        late_w = np.zeros(len(self._loads))
        changed = self._level != self._memory.level
        those = np.flatnonzero(changed | self._look.in_window)
        if not len(those):
            return late_w
        # Few loads have an order under way: only they are looked at.
        now, memory, changed = self._now, self._memory, changed.take(those)
        ordered_s = np.where(changed, now.now_s, memory.ordered_s.take(those))
        late = ordered_s + STRAGGLERS * self._loads.latency_down_s.take(those) > deadline_s
        late |= ~changed & self._look.overdue.take(those)
        # Until its order arrives, a load draws what it draws now.
        before_w = np.where(changed, self._look.counted_w.take(those), memory.before_w.take(those))
        measured_w = now.measured_w.take(those)
        now_w = np.where(np.isfinite(measured_w), measured_w, before_w)
        late_w[those] = np.where(late, np.maximum(now_w - self._counted.take(those), 0.0), 0.0)
        return late_w
