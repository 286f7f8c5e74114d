"""Choosing steps of loads in merit order until enough is shed. The way up is in `climb`."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from daemon.allocation.curves import LAST_TIER, Curves
from daemon.allocation.loads import Bools, Ints
from daemon.allocation.merit import in_order, merits
from daemon.table.table import Floats


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of loads, in the order in which they are to be taken; those of one group stand together."""

    load: Ints
    """Index of the load that each step belongs to."""
    to: Ints
    """The level after it. A load's further steps come after this one."""
    watts: Floats
    """How much less (down) or more (up) the load counts after it."""
    group: Ints
    """Which of several sums it belongs to, such as a circuit's; ascending."""

    def __len__(self) -> int:
        return len(self.load)

    def at(self, positions: Ints | Bools) -> "Steps":
        """Only these, in their order."""
        return Steps(self.load[positions], self.to[positions], self.watts[positions], self.group[positions])

    def after(self, level: Ints) -> Ints:
        """(loads,): levels once all steps were taken."""
        level = level.copy()
        level[self.load] = self.to  # of one load's steps, the last
        return level

    def spent(self) -> Floats:
        """(steps,): Σ of the watts of the group's steps up to each, itself included."""
        total = np.cumsum(self.watts)
        if not len(total) or self.group[0] == self.group[-1]:
            return total
        first = np.flatnonzero(np.diff(self.group, prepend=-1))
        before = (total - self.watts)[first]
        return total - np.repeat(before, np.diff(np.append(first, len(total))))


def down_steps(
    curves: Curves, level: Ints, counted: Floats, may: Bools, *, group: Ints | None = None
) -> Steps:
    """All steps down that the loads of `may` can take, cheapest first: tier before value per watt.

    Args:
        curves: what the loads draw and earn.
        level: (loads,): where they are.
        counted: (loads,): from there a load gives back what it counts at, not what the level is worth.
        may: (loads,).
        group: (loads,): steps of one group stand together; `None` = one group.
    """
    levels = range(curves.levels - 2, -1, -1)
    wanted = (curves.corners[to] & (level > to) & may for to in levels)
    return _down(curves, level, counted, levels, wanted, group)


def bridging_steps(
    curves: Curves, level: Ints, counted: Floats, may: Bools, reversible: Bools | None = None
) -> Steps:
    """What can be undone quickly: each load at once to its lowest partial level, and only then to sleep.

    Few loads go far rather than many a little: all of them come back within seconds. Loads that are not
    `reversible` come after all others; `None` = all are.
    """
    levels = range(min(1, curves.levels - 2), -1, -1)
    wanted = (may & (level > to) for to in levels)
    return _down(curves, level, counted, levels, wanted, None, sleep_last=True, reversible=reversible)


def enough(steps: Steps, excess_w: Floats) -> Steps:
    """As few of the first steps of each group as shed its excess; all of them if they are too few.

    Args:
        steps: the steps.
        excess_w: (groups,).
    """
    return steps.at(steps.spent() - steps.watts < excess_w[steps.group])


def affordable(steps: Steps, room_w: Floats) -> Ints:
    """Positions of the steps that fit into their groups' rooms, in their order.

    A load whose next step does not fit is passed over, and with it all that builds on that step.

    Args:
        steps: the steps; those of one load belong to one group.
        room_w: (groups,).
    """
    room_w = room_w.copy()
    left, kept = np.arange(len(steps)), [np.arange(0)]
    while len(left):
        ahead = steps.at(left)
        fits = ahead.spent() <= room_w[ahead.group]
        kept.append(left[fits])
        room_w -= np.bincount(ahead.group[fits], ahead.watts[fits], minlength=len(room_w))
        left = left[~fits]
        if not len(left):
            break
        # A load's first step that is too big now ends its climb: the further ones come after it.
        load = steps.load[left]
        too_big = np.flatnonzero(steps.watts[left] > room_w[steps.group[left]])
        ends = np.full(int(load.max()) + 1, len(left))
        np.minimum.at(ends, load[too_big], too_big)
        left = left[np.arange(len(left)) < ends[load]]
    return np.sort(np.concatenate(kept))


def _down(
    curves: Curves,
    level: Ints,
    counted: Floats,
    levels: Iterable[int],
    wanted: Iterable[Bools],
    group: Ints | None,
    *,
    sleep_last: bool = False,
    reversible: Bools | None = None,
) -> Steps:
    above_w, above = counted.copy(), curves.value_at(np.maximum(level, 0))
    found = _Grid.of(curves)
    for to, those in zip(levels, wanted, strict=True):
        found.wanted[to] = those
        np.maximum(above_w - curves.watts[to], 0.0, out=found.watts[to])
        np.subtract(above, curves.value[to], out=found.value[to])
        np.copyto(above_w, curves.watts[to], where=those)
        np.copyto(above, curves.value[to], where=those)
    # The highest level and the last load first: the way up is the way down backwards.
    load, to_level, watts, value = found.taken()
    rank = curves.tier[load]
    if sleep_last:
        rank = rank + np.where(to_level == 0, LAST_TIER + 1, 0)
    if reversible is not None:
        rank = rank + np.where(reversible[load], 0, 2 * (LAST_TIER + 1))
    groups = np.zeros(len(load), dtype=np.int64) if group is None else group[load]
    order = in_order(groups * (2 * LAST_TIER + 2) + rank, merits(value, watts))
    return Steps(load[order], to_level[order], watts[order], groups[order])


@dataclass(frozen=True, slots=True)
class _Grid:
    """Steps by the level that they lead to and by load: rows and columns as those of the curves."""

    wanted: Bools
    watts: Floats
    value: Floats

    @classmethod
    def of(cls, curves: Curves) -> "_Grid":
        """Without any step."""
        shape = curves.watts.shape
        return cls(np.zeros(shape, dtype=np.bool_), np.empty(shape), np.empty(shape))

    def taken(self) -> tuple[Ints, Ints, Floats, Floats]:
        """Loads, levels, watts and values of the steps that are wanted, by level and load, backwards."""
        levels, loads = self.wanted.shape
        place = np.flatnonzero(self.wanted)
        to = np.repeat(np.arange(levels), np.count_nonzero(self.wanted, axis=1))
        place, to = np.ascontiguousarray(place[::-1]), np.ascontiguousarray(to[::-1])
        return place - loads * to, to, self.watts.ravel()[place], self.value.ravel()[place]
