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

    def at(self, positions: Ints) -> "Steps":
        """Only these, in their order."""
        return Steps(
            self.load.take(positions),
            self.to.take(positions),
            self.watts.take(positions),
            self.group.take(positions),
        )

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
    return steps.at(np.flatnonzero(steps.spent() - steps.watts < excess_w.take(steps.group)))


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
    none = np.zeros(0, dtype=np.int64)
    found: list[tuple[Ints, Ints, Floats, Floats]] = [(none, none, np.zeros(0), np.zeros(0))]
    for to, those in zip(levels, wanted, strict=True):
        # The highest level and the last load first: the way up is the way down backwards.
        load = np.flatnonzero(those)[::-1]
        here_w, here = curves.watts[to].take(load), curves.value[to].take(load)
        less_w = np.maximum(above_w.take(load) - here_w, 0.0)
        found.append((load, np.full(len(load), to), less_w, above.take(load) - here))
        above_w[load], above[load] = here_w, here
    load, to_level, watts, value = (np.concatenate(column) for column in zip(*found, strict=True))
    rank = curves.tier.take(load)
    if sleep_last:
        rank = rank + np.where(to_level == 0, LAST_TIER + 1, 0)
    if reversible is not None:
        rank = rank + np.where(reversible[load], 0, 2 * (LAST_TIER + 1))
    groups = np.zeros(len(load), dtype=np.int64)
    if group is not None:
        groups = group.take(load)
        rank = groups * (2 * LAST_TIER + 2) + rank
    return Steps(load, to_level, watts, groups).at(in_order(rank, merits(value, watts)))
