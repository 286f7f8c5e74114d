"""What every load draws and earns at each of its levels, as learned, and which of them are worth it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from daemon.allocation.loads import Bools, Ints, Loads
from daemon.allocation.merit import keys, merits
from daemon.table.table import Floats

_T = TypeVar("_T", bound=np.generic)

_LEAST_W = 1e-9
LAST_TIER = 2
_FEW = 0.5
"""If more than this share of the loads has changed, all are worked out anew."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """The steps up of each load from corner to corner. Arrays are (levels, loads), by where a step leads."""

    steps: Bools
    """Whether a step leads there: to a corner, and not to the lowest level."""
    watts: Floats
    """What it takes, where there is one."""
    keys: Ints
    """Its order among all, where there is one: tier, then value per watt; equal ones by place."""

    @classmethod
    def of(cls, curves: "Curves") -> "Ladder":
        """Of all loads of these curves."""
        corners, shape = curves.corners, curves.watts.shape
        steps, watts, value = corners.copy(), np.zeros(shape), np.zeros(shape)
        steps[0] = False
        below_w, below = curves.watts[0].copy(), curves.value[0].copy()
        for to in range(1, curves.levels):
            np.maximum(curves.watts[to] - below_w, 0.0, out=watts[to])
            np.subtract(curves.value[to], below, out=value[to])
            np.copyto(below_w, curves.watts[to], where=corners[to])
            np.copyto(below, curves.value[to], where=corners[to])
        return cls(steps, watts, keys(LAST_TIER - curves.tier, -merits(value, watts)))

    def put(self, loads: Ints, other: "Ladder") -> None:
        """Take some of the loads from another."""
        _put(self.steps, loads, other.steps)
        _put(self.watts, loads, other.watts)
        _put(self.keys, loads, other.keys)


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
    learned: tuple[Floats, Floats] | None = None
    """What they were made of: see `of`."""

    @classmethod
    def of(cls, loads: Loads, learned_w: Floats, earning: Floats) -> "Curves":
        """As learned.

        Args:
            loads: the loads by their profiles.
            learned_w: (loads, levels): what each really draws.
            earning: (loads,): what each produces, as a share of what its profile promises.
        """
        value = np.ascontiguousarray(loads.value.T) * earning
        return cls(
            np.ascontiguousarray(learned_w.T), value, loads.top, loads.tier, learned=(learned_w, earning)
        )

    def later(self, loads: Loads, learned_w: Floats, earning: Floats) -> "Curves":
        """As `of`, of the same loads: only for those of which something was learned is it worked out anew.

        The columns of the others are taken over as they lie, not copied: to copy them all would take longer
        than the rest. These curves are used up by it, and cannot be asked any more.
        """
        if self.learned is None:
            return Curves.of(loads, learned_w, earning)
        before_w, before = self.learned
        if learned_w is before_w and earning is before:
            return self
        changed = earning != before
        changed[np.flatnonzero(learned_w.ravel() != before_w.ravel()) // self.levels] = True
        those = np.flatnonzero(changed)
        if len(those) > _FEW * len(changed):
            return Curves.of(loads, learned_w, earning)
        part = Curves(
            np.ascontiguousarray(learned_w.take(those, axis=0).T),
            np.ascontiguousarray(loads.value.take(those, axis=0).T) * earning.take(those),
            self.top.take(those),
            self.tier.take(those),
        )
        _put(self.watts, those, part.watts)
        if earning is not before:
            _put(self.value, those, part.value)
        if "corners" in self.__dict__:
            _put(self.corners, those, part.corners)
        if "ladder" in self.__dict__:
            self.ladder.put(those, part.ladder)
        curves = Curves(self.watts, self.value, self.top, self.tier)
        curves.__dict__.update(self.__dict__, learned=(learned_w, earning))
        self.__dict__.clear()
        return curves

    @property
    def levels(self) -> int:
        """How many there are at most."""
        return len(self.watts)

    def watts_at(self, level: Ints) -> Floats:
        """(loads,): watts at a level of each."""
        return self.watts.ravel().take(self._places(level))

    def value_at(self, level: Ints) -> Floats:
        """(loads,): value at a level of each."""
        return self.value.ravel().take(self._places(level))

    def _places(self, level: Ints) -> Ints:
        return level * len(level) + np.arange(len(level))

    def some(self, loads: Ints) -> "Curves":
        """Of some of the loads alone."""
        return Curves(
            self.watts.take(loads, axis=1),
            self.value.take(loads, axis=1),
            self.top.take(loads),
            self.tier.take(loads),
        )

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

    @cached_property
    def ladder(self) -> Ladder:
        """The steps up from corner to corner."""
        return Ladder.of(self)


def _put(into: npt.NDArray[_T], loads: Ints, part: npt.NDArray[_T]) -> None:
    """Replace some columns of (levels, loads); level by level, which is quicker than at once."""
    for of_all, of_some in zip(into, part, strict=True):
        of_all[loads] = of_some
