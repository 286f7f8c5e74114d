"""One point for every load, so that the site stays at or below its limit and as close to it as it can.

Everything but the learned uncontrolled load is feed-forward: what a load counts at is known from its
orders, not integrated from the meter's error, so nothing hunts.
"""

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np

from daemon.allocation.circuits import Circuits, Depth
from daemon.allocation.counting import Look
from daemon.allocation.fit import Span, fitted
from daemon.allocation.loads import Bools, Ints
from daemon.allocation.rise import Rise, risen
from daemon.allocation.situation import Ahead, Plan, Situation
from daemon.allocation.steps import bridging_steps, down_steps, enough
from daemon.allocation.work import ROUNDING_W, Work
from daemon.table.table import Floats

_TRIM = 0.01
"""An excess below this share of the limit is trimmed by loads that answer before the deadline."""


def allocate(situation: Situation, look: Look, circuits: Circuits) -> Plan:
    """Levels for all loads. Deterministic; a lower limit never raises the sum."""
    return at_rest(situation, look, circuits) or worked_out(situation, look, circuits)


def at_rest(situation: Situation, look: Look, circuits: Circuits) -> Plan | None:
    """The plan, if it is plain that nothing is to be ordered: at a constant limit nearly always.

    So it is while the limit is met and nothing fits into what is left, and while all is shed.

    It is what `worked_out` would give. `None` = that has to be worked out.
    """
    drawn_w = look.loads_w
    if situation.ahead or not look.all_settled:
        return None
    over = drawn_w > situation.lasting_w(situation.limit_w)
    all_shed = int(look.memory.level.max(initial=0)) <= 0
    if over and not all_shed:
        return None
    if not over and situation.may_rise:
        limit_w = situation.limit_w - situation.deadband_w
        room_w = situation.target_w(limit_w) - drawn_w
        settled_room_w = situation.settled_target_w(limit_w) - drawn_w
        if room_w > 0 and settled_room_w >= 0 and look.least_step_w <= max(room_w, settled_room_w):
            return None
    if not all_shed and circuits.overloaded(look.counted_w):
        return None
    return Plan(
        level=look.memory.level,
        counted_w=look.counted_w,
        limit_w=situation.limit_w,
        uncontrolled_w=situation.uncontrolled_w,
        margin_w=situation.margin_w,
        late_w=0.0,
        at_deadline_w=drawn_w,
        unreachable_w=max(drawn_w - situation.target_w(situation.limit_w), 0.0),
    )


def worked_out(situation: Situation, look: Look, circuits: Circuits) -> Plan:
    """The plan, step by step."""
    worker = _Allocation(situation, look, circuits)
    worker.shed_in_circuits()
    worker.shed_for_site()
    worker.shed_ahead()
    worker.bridge()
    worker.fit()
    worker.rise()
    return worker.plan()


class _Allocation(Work):
    """One allocation in progress: levels and what they count at, step by step."""

    # --- down ---

    def shed_in_circuits(self) -> None:
        """Every circuit below its own limit, the deepest first."""
        for position, depth in enumerate(self._circuits.depths):
            excess_w = -depth.room_w(self._counted)
            if (excess_w > 0).any():
                self._shed_at(depth, excess_w)
                self._fit_at(depth, self._circuits.depths[:position])
                over = depth.room_w(self._counted) < -ROUNDING_W
                if over.any():
                    self._order_off(over[depth.of_load])

    def _shed_at(self, depth: Depth, excess_w: Floats) -> None:
        may = self._movable & (excess_w > 0)[depth.of_load]
        steps = down_steps(self._curves, self._level, self._counted, may, group=depth.of_load)
        self._set(enough(steps, excess_w).after(self._level))

    def _fit_at(self, depth: Depth, deeper: tuple[Depth, ...]) -> None:
        """Only in the circuits that have just been shed in."""
        lowered = np.bincount(depth.of_load, self._level < self._memory.level, len(depth.max_w) + 1) > 0
        free = self._helping & lowered[depth.of_load]
        free &= depth.of_load < len(depth.max_w)
        rooms = [one.room_w(self._counted)[one.of_load] for one in deeper]
        allowed_w = np.minimum.reduce(rooms) if rooms else None
        span = self._span(free)
        room_w = depth.room_w(self._counted)
        self._set(fitted(self._curves, self._level, span, depth.of_load, room_w, allowed_w))

    def _span(self, free: Bools) -> Span:
        """What was lowered may come back as far as it was; anything may go lower."""
        before = self._memory.level
        return Span(free, np.zeros(len(before), dtype=np.int64), before, before)

    def shed_for_site(self) -> None:
        """The site's sum below the target, the least valuable steps first."""
        if self._sum_w <= self._now.lasting_w(self._now.limit_w):
            return
        self._short = True
        # What the cooling gives back once it has followed is bridged until then, not shed for good;
        # what it will take, as after an outage of the loads' work, is made room for before.
        lasting_w = self._now.settled_target_w(self._now.limit_w)
        excess_w = self._sum_w - lasting_w
        if 0 < excess_w <= _TRIM * self._now.limit_w:
            self._lower(self._down(self._movable & self._quick()), excess_w)
            excess_w = self._sum_w - lasting_w
        if excess_w > ROUNDING_W:
            # Loads that did not obey are ordered off with the first, those that do not answer with the last.
            if not self._memory.all_obey:
                self._order_off(~self._memory.obeys)
            self._lower(self._down(self._movable), excess_w)
        if self._sum_w > self._target_w + ROUNDING_W:
            self._lower(self._bridging(self._helping), self._sum_w - self._target_w)
        if self._sum_w > self._target_w + ROUNDING_W:
            self._lower(self._down(self._movable), self._sum_w - self._target_w)
        if self._sum_w > self._target_w + ROUNDING_W:
            self._order_off(~self._movable)

    def shed_ahead(self) -> None:
        """Orders for a lower limit to come, to each load its latency earlier."""
        if not self._now.ahead:
            return
        latency_s, lead_s = self._loads.latency_down_s, self._lead_s
        for ahead in self._distinct():
            target_w = self._now.target_w(ahead.limit_w)
            # Every step down until then; those are ordered now that would come too late otherwise.
            level, counted = self._lowered_by(target_w)
            due = lead_s >= ahead.in_s
            self._lower_to(level, due)
            if float(counted.sum()) > target_w + ROUNDING_W:
                # All that can be counted on is not enough: the others are told as well, in time.
                self._order_off(~self._movable & due)
            helping = self._movable & due & (latency_s <= ahead.in_s)
            if not helping.any():
                continue
            late_w = self._late_w_at(self._now.now_s + ahead.in_s)
            excess_w = float(counted.sum()) + float(late_w.sum()) - target_w
            if excess_w > 0 and late_w.any():
                helping &= ~self._look.overdue
                steps = bridging_steps(self._curves, level, counted, helping, self._loads.reversible)
                self._lower_to(enough(steps, np.array([excess_w])).after(level), due)

    def _distinct(self) -> Iterator[Ahead]:
        """Of the limits to come before which the same loads are due, the last, which is the lowest."""
        steps = self._now.ahead
        leads_s = np.unique(self._lead_s)
        for one, later in zip_longest(steps, steps[1:]):
            if (
                later is None
                or later.limit_w > one.limit_w
                or ((leads_s >= one.in_s) != (leads_s >= later.in_s)).any()
            ):
                yield one

    def _lowered_by(self, target_w: float) -> tuple[Ints, Floats]:
        """Levels that meet a target, and what they would count at; nothing is ordered."""
        excess_w = self._sum_w - target_w
        if excess_w <= 0:
            return self._level, self._counted
        level = enough(self._down(self._movable), np.array([excess_w])).after(self._level)
        lowered, counted = np.flatnonzero(level < self._level), self._counted.copy()
        counted[lowered] = self._memory.level_w(lowered, np.maximum(level.take(lowered), 0))
        return level, counted

    def _lower_to(self, level: Ints, due: Bools) -> None:
        self._set(np.where(due & (level < self._level), level, self._level))

    def bridge(self) -> None:
        """What slow loads still draw at the deadline is taken over by fast ones until they have fallen."""
        drawing_w = self._drawing_w()
        self._late_w = drawing_w - self._sum_w
        if drawing_w > self._target_w:
            self._short = True
            self._lower(self._bridging(self._helping), drawing_w - self._target_w)

    def fit(self) -> None:
        """What the walk down left of the room is given back as far as it goes."""
        if self._now.ahead or not self._short:
            return
        room_w = self._now.lasting_w(self._now.limit_w) - self._drawing_w()
        if room_w <= 0:
            return
        allowed_w = self._circuits.room_w(self._counted)
        span = self._span(self._helping)
        self._set(fitted(self._curves, self._level, span, None, np.array([room_w]), allowed_w))

    # --- up ---

    def rise(self) -> None:
        """The most valuable steps up that the limit, the ramp and the circuits have room for."""
        now = self._now
        if not now.may_rise:
            return
        limit_w = min([now.limit_w, *(ahead.limit_w for ahead in now.ahead)]) - now.deadband_w
        room_w = now.target_w(limit_w) - self._drawing_w()
        settled_room_w = now.settled_target_w(limit_w) - self._drawing_w()
        if room_w <= 0 or settled_room_w < 0:
            return
        may = self._may_rise(max(room_w, settled_room_w), all_up=self._look.all_up_w <= now.target_w(limit_w))
        if may is not None:
            ramp_w = now.ceiling_w - now.uncontrolled_w - self._drawing_w()
            rise = Rise(settled_room_w, min(room_w, ramp_w), now.at_once_w)
            self._set(risen(rise, self._curves, self._level, self._counted, may, self._circuits))

    def _may_rise(self, room_w: float, *, all_up: bool) -> Bools | None:
        """Loads that have rested, and are not on their way; those that do not obey only when all may.

        `None` = none of them has a step that would fit: at a constant limit hardly ever one has.
        """
        may = self._level < self._loads.top
        may &= self._known
        if self._level is not self._memory.level:
            may &= self._level == self._memory.level
        if not all_up:
            may &= self._movable
        if self._now.sparing is not None:
            may &= ~self._now.sparing
        those = np.flatnonzero(may)
        next_level = self._level.take(those) + 1
        next_w = self._memory.level_w(those, next_level) - self._counted.take(those)
        fits = next_w <= room_w
        if not fits.any():
            return None
        rested = self._now.now_s - self._memory.off_since_s >= self._loads.min_off_s
        may[those] = fits & (rested.take(those) | (next_level > 1))
        may &= ~self._look.overdue
        return may if may.any() else None

    def plan(self) -> Plan:
        """The result."""
        return Plan(
            level=self._level,
            counted_w=self._counted,
            limit_w=self._now.limit_w,
            uncontrolled_w=self._now.uncontrolled_w,
            margin_w=self._now.margin_w,
            late_w=self._late_w,
            at_deadline_w=self._drawing_w(),
            unreachable_w=max(self._sum_w - self._target_w, 0.0),
        )
