"""The way up: where the loads are to go, and how far the ramp lets them go now."""

from dataclasses import dataclass

import numpy as np

from daemon.allocation.circuits import Circuits
from daemon.allocation.curves import Curves
from daemon.allocation.fit import Span, fitted
from daemon.allocation.loads import Bools, Ints
from daemon.allocation.steps import Steps, affordable, fitting, up_steps
from daemon.table.table import Floats


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
    rise_w = np.maximum(curves.at(np.maximum(goal, 0))[0] - counted, 0.0)
    if float(rise_w[goal > level].sum()) <= rise.now_w:
        return goal
    steps = up_steps(curves, level, counted, goal > level, upto=goal, at_once=rise_w <= rise.at_once_w)
    return fitting(steps, np.array([rise.now_w])).after(level)


def _goal(
    curves: Curves, level: Ints, counted: Floats, may: Bools, circuits: Circuits, room_w: float
) -> Ints:
    """Where the loads are to be once the ramp has let them."""
    steps = up_steps(curves, level, counted, may)
    steps = _within(circuits, steps, counted)
    steps = steps.at(affordable(steps, np.array([room_w])))
    goal = steps.after(level)
    left_w = room_w - float(steps.watts.sum())
    if (goal == level).all() or left_w <= 0:
        return goal
    # One that draws more than it was ordered to counts at that already.
    at_goal_w = np.where(goal > level, np.maximum(curves.at(np.maximum(goal, 0))[0], counted), counted)
    span = Span(may, level, curves.top, level)
    every = np.zeros(len(level), dtype=np.int64)
    return fitted(curves, goal, span, every, np.array([left_w]), circuits.room_w(at_goal_w))


def _within(circuits: Circuits, steps: Steps, counted: Floats) -> Steps:
    """The steps that the circuits have room for: what one has none for must not take others' room."""
    for depth in circuits.depths:
        group = depth.of_load[steps.load]
        room_w = depth.room_w(counted)
        if (np.bincount(group, steps.watts, len(room_w)) <= room_w).all():
            continue
        by_group = np.argsort(group, kind="stable")
        grouped = Steps(steps.load[by_group], steps.to[by_group], steps.watts[by_group], group[by_group])
        steps = steps.at(np.sort(by_group[affordable(grouped, room_w)]))
    return steps
