"""Orders that were taken and have yet to take effect: each takes the latency of its unit, and some longer."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.behaviour import DEAD_DOWN, DEAD_UP, STRAGGLER_FACTOR, STRAGGLERS
from sim_devices.physics.ratings import Column, Ratings, Rows, same_order

_ROUNDING_S = 1e-9
_WORD = 1 << 64
_EACH = np.uint64(4)
_THREE = np.arange(1, 4, dtype=np.uint64)[:, None]


@dataclass(frozen=True, slots=True)
class Effects:
    """What orders do, one entry for each; in the order in which it comes to pass."""

    row: Rows
    watts: Column
    due_s: Column

    def at(self, those: Rows) -> "Effects":
        """Only these."""
        return Effects(self.row.take(those), self.watts.take(those), self.due_s.take(those))

    @classmethod
    def all_of(cls, parts: Sequence["Effects"]) -> "Effects":
        """One after the other."""
        return cls(
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.watts for part in parts]),
            np.concatenate([part.due_s for part in parts]),
        )

    def of_each_row_one(self) -> Iterator["Effects"]:
        """In turns, each of which has no row twice: first the first of every row."""
        left = self
        while len(left.row):
            _, first = np.unique(left.row, return_index=True)
            yield left.at(np.sort(first))
            left = left.at(np.delete(np.arange(len(left.row)), first))


class Orders:
    """The orders under way, of all loads of a plant. In columns of orders 0 = sleep and NaN = no limit."""

    _CHANGING = ("waiting", "_due_s", "_watts", "_taken", "_to_come")

    def __init__(self, rated: Ratings, seeds: Sequence[int]) -> None:
        self._rated = rated
        self._seeds = np.array([(seed << 22) % _WORD for seed in seeds], dtype=np.uint64)
        count = len(seeds)
        self.waiting = np.zeros(count, dtype=np.int64)
        """(loads,): how many of each have yet to take effect."""
        self._due_s: Column = np.zeros(count)
        """Of the last of each that waits."""
        self._watts: Column = np.full(count, np.nan)
        self._taken = np.zeros(count, dtype=np.uint64)
        """Orders so far, times 4: each draws numbers of its own."""
        self._to_come = [Effects(np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros(0))]
        """In the order in which they were ordered; put together when they are looked at."""
        self._next_s = np.inf
        """When the first of them comes."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Orders":
        """A twin: what never changes is shared."""
        twin = copy.copy(self)
        for name in self._CHANGING:
            setattr(twin, name, copy.copy(getattr(self, name)))
        memo[id(self)] = twin
        return twin

    def take(self, rows: Rows, watts: Column, effective_w: Column, now_s: float) -> None:
        """One order for each of these rows, none of them twice; `effective_w`: what is in effect there."""
        rated, waits = self._rated, self.waiting[rows] > 0
        before_w = np.where(waits, self._watts[rows], effective_w)
        restarts = rated.restarts[rows] & ~same_order(watts, before_w)
        falls = restarts | (rated.nominal_w(watts, rows) < rated.nominal_w(before_w, rows))
        self._taken[rows] += _EACH
        first, second, third = self._drawn(rows)
        up_s = rated.latency_up_s[rows]
        dead_s = np.where(
            falls, rated.latency_down_s[rows] * _between(DEAD_DOWN, first), up_s * _between(DEAD_UP, first)
        )
        factor = np.where(second < STRAGGLERS, STRAGGLER_FACTOR, 1.0)
        # An order never overtakes the one before it.
        due_s = np.maximum(now_s + dead_s * factor, np.where(waits, self._due_s[rows], 0.0))
        boots = restarts & (watts != 0)
        booted_s = due_s + np.where(boots, up_s * _between(DEAD_UP, third) * factor, 0.0)
        self._due_s[rows], self._watts[rows] = booted_s, watts
        self.waiting[rows] += 1 + boots
        down = np.flatnonzero(boots)
        if down.size:
            self._add(Effects(rows.take(down), np.zeros(len(down)), due_s.take(down)))
        self._add(Effects(rows, watts, booted_s))

    def forget(self, row: int) -> None:
        """Drop the orders that have not taken effect."""
        if not self.waiting[row]:
            return
        self.waiting[row] = 0
        to_come = Effects.all_of(self._to_come)
        self._to_come = [to_come.at(np.flatnonzero(to_come.row != row))]

    def due(self, now_s: float) -> Iterator[Effects]:
        """What takes effect by now, in turns, each of which has no row twice."""
        if now_s + _ROUNDING_S < self._next_s:
            return
        to_come = Effects.all_of(self._to_come)
        comes = to_come.due_s <= now_s + _ROUNDING_S
        now, later = to_come.at(np.flatnonzero(comes)), to_come.at(np.flatnonzero(~comes))
        self._to_come, self._next_s = [later], float(later.due_s.min(initial=np.inf))
        for effects in now.at(np.argsort(now.due_s, kind="stable")).of_each_row_one():
            self.waiting[effects.row] -= 1
            yield effects

    def _add(self, effects: Effects) -> None:
        self._to_come.append(effects)
        self._next_s = min(self._next_s, float(effects.due_s.min(initial=np.inf)))

    def _drawn(self, rows: Rows) -> Column:
        """Three random numbers for each: equal ones for equal orders at equal times, whoever else is told."""
        return _mixed(_THREE + (self._seeds[rows] + self._taken[rows]))


_ROUNDS = (
    (np.uint64(30), np.uint64(0xBF58_476D_1CE4_E5B9)),
    (np.uint64(27), np.uint64(0x94D0_49BB_1331_11EB)),
)


def _mixed(number: NDArray[np.uint64]) -> Column:
    """A random number in [0, 1) for each.

    SplitMix64: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators (2014).
    """
    bits = number * np.uint64(0x9E37_79B9_7F4A_7C15)
    for shift, factor in _ROUNDS:
        bits ^= bits >> shift
        bits *= factor
    bits ^= bits >> np.uint64(31)
    share: Column = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return share


def _between(bounds: tuple[float, float], share: Column) -> Column:
    low, high = bounds
    return low + (high - low) * share
