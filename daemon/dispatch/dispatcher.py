"""Sends set-points and sends them again while a load does not hold its own."""

from collections.abc import Iterable

import numpy as np

from daemon.allocation.loads import Bools, Ints, Loads
from daemon.allocation.memory import LoadMemory
from daemon.table.table import Floats, WriteOutcome
from drivers.ports import Fleet, WriteResult

_RETRY_AFTER_S = np.array([3.0, 10.0, 30.0, 60.0, 300.0])
"""Pause before each further write of the same set-point; the last one repeats."""
_READ_BACK_W = 30.0
"""A read-back may differ from the order by the device's own rounding."""
_FRESH_READ_S = 5.0
"""A read-back is compared only so long after the write."""


class Dispatcher:
    """Keeps every load's last order in force, with a budget of writes.

    A device's OK says that it understood, not that it obeyed: only its measured power confirms
    (`LoadMemory.obeys`). A retry never restarts a settle window.
    """

    def __init__(self, loads: Loads, sleeps: Bools, fleet: Fleet) -> None:
        """Orders go to `fleet`. `sleeps`: (loads,), whether the lowest level is sleep."""
        count = len(loads)
        self._loads = loads
        self._sleeps = sleeps
        self._fleet = fleet
        self._index = {int(row): index for index, row in enumerate(loads.rows)}
        self._sent_s = np.full(count, -np.inf)
        self._tries = np.zeros(count, dtype=np.int64)
        self._unwritten = np.zeros(count, dtype=np.bool_)
        self.writes = 0
        """Set-points handed to the fleet so far."""

    @property
    def last_sent_s(self) -> float:
        """When the newest order went out, monotonic; −inf = never."""
        return float(self._sent_s.max(initial=-np.inf))

    def take(self, outcomes: Iterable[WriteOutcome]) -> None:
        """Note how writes ended."""
        for outcome in outcomes:
            index = self._index.get(outcome.row)
            if index is not None:
                self._unwritten[index] = outcome.result is not WriteResult.ACKNOWLEDGED

    def order(self, before: Ints, after: Ints, now_s: float) -> int:
        """Send every load whose level changed its new set-point; how many those were."""
        changed = np.flatnonzero(before != after)
        for index in changed:
            self._send(int(index), int(after[index]), now_s)
        self._tries[changed] = 0
        return len(changed)

    def remind(self, memory: LoadMemory, setpoint_w: Floats, excluded: Bools, now_s: float) -> int:
        """Send again what did not arrive, is not held or is not obeyed; how many writes that was.

        Args:
            memory: the loads as just observed.
            setpoint_w: fresh read-backs, W; NaN = none.
            excluded: loads that are not to be written to.
            now_s: monotonic.
        """
        # A limit that a load was found with at the start is held like one of our own.
        ours = np.isfinite(memory.ordered_s) | ((memory.level >= 0) & (memory.level < self._loads.top))
        if not ours.any():
            return 0
        settled = ~memory.in_window(self._loads, now_s)
        readable = now_s - self._sent_s > _FRESH_READ_S
        differs = self._differs(memory, setpoint_w) & readable
        wrong = self._unwritten | (~memory.obeys & settled) | differs
        pause_s = _RETRY_AFTER_S[np.minimum(self._tries, len(_RETRY_AFTER_S) - 1)]
        due = ours & wrong & ~excluded & (now_s - self._sent_s >= pause_s)
        for index in np.flatnonzero(due):
            self._send(int(index), int(memory.level[index]), now_s)
            self._tries[index] += 1
        self._tries[~wrong & settled & readable] = 0
        return int(due.sum())

    def disobeying(self, memory: LoadMemory) -> Ints:
        """Indices of the loads that were reminded twice and still do not obey."""
        return np.flatnonzero(~memory.obeys & (self._tries >= 2))

    def _differs(self, memory: LoadMemory, setpoint_w: Floats) -> Bools:
        """Loads that say they hold another set-point than they were sent."""
        rows = np.arange(len(self._loads))
        level = np.maximum(memory.level, 0)
        wanted_w = np.where(self._sleeps & (level == 0), 0.0, self._loads.watts[rows, level])
        unlimited = level == self._loads.top
        higher = setpoint_w > wanted_w + _READ_BACK_W
        lower = setpoint_w < wanted_w - _READ_BACK_W
        differs: Bools = np.isfinite(setpoint_w) & (lower | (higher & ~unlimited))
        return differs

    def _send(self, index: int, level: int, now_s: float) -> None:
        self._fleet.order(int(self._loads.rows[index]), self._watts(index, level))
        self._sent_s[index] = now_s
        self._unwritten[index] = False
        self.writes += 1

    def _watts(self, index: int, level: int) -> float | None:
        if level == self._loads.top[index]:
            return None
        if level == 0 and self._sleeps[index]:
            return 0.0
        return float(self._loads.watts[index, level])
