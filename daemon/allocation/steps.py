"""Choosing steps of loads in merit order: down until enough is shed, up while there is room."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from daemon.allocation.loads import Bools, Ints, Loads
from daemon.table.table import Floats

_Wanted = Callable[[Ints], Bools]


@dataclass(frozen=True, slots=True)
class Steps:
    """Single steps between neighbouring levels, in the order in which they are to be taken."""

    load: Ints
    """Index of the load that each step belongs to."""
    watts: Floats
    """How much less (down) or more (up) the load counts after it."""

    def __len__(self) -> int:
        return len(self.load)

    def at(self, positions: Ints) -> "Steps":
        """Only these, in their order."""
        return Steps(self.load[positions], self.watts[positions])

    def taken(self, count: int, loads: int) -> Ints:
        """(loads,): how many of the first `count` steps fall to each load."""
        return np.bincount(self.load[:count], minlength=loads)


def down_steps(
    loads: Loads, level: Ints, learned_w: Floats, counted: Floats, may: Bools, *, partial_first: bool
) -> Steps:
    """All steps down that the loads of `may` can take, cheapest first.

    Tier before value per watt. `partial_first` puts steps to a reduced level before steps to the
    lowest one, whatever they are worth: for bridging, that is what can be undone quickly.
    """
    load, to = _grid(loads, may, lambda levels: levels < level[:, None])
    # From the level it is at, a load gives back what it counts at now, not what the level is worth.
    from_w = np.where(to + 1 == level[load], counted[load], learned_w[load, to + 1])
    watts = np.maximum(from_w - learned_w[load, to], 0.0)
    merit = _merit(loads, learned_w, load, to)
    to_sleep = (to == 0) if partial_first else np.zeros(len(to), dtype=np.bool_)
    # Within a load the steps come from the top.
    order = np.lexsort((-to, load, merit, loads.tier[load], to_sleep))
    return Steps(load[order], watts[order])


def up_steps(loads: Loads, level: Ints, learned_w: Floats, counted: Floats, may: Bools) -> Steps:
    """All steps up that the loads of `may` can take, most valuable per watt first, critical tiers before."""
    load, to = _grid(loads, may, lambda levels: (levels > level[:, None]) & (levels <= loads.top[:, None]))
    # A load that draws more than it was ordered to counts at that already.
    watts = np.maximum(learned_w[load, to] - np.maximum(learned_w[load, to - 1], counted[load]), 0.0)
    merit = _merit(loads, learned_w, load, to - 1)
    order = np.lexsort((to, load, -merit, -loads.tier[load]))
    return Steps(load[order], watts[order])


def _merit(loads: Loads, learned_w: Floats, load: Ints, low: Ints) -> Floats:
    """Value per watt of the steps between `low` and the level above it.

    A unit that draws more than its profile says is worth as much less at every level. What was learned of
    single levels is no basis: steps of one load would change places, and others be taken than were summed.
    """
    rows = np.arange(len(loads))
    deviation = learned_w[rows, loads.top] / loads.watts[rows, loads.top]
    merit: Floats = loads.worth[load, low] / deviation[load]
    return merit


def enough(steps: Steps, excess_w: float) -> int:
    """How many of the first steps shed at least `excess_w`; all of them if they are too few."""
    if excess_w <= 0:
        return 0
    return min(int(np.searchsorted(np.cumsum(steps.watts), excess_w)) + 1, len(steps.watts))


def fitting(steps: Steps, room_w: float) -> int:
    """How many of the first steps fit into `room_w`."""
    return int(np.searchsorted(np.cumsum(steps.watts), room_w, side="right"))


def affordable(steps: Steps, room_w: float) -> Ints:
    """Positions of the steps that fit into `room_w`, in their order.

    A load whose next step does not fit is passed over.
    """
    left, kept = np.arange(len(steps)), [np.arange(0)]
    while len(left):
        ahead = steps.at(left)
        count = fitting(ahead, room_w)
        kept.append(left[:count])
        room_w -= float(ahead.watts[:count].sum())
        left = left[count:]
        if not len(left):
            break
        # A load's first step that is too big now ends its climb: the further ones come after it.
        load = steps.load[left]
        too_big = np.flatnonzero(steps.watts[left] > room_w)
        ends = np.full(int(load.max()) + 1, len(left))
        np.minimum.at(ends, load[too_big], too_big)
        left = left[np.arange(len(left)) < ends[load]]
    return np.concatenate(kept)


def _grid(loads: Loads, may: Bools, wanted: _Wanted) -> tuple[Ints, Ints]:
    levels = np.arange(loads.watts.shape[1])[None, :]
    load, to = np.nonzero(wanted(levels) & may[:, None])
    return load.astype(np.int64), to.astype(np.int64)
