"""What every load draws and earns at each of its levels, as learned, and which of them are worth it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from daemon.allocation.loads import Bools, Ints, Loads, counted_up
from daemon.allocation.merit import PLACE_BITS, keys, merits
from daemon.table.table import Floats

_T = TypeVar("_T", bound=np.generic)

_LEAST_W = 1e-9
LAST_TIER = 2
_FEW = 0.5
"""If more than this share of the loads has changed, all are worked out anew."""
_PLAINLY = 1 + 1e-9
"""Slopes that differ by more than this differ whatever was rounded."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """The steps up of each load from corner to corner. Arrays are (levels, loads), by where a step leads.

    There is one to every corner but the lowest level; elsewhere the arrays say nothing.
    """

    watts: Floats
    """What it takes."""
    words: Ints
    """Its order among all: tier, then value per watt, then in the lowest bits its place, which is
    `level * loads + load`."""

    @classmethod
    def of(cls, curves: "Curves", those: Ints | None = None, loads: int = 0) -> "Ladder":
        """Of all loads of these curves; `those`: which of how many `loads` they are, if not all."""
        watts, value = np.zeros(curves.watts.shape), np.zeros(curves.watts.shape)
        np.subtract(curves.watts[1:], curves.watts[:-1], out=watts[1:])
        np.subtract(curves.value[1:], curves.value[:-1], out=value[1:])
        bent = np.flatnonzero(curves.bent)
        if len(bent):
            some, corners = curves.some(bent), curves.corners.take(bent, axis=1)
            below_w, below = some.watts[0], some.value[0]
            for to in range(2, curves.levels):
                below_w = np.where(corners[to - 1], some.watts[to - 1], below_w)
                below = np.where(corners[to - 1], some.value[to - 1], below)
                watts[to, bent] = some.watts[to] - below_w
                value[to, bent] = some.value[to] - below
        np.maximum(watts, 0.0, out=watts)
        words = keys(LAST_TIER - curves.tier, -merits(value, watts))
        words <<= PLACE_BITS
        if those is None:
            words |= np.arange(words.size).reshape(words.shape)
        else:
            words |= np.arange(curves.levels)[:, None] * loads + those
        return cls(watts, words)

    def put(self, those: Ints, part: "Ladder") -> None:
        """Take some of the loads from one that is of them alone."""
        _put(self.watts[1:], those, part.watts[1:])
        _put(self.words[1:], those, part.words[1:])


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
    learned: tuple[Floats, Floats, Floats] | None = None
    """What they were made of: see `of`."""

    @classmethod
    def of(
        cls, loads: Loads, learned_w: Floats, earning: Floats, learned_s: Floats | None = None
    ) -> "Curves":
        """As learned.

        Args:
            loads: the loads by their profiles.
            learned_w: (loads, levels): what each really draws.
            earning: (loads,): what each produces, as a share of what its profile promises.
            learned_s: (loads,): when anything of this was learned last; `None` = never asked for `later`.
        """
        value = np.ascontiguousarray(loads.value.T) * earning
        learned = None if learned_s is None else (learned_w, earning, learned_s)
        return cls(np.ascontiguousarray(learned_w.T), value, loads.top, loads.tier, learned)

    def later(self, loads: Loads, learned_w: Floats, earning: Floats, learned_s: Floats) -> "Curves":
        """As `of`, of the same loads: worked out anew only for those of which anything was learned since.

        The others' columns are taken over as they lie, not copied: to copy them all would take longer than
        the rest. These curves are used up by it, and cannot be asked any more.
        """
        if self.learned is None:
            return Curves.of(loads, learned_w, earning, learned_s)
        before_w, before, before_s = self.learned
        if learned_w is before_w and earning is before:
            return self
        those = np.flatnonzero(learned_s != before_s)
        if len(those) > _FEW * len(learned_s):
            return Curves.of(loads, learned_w, earning, learned_s)
        part = Curves(
            np.ascontiguousarray(learned_w.take(those, axis=0).T),
            np.ascontiguousarray(loads.value.take(those, axis=0).T) * earning.take(those),
            self.top.take(those),
            self.tier.take(those),
        )
        _put(self.watts, those, part.watts)
        if earning is not before:
            earns = np.flatnonzero((earning != before).take(those))
            _put(self.value, those.take(earns), part.value.take(earns, axis=1))
        if "bent" in self.__dict__:
            # All others have their corners as before: at every level.
            bends = np.flatnonzero(self.bent.take(those) | part.bent)
            self.bent[those] = part.bent
            if "corners" in self.__dict__:
                _put(self.corners, those.take(bends), part.corners.take(bends, axis=1))
        if "ladder" in self.__dict__:
            self.ladder.put(those, Ladder.of(part, those, len(learned_s)))
        if "top_w" in self.__dict__:
            self.top_w[those] = part.top_w
        curves = Curves(self.watts, self.value, self.top, self.tier)
        curves.__dict__.update(self.__dict__, learned=(learned_w, earning, learned_s))
        self.__dict__.clear()
        return curves

    @property
    def levels(self) -> int:
        """How many there are at most."""
        return len(self.watts)

    def watts_at(self, level: Ints) -> Floats:
        """(loads,): watts at a level of each."""
        return self.watts.ravel().take(self.places(level))

    def value_at(self, level: Ints) -> Floats:
        """(loads,): value at a level of each."""
        return self.value.ravel().take(self.places(level))

    def some_at(self, loads: Ints, level: Ints) -> Floats:
        """Watts of some of the loads, each at a level."""
        return self.watts.ravel().take(level * len(self.top) + loads)

    def places(self, level: Ints) -> Ints:
        """(loads,): where a level of each stands among all of them, row by row."""
        places = level * len(level)
        places += counted_up(len(level))
        return places

    @cached_property
    def top_w(self) -> Floats:
        """(loads,): what each draws at its highest level."""
        return self.watts_at(self.top)

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
        """(levels, loads): the corners of each load's upper concave hull. The lowest level is one.

        From one corner to the next every further watt earns less than the one before. Walking all loads'
        corners in order of value per watt is optimal up to one step; a level in between is a detour.
        """
        corners: Bools = np.arange(self.levels)[:, None] <= self.top
        bent = np.flatnonzero(self.bent)
        if len(bent):
            _put(corners, bent, _hull(self.some(bent)))
        return corners

    @cached_property
    def bent(self) -> Bools:
        """(loads,): whose levels have to be looked at one by one: of all others each is plainly a corner."""
        more_w = self.watts[1:] - self.watts[:-1]
        slope = (self.value[1:] - self.value[:-1]) / np.maximum(more_w, _LEAST_W)
        wide = more_w > _LEAST_W
        plain = slope[:-1] > slope[1:] * _PLAINLY
        plain &= wide[:-1]
        plain &= wide[1:]
        plain |= np.arange(1, max(self.levels - 1, 1))[:, None] >= self.top
        bent: Bools = ~np.logical_and.reduce(plain, axis=0)
        return bent

    @cached_property
    def ladder(self) -> Ladder:
        """The steps up from corner to corner."""
        return Ladder.of(self)


def _hull(curves: Curves) -> Bools:
    """(levels, loads): the corners, by the slopes between all levels."""
    watts, value = curves.watts, curves.value
    flattest_to = np.full(watts.shape, np.inf)
    steepest_from = np.full(watts.shape, -np.inf)
    for low in range(curves.levels - 1):
        above = slice(low + 1, None)
        slope = (value[above] - value[low]) / np.maximum(watts[above] - watts[low], _LEAST_W)
        np.minimum(flattest_to[above], slope, out=flattest_to[above])
        np.maximum.reduce(slope, axis=0, out=steepest_from[low])
    level = np.arange(curves.levels)[:, None]
    corners: Bools = (flattest_to > steepest_from) & (level < curves.top) | (level == curves.top)
    return corners


def _put(into: npt.NDArray[_T], loads: Ints, part: npt.NDArray[_T]) -> None:
    """Replace some columns of (levels, loads); level by level, which is quicker than at once."""
    for of_all, of_some in zip(into, part, strict=True):
        of_all[loads] = of_some
