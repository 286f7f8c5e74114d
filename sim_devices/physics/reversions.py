"""Reversion timers: who hears no order for so long lets go of the last one by itself."""

from collections.abc import Sequence
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.behaviour import Behaviour
from sim_devices.physics.loads import Loads
from sim_devices.physics.ratings import Column


class Reversions:
    """Of the loads that have one, a row for each load of the plant. Times are the plant's own.

    A timer runs from the last order that a unit heard, whatever it said, or from when its time was written;
    at its end the unit takes its reversion limit as an order, and the timer rests until the next one. A unit
    that loses its supply, or reboots, forgets limit and time as it does its order.
    """

    def __init__(self, behaviours: Sequence[Behaviour]) -> None:
        # 0 = it has none until its time is written.
        fixed_s = [each.reverts_after_s for each in behaviours]
        self._has = np.array([after_s is not None for after_s in fixed_s], dtype=np.bool_)
        self._fixed_s: Column = np.array([after_s or 0.0 for after_s in fixed_s], dtype=np.float64)
        self.any = bool(self._has.any())
        """Whether there is any; most plants have none."""
        self.time_s: Column = self._fixed_s.copy()
        """From an order to the end; 0 = it does not run."""
        self.limit_w: Column = np.full(len(behaviours), nan)
        """What each falls back to: W, 0 = sleep, NaN = no limit."""
        self._ends_s: Column = np.full(len(behaviours), inf)
        self.ended = np.zeros(len(behaviours), dtype=np.int64)
        """How often the timer of each has ended."""

    def left_s(self, now_s: float, rows: NDArray[np.intp]) -> Column:
        """What is left of the times of some rows; 0 = the timer does not run."""
        ends_s = self._ends_s[rows]
        return np.where(np.isfinite(ends_s), np.maximum(ends_s - now_s, 0.0), 0.0)

    def heard(self, row: int, now_s: float) -> None:
        """A unit was ordered something: its timer runs anew."""
        if self._has[row]:
            self._ends_s[row] = now_s + self.time_s[row] if self.time_s[row] > 0 else inf

    def set_limit(self, row: int, watts: float) -> bool:
        """Write what a unit falls back to; `False` = it has no register for that."""
        if not self._is_told(row):
            return False
        self.limit_w[row] = watts
        return True

    def set_time(self, row: int, seconds: float, now_s: float) -> bool:
        """Write the time of a unit, 0 = never; it runs from now. `False` as above."""
        if not self._is_told(row):
            return False
        self.time_s[row] = seconds
        self.heard(row, now_s)
        return True

    def forget(self, row: int) -> None:
        """A unit has restarted, or lost its supply."""
        self.time_s[row], self.limit_w[row], self._ends_s[row] = self._fixed_s[row], nan, inf

    def step(self, loads: Loads, now_s: float) -> None:
        """Let the timers end whose time is over, before the loads take their step to `now_s`."""
        if not self.any:
            return
        over = np.flatnonzero(self._ends_s <= now_s + 1e-9)
        if over.size:
            self._ends_s[over] = inf
            self.ended[over] += 1
            loads.order(over, self.limit_w[over], now_s)

    def _is_told(self, row: int) -> bool:
        return bool(self._has[row]) and self._fixed_s[row] == 0.0
