"""Orders that were taken and have yet to take effect: each takes the latency of its unit, and some longer."""

import copy
import heapq
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.behaviour import DEAD_DOWN, DEAD_UP, STRAGGLER_FACTOR, STRAGGLERS
from sim_devices.physics.ratings import Column, Ratings, Rows, same_order

_Event = tuple[float, int, int, int, float]
"""(due, number, row, generation, watts)."""


class Orders:
    """The orders under way, of all loads of a plant. In columns of orders 0 = sleep and NaN = no limit."""

    _CHANGING = ("waiting", "_due_s", "_watts", "_generation", "_taken", "_events")

    def __init__(self, rated: Ratings, seeds: Sequence[int]) -> None:
        self._rated = rated
        self._seeds = seeds
        count = len(seeds)
        self.waiting = np.zeros(count, dtype=np.int64)
        """(loads,): how many of each have yet to take effect."""
        self._due_s: Column = np.zeros(count)
        """Of the last of each that waits."""
        self._watts: Column = np.full(count, np.nan)
        self._generation = np.zeros(count, dtype=np.int64)
        """Orders of an earlier generation were forgotten before they took effect."""
        self._taken = np.zeros(count, dtype=np.int64)
        self._events: list[_Event] = []
        """Heap."""
        self._number = 0
        self._rng = random.Random()

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
        self._taken[rows] += 1
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
        columns = (rows, due_s, booted_s, boots, self._generation[rows], watts)
        number = self._number
        for row, down_s, at_s, booting, generation, order_w in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            if booting:
                number += 1
                heapq.heappush(self._events, (down_s, number, row, generation, 0.0))
            number += 1
            heapq.heappush(self._events, (at_s, number, row, generation, order_w))
        self._number = number

    def forget(self, row: int) -> None:
        """Drop the orders that have not taken effect."""
        self._generation[row] += 1
        self.waiting[row] = 0

    def due(self, now_s: float) -> Iterator[tuple[int, float, float]]:
        """Those that take effect by now, in their order: row, watts, and when."""
        events = self._events
        while events and events[0][0] <= now_s + 1e-9:
            due_s, _, row, generation, watts = heapq.heappop(events)
            if generation == self._generation[row]:
                self.waiting[row] -= 1
                yield row, watts, due_s

    def _drawn(self, rows: Rows) -> NDArray[np.float64]:
        """Three random numbers for each: equal ones for equal orders at equal times, whoever else is told."""
        # One generator seeded anew: half of what another one takes. By the method for whole numbers alone,
        # which the general one comes to as well.
        seed, draw, drawn = super(random.Random, self._rng).seed, self._rng.random, []
        for row, taken in zip(rows.tolist(), self._taken[rows].tolist(), strict=True):
            seed(self._seeds[row] * 1_000_003 + taken)
            drawn.append((draw(), draw(), draw()))
        return np.array(drawn, dtype=np.float64).reshape(-1, 3).T


def _between(bounds: tuple[float, float], share: Column) -> Column:
    low, high = bounds
    return low + (high - low) * share
