"""What every load draws and earns at each of its levels, as learned, and which of them are worth it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daemon.allocation.loads import Bools, Ints, Loads
from daemon.table.table import Floats

_LEAST_W = 1e-9


@dataclass(frozen=True)
class Curves:
    """Rows by level, a column for each load: what is done is done level by level, to all loads at once."""

    watts: Floats
    """(levels, loads): learned, ascending."""
    value: Floats
    """(levels, loads): what a load earns there, ascending."""
    top: Ints
    """(loads,): the highest level; what lies above repeats it."""
    tier: Ints

    @classmethod
    def of(cls, loads: Loads, learned_w: Floats, earning: Floats) -> "Curves":
        """As learned.

        Args:
            loads: the loads by their profiles.
            learned_w: (loads, levels): what each really draws.
            earning: (loads,): what each produces, as a share of what its profile promises.
        """
        value = np.ascontiguousarray(loads.value.T) * earning
        return cls(np.ascontiguousarray(learned_w.T), value, loads.top, loads.tier)

    @property
    def levels(self) -> int:
        """How many there are at most."""
        return len(self.watts)

    def at(self, level: Ints) -> tuple[Floats, Floats]:
        """(loads,): watts and value at a level of each."""
        index = np.arange(len(level))
        return self.watts[level, index], self.value[level, index]

    @cached_property
    def corners(self) -> Bools:
        """(levels, loads): the corners of each load's upper concave hull.

        From one corner to the next every further watt earns less than the one before. Walking all loads'
        corners in order of value per watt is optimal up to one step; a level in between is a detour.
        """
        watts, value = self.watts, self.value
        flattest_to = np.full(watts.shape, np.inf)
        steepest_from = np.full(watts.shape, -np.inf)
        for low in range(self.levels - 1):
            for high in range(low + 1, self.levels):
                slope = (value[high] - value[low]) / np.maximum(watts[high] - watts[low], _LEAST_W)
                np.minimum(flattest_to[high], slope, out=flattest_to[high])
                np.maximum(steepest_from[low], slope, out=steepest_from[low])
        level = np.arange(self.levels)[:, None]
        corners: Bools = (flattest_to > steepest_from) & (level < self.top) | (level == self.top)
        return corners
