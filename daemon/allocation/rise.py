"""The way up: where the loads are to go, and how far the ramp lets them go now."""

from dataclasses import dataclass

import numpy as np

from daemon.allocation.circuits import Circuits
from daemon.allocation.climb import Climb
from daemon.allocation.curves import Curves
from daemon.allocation.fit import Span, fitted
from daemon.allocation.loads import Bools, Ints
from daemon.allocation.steps import Steps, affordable
from daemon.table.table import Floats

_ROUNDED_UP = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Rise:
    """How far loads may rise."""

    room_w: float
    """What the site's limit has room for in the end, once the cooling has followed."""
    now_w: float
    """What limit and ramp have room for now."""
    at_once_w: float
    """A load that rises by no more goes to its new level at once; others go step by step."""


def risen(rise: Rise, curves: Curves, level: Ints, counted: Floats, may: Bools, circuits: Circuits) -> Ints:
    """Levels after a rise.

    What there will be no room for is passed over; what there is none for yet is waited for. Each load is
    ordered to where it is to be in the end as soon as there is room: one order instead of one per level.

    Args:
        rise: how far.
        curves: what the loads draw and earn.
        level: (loads,): where they are.
        counted: (loads,): what they count at there.
        may: (loads,): who may rise.
        circuits: the circuits.
    """
    goal = _goal(curves, level, counted, may, circuits, rise.room_w)
    those = np.flatnonzero(goal > level)
    rise_w = np.maximum(curves.some_at(those, goal.take(those)) - counted.take(those), 0.0)
    if float(rise_w.sum()) <= rise.now_w:
        return goal
    climb = Climb.towards(curves, level, counted, goal, those, rise_w <= rise.at_once_w)
    return climb.fitting(rise.now_w).after(level)


def _goal(
    curves: Curves, level: Ints, counted: Floats, may: Bools, circuits: Circuits, room_w: float
) -> Ints:
    """Where the loads are to be once the ramp has let them."""
    climb = Climb.of(curves, level, counted, may)
    if _all_within(circuits, curves, counted, may):
        steps = climb.affordable(room_w)
    else:
        steps = _within(circuits, climb.steps(), counted)
        steps = steps.at(affordable(steps, np.array([room_w])))
    goal = steps.after(level)
    left_w = room_w - float(steps.watts.sum())
    rises = np.flatnonzero(goal > level)
    if not len(rises) or left_w <= 0:
        return goal
    # One that draws more than it was ordered to counts at that already.
    at_goal_w = counted.copy()
    at_goal_w[rises] = np.maximum(curves.some_at(rises, goal.take(rises)), counted.take(rises))
    span = Span(may, level, curves.top, level)
    return fitted(curves, goal, span, None, np.array([left_w]), circuits.room_w(at_goal_w))


def _all_within(circuits: Circuits, curves: Curves, counted: Floats, may: Bools) -> bool:
    """Whether the circuits have room for all that there is to climb: for sure, sums being rounded."""
    rise_w = np.maximum(curves.top_w - counted, 0.0)
    rise_w *= may
    for depth in circuits.depths:
        taken_w = np.bincount(depth.of_load, rise_w, len(depth.max_w) + 1) * _ROUNDED_UP
        if (taken_w > depth.room_w(counted)).any():
            return False
    return True


def _within(circuits: Circuits, steps: Steps, counted: Floats) -> Steps:
    """The steps that the circuits have room for: what one has none for must not take others' room."""
    for depth in circuits.depths:
        group = depth.of_load.take(steps.load)
        room_w = depth.room_w(counted)
        if (np.bincount(group, steps.watts, len(room_w)) <= room_w).all():
            continue
        # Numbers as narrow as these are sorted by their digits, in one or two passes.
        by_group = np.argsort(group.astype(np.min_scalar_type(len(room_w))), kind="stable")
        grouped = Steps(steps.load, steps.to, steps.watts, group).at(by_group)
        steps = steps.at(np.sort(by_group[affordable(grouped, room_w)]))
    return steps
