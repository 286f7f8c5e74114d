"""One point for every load, so that the site stays at or below its limit and as close to it as it can.

Everything but the learned uncontrolled load is feed-forward: what a load counts at is known from its
orders, not integrated from the meter's error, so nothing hunts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daemon.allocation.circuits import Circuits
from daemon.allocation.loads import Bools, Ints, Loads
from daemon.allocation.memory import UNKNOWN, LoadMemory, counted_w, overdue
from daemon.allocation.steps import Steps, affordable, down_steps, enough, fitting, up_steps
from daemon.table.table import Floats

_TRIM = 0.01
"""An excess below this share of the limit is trimmed by loads that answer before the deadline."""
_STRAGGLERS = 1.3
"""A profile states the latency of 95 % of the orders; a deadline is to be met by the others too."""
_GRACE_S = 3.0
_RAMP_LEAD_S = 5.0
"""The ramp may run this far, and one step of a load, ahead of what the site draws."""


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


def ramp_ceiling_w(
    ceiling_w: float, limit_w: float, draw_w: float, rate_w_per_s: float, dt_s: float, step_w: float
) -> float:
    """What the ramp lets the whole site draw now: never far ahead of what it does draw.

    Args:
        ceiling_w: of the cycle before.
        limit_w: the limit in force.
        draw_w: what the site counts at.
        rate_w_per_s: the ramp.
        dt_s: since the cycle before.
        step_w: the largest single step of a load, which the ramp must be able to save up for.
    """
    reached_w = max(draw_w, min(ceiling_w, draw_w + rate_w_per_s * _RAMP_LEAD_S + step_w))
    return min(limit_w, reached_w + rate_w_per_s * dt_s)


def allocate(situation: Situation, loads: Loads, circuits: Circuits, memory: LoadMemory) -> Plan:
    """Levels for all loads. Deterministic; a lower limit never raises the sum."""
    worker = _Allocation(situation, loads, circuits, memory)
    worker.shed_in_circuits()
    worker.shed_for_site()
    worker.shed_ahead()
    worker.bridge()
    worker.rise()
    return worker.plan()


class _Allocation:
    """One allocation in progress: levels and what they count at, step by step."""

    def __init__(self, situation: Situation, loads: Loads, circuits: Circuits, memory: LoadMemory) -> None:
        self._now = situation
        self._loads = loads
        self._circuits = circuits
        self._memory = memory
        self._level = memory.level.copy()
        self._counted_before = counted_w(memory, loads, situation.measured_w, situation.now_s)
        self._counted = self._counted_before
        self._known = (memory.level != UNKNOWN) & ~situation.excluded
        # Nothing counts on an order to a load that does not obey or does not answer.
        self._movable = self._known & memory.obeys & ~memory.missing(loads, situation.now_s)
        self._target_w = max(situation.limit_w - situation.uncontrolled_w - situation.margin_w, 0.0)
        self._in_window = memory.in_window(loads, situation.now_s)
        self._overdue = overdue(memory, loads, situation.measured_w, situation.now_s)
        self._deadline_s = max(situation.deadline_s, situation.now_s + _GRACE_S)
        self._late_w = 0.0
        self._drawn_w: float | None = None
        """`_drawing_w` until the next change of a level."""

    def _lower(self, steps: Steps, count: int) -> None:
        taken = steps.taken(count, len(self._loads))
        self._level = self._level - taken
        self._recount(taken > 0)

    def _recount(self, moved: Bools) -> None:
        rows = np.arange(len(self._loads))
        at_level_w = self._memory.learned_w[rows, np.maximum(self._level, 0)]
        at_level_w = np.where(self._movable, at_level_w, np.maximum(at_level_w, self._counted))
        self._counted = np.where(moved, at_level_w, self._counted)
        self._drawn_w = None

    def _steps_down(self, may: Bools, *, partial_first: bool = False) -> Steps:
        return down_steps(
            self._loads,
            self._level,
            self._memory.learned_w,
            self._counted,
            may,
            partial_first=partial_first,
        )

    def _quick(self, slack: float = 1.0) -> Bools:
        """Loads that a new order reaches before the deadline, with some slack."""
        quick: Bools = slack * self._loads.latency_down_s <= self._deadline_s - self._now.now_s
        return quick

    def _shed(self, excess_w: float, may: Bools, *, partial_first: bool = False) -> None:
        if excess_w > 0:
            steps = self._steps_down(may, partial_first=partial_first)
            self._lower(steps, enough(steps, excess_w))

    def shed_in_circuits(self) -> None:
        """Every circuit below its own limit, the deepest first."""
        if not self._circuits.overloaded(self._counted):
            return
        for circuit in self._circuits.deepest_first:
            excess_w = float(self._counted[circuit.inside].sum()) - circuit.max_w
            if excess_w <= 0:
                continue
            self._shed(excess_w, self._movable & circuit.inside)
            if float(self._counted[circuit.inside].sum()) > circuit.max_w:
                self._order_off(circuit.inside)

    def shed_for_site(self) -> None:
        """The site's sum below the target, the least valuable steps first."""
        excess_w = float(self._counted.sum()) - self._target_w
        if excess_w <= 0:
            return
        if excess_w <= _TRIM * self._now.limit_w:
            self._shed(excess_w, self._movable & self._quick())
            excess_w = float(self._counted.sum()) - self._target_w
        if excess_w > 0:
            # Loads that did not obey are ordered off with the first, those that do not answer with the last.
            self._order_off(~self._memory.obeys)
        self._shed(excess_w, self._movable)
        if float(self._counted.sum()) > self._target_w:
            self._order_off(~self._movable)

    def _order_off(self, which: Bools) -> None:
        """Order loads to their lowest level without counting on it."""
        self._level = np.where(self._known & which, 0, self._level)

    def shed_ahead(self) -> None:
        """Orders for a lower limit to come, to each load its latency earlier."""
        latency_s = self._loads.latency_down_s
        for ahead in self._now.ahead:
            target_w = max(ahead.limit_w - self._now.uncontrolled_w - self._now.margin_w, 0.0)
            # Every step down until then; those are ordered now that would come too late otherwise.
            level, counted = self._lowered_by(target_w, self._movable)
            due = latency_s + _GRACE_S >= ahead.in_s
            self._lower_to(level, due)
            helping = self._movable & due & (latency_s <= ahead.in_s)
            if not helping.any():
                continue
            late_w = self._late_w_at(self._now.now_s + ahead.in_s)
            excess_w = float(counted.sum()) + float(late_w.sum()) - target_w
            if excess_w > 0 and late_w.any():
                helping &= ~self._overdue
                steps = down_steps(
                    self._loads, level, self._memory.learned_w, counted, helping, partial_first=True
                )
                self._lower_to(level - steps.taken(enough(steps, excess_w), len(self._loads)), due)

    def _lowered_by(self, target_w: float, may: Bools) -> tuple[Ints, Floats]:
        """Levels that meet a target, and what they would count at; nothing is ordered."""
        excess_w = float(self._counted.sum()) - target_w
        if excess_w <= 0:
            return self._level, self._counted
        steps = self._steps_down(may)
        taken = steps.taken(enough(steps, excess_w), len(self._loads))
        level = self._level - taken
        rows = np.arange(len(self._loads))
        return level, np.where(taken > 0, self._memory.learned_w[rows, np.maximum(level, 0)], self._counted)

    def _lower_to(self, level: Ints, due: Bools) -> None:
        moved = due & (level < self._level)
        if moved.any():
            self._level = np.where(moved, level, self._level)
            self._recount(moved)

    def _drawing_w(self) -> float:
        """Σ of what the loads will draw at the deadline, with the orders of this allocation."""
        if self._drawn_w is None:
            self._drawn_w = float(self._counted.sum()) + float(self._late_w_at(self._deadline_s).sum())
        return self._drawn_w

    def _late_w_at(self, deadline_s: float) -> Floats:
        """(loads,): what each will draw then above what it counts at, with the orders of this allocation."""
        changed = self._level != self._memory.level
        underway = changed | self._in_window
        if not underway.any():
            return np.zeros(len(self._loads))
        now, memory = self._now, self._memory
        ordered_s = np.where(changed, now.now_s, memory.ordered_s)
        late = underway & (ordered_s + _STRAGGLERS * self._loads.latency_down_s > deadline_s)
        late |= ~changed & self._overdue
        # Until its order arrives, a load draws what it draws now.
        before_w = np.where(changed, self._counted_before, memory.before_w)
        now_w = np.where(np.isfinite(now.measured_w), now.measured_w, before_w)
        return np.where(late, np.maximum(now_w - self._counted, 0.0), 0.0)

    def bridge(self) -> None:
        """What slow loads still draw at the deadline is taken over by fast ones until they have fallen."""
        drawing_w = self._drawing_w()
        self._late_w = drawing_w - float(self._counted.sum())
        if drawing_w > self._target_w:
            helping = self._movable & self._quick(_STRAGGLERS) & ~self._overdue
            self._shed(drawing_w - self._target_w, helping, partial_first=True)

    def rise(self) -> None:
        """The most valuable steps up that the limit, the ramp and the circuits have room for."""
        now = self._now
        if not now.may_rise:
            return
        limit_w = min([now.limit_w, *(ahead.limit_w for ahead in now.ahead)])
        top_w = limit_w - now.margin_w - now.deadband_w - now.uncontrolled_w
        drawn_w = max(self._drawing_w(), float(self._counted.sum()))
        if top_w <= drawn_w:
            return
        rested = now.now_s - self._memory.off_since_s >= self._loads.min_off_s
        unmoved = self._level == self._memory.level
        may = self._known & unmoved & ~self._overdue & (rested | (self._level > 0))
        if top_w < self._all_up_w():
            may &= self._movable
        if not self._any_step_fits(may, top_w - drawn_w):
            return
        steps = up_steps(self._loads, self._level, self._memory.learned_w, self._counted, may)
        # What the limits have no room for is passed over; what the ramp has none for yet is waited for.
        steps = self._within_circuits(steps)
        steps = steps.at(affordable(steps, top_w - drawn_w))
        ramp_w = now.ceiling_w - now.uncontrolled_w - drawn_w
        taken = steps.taken(fitting(steps, ramp_w), len(self._loads))
        if not taken.any():
            return
        self._level = self._level + taken
        self._recount(taken > 0)

    def _any_step_fits(self, may: Bools, room_w: float) -> bool:
        """A quick look: at a constant limit hardly ever."""
        rows = np.arange(len(self._loads))
        next_level = np.minimum(self._level + 1, self._loads.top)
        next_w = self._memory.learned_w[rows, next_level] - self._counted
        return bool((may & (self._level < self._loads.top) & (next_w <= room_w)).any())

    def _all_up_w(self) -> float:
        rows = np.arange(len(self._loads))
        return float(self._memory.learned_w[rows, self._loads.top].sum())

    def _within_circuits(self, steps: Steps) -> Steps:
        """The steps that the circuits have room for: what one has none for must not take others' room."""
        for circuit in self._circuits.deepest_first:
            mine = np.flatnonzero(circuit.inside[steps.load])
            own = steps.at(mine)
            room_w = circuit.max_w - float(self._counted[circuit.inside].sum())
            if fitting(own, room_w) < len(own):
                keep = ~circuit.inside[steps.load]
                keep[mine[affordable(own, room_w)]] = True
                steps = steps.at(np.flatnonzero(keep))
        return steps

    def plan(self) -> Plan:
        """The result."""
        counted_sum_w = float(self._counted.sum())
        return Plan(
            level=self._level,
            counted_w=self._counted,
            limit_w=self._now.limit_w,
            uncontrolled_w=self._now.uncontrolled_w,
            margin_w=self._now.margin_w,
            late_w=self._late_w,
            at_deadline_w=self._drawing_w(),
            unreachable_w=max(counted_sum_w - self._target_w, 0.0),
        )
