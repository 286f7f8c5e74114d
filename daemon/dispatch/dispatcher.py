"""Sends set-points and sends them again while a load does not hold its own."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from daemon.allocation.loads import Bools, Ints, Loads
from daemon.allocation.memory import LoadMemory
from daemon.dispatch.budget import WriteBudget
from daemon.dispatch.read_back import ReadBacks
from daemon.dispatch.reversion import ReversionTimers
from daemon.table.carrying import Origin, carry
from daemon.table.table import Floats, WriteOutcome
from drivers.ports import Fleet, WriteResult

_RETRY_AFTER_S = np.array([3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0])
"""Pause before each further write of the same set-point; the last one repeats."""
_ASTRAY = 4
"""Of the pauses, the longest before an order that did not arrive, or that the device says it does not hold.
Only one that has its order and draws what it likes is left alone for longer: to say it again changes
nothing, and what changes about the device shows in its read-back."""
_FRESH_READ_S = 5.0
"""A read-back is compared only so long after the write."""


@dataclass(frozen=True, slots=True)
class Endurance:
    """What set-points bear, and how long they hold."""

    writes_per_day: Floats
    """(loads,): inf = any number."""
    reverts_after_s: Floats
    """(loads,): inf = it keeps its order for ever."""

    @classmethod
    def unbounded(cls, count: int) -> "Endurance":
        """Of loads that bear any number of writes and keep their orders."""
        return cls(np.full(count, np.inf), np.full(count, np.inf))


@dataclass(frozen=True, slots=True)
class _Calm:
    """What was seen when nothing was wrong with any load."""

    memory: LoadMemory
    setpoint_w: Floats
    until_s: float
    """Monotonic: from then on somebody is missing who was not, if nothing else is seen."""

    def still(self, memory: LoadMemory, setpoint_w: Floats, now_s: float) -> bool:
        """Whether nothing else has been seen since: all that was right has stayed so."""
        if memory is not self.memory or now_s > self.until_s:
            return False
        return np.array_equal(setpoint_w, self.setpoint_w, equal_nan=True)


class Dispatcher:
    """Keeps every load's last order in force, with a budget of writes.

    A device's OK says that it understood, not that it obeyed: only its measured power confirms
    (`LoadMemory.obeys`). A retry never restarts a settle window.
    """

    def __init__(self, loads: Loads, sleeps: Bools, fleet: Fleet, endurance: Endurance | None = None) -> None:
        """Orders go to `fleet`.

        Args:
            loads: the loads.
            sleeps: (loads,): whether the lowest level is sleep.
            fleet: takes the orders.
            endurance: what the set-points bear and how they end; `None` = any number of writes, never.
        """
        count = len(loads)
        self._loads = loads
        self._sleeps = sleeps
        self._fleet = fleet
        self._read_backs = ReadBacks(loads, sleeps)
        self._index = {int(row): index for index, row in enumerate(loads.rows)}
        self._sent_s = np.full(count, -np.inf)
        self._last_sent_s = -np.inf
        self._calm: _Calm | None = None
        self._tries = np.zeros(count, dtype=np.int64)
        self._unwritten = np.zeros(count, dtype=np.bool_)
        self._differed = np.zeros(count, dtype=np.bool_)
        """(loads,): what it said last of its set-point was another one."""
        self._gone = np.zeros(count, dtype=np.bool_)
        """(loads,): missing when last looked at."""
        endurance = Endurance.unbounded(count) if endurance is None else endurance
        self._budget = WriteBudget(endurance.writes_per_day)
        self._timers = ReversionTimers(loads, endurance.reverts_after_s, fleet)
        self.writes = 0
        """Set-points handed to the fleet so far."""

    def take_over(self, before: "Dispatcher", origin: Origin) -> None:
        """Go on with the orders of the loads that were there already."""
        carry(before, self, ("_sent_s", "_tries", "_unwritten", "_differed", "_gone"), origin)
        self._budget.take_over(before._budget, origin)  # noqa: SLF001  of the same class
        self._timers.take_over(before._timers, origin)  # noqa: SLF001  of the same class
        self._last_sent_s, self.writes = before.last_sent_s, before.writes

    @property
    def has_timers(self) -> bool:
        """Whether there are reversion timers to feed."""
        return self._timers.any

    @property
    def last_sent_s(self) -> float:
        """When the newest order went out, monotonic; −inf = never."""
        return self._last_sent_s

    def sparing(self, now_s: float) -> Bools | None:
        """(loads,): whose writes are used up: they are written to only to shed; `None` = nobody's are."""
        spent = self._budget.spent(now_s)
        return spent if np.count_nonzero(spent) else None

    def take(self, outcomes: Iterable[WriteOutcome]) -> None:
        """Note how writes ended."""
        timed = self._timers.any
        for outcome in outcomes:
            index = self._index.get(outcome.row)
            if index is not None:
                arrived = outcome.result is WriteResult.ACKNOWLEDGED
                self._unwritten[index] = not arrived
                if timed:
                    self._timers.wrote(index, outcome.started_s, arrived=arrived)
                self._calm = None

    def order(self, before: Ints, after: Ints, now_s: float) -> int:
        """Send every load whose level changed its new set-point; how many those were."""
        if after is before:
            return 0
        changed = np.flatnonzero(before != after)
        self._send(changed, after, now_s)
        self._tries[changed] = 0
        return len(changed)

    def restart(self, load: int, memory: LoadMemory, now_s: float) -> None:
        """Write a load's set-point again, for one that every write restarts."""
        self._send(np.array([load]), memory.level, now_s)

    def remind(self, memory: LoadMemory, setpoint_w: Floats, excluded: Bools, now_s: float) -> int:
        """Send again what did not arrive, is not held or is not obeyed; how many writes that was.

        Args:
            memory: the loads as just observed.
            setpoint_w: fresh read-backs, W; NaN = none.
            excluded: loads that are not to be written to.
            now_s: monotonic.
        """
        calm = self._calm
        if calm is not None and calm.still(memory, setpoint_w, now_s):
            return 0
        # A limit that a load was found with at the start is held like one of our own.
        ours = np.isfinite(memory.ordered_s) | ((memory.level >= 0) & (memory.level < self._loads.top))
        if not np.count_nonzero(ours):
            return 0
        settled = ~memory.in_window(self._loads, now_s)
        readable = now_s - self._sent_s > _FRESH_READ_S
        differs = self._read_backs.differ(memory.level, setpoint_w) & readable
        wrong = self._unwritten | (~memory.obeys & settled) | differs
        self._begin_anew(memory, setpoint_w, differs, readable, now_s)
        due = self._due((ours & wrong & ~excluded).nonzero()[0], memory, setpoint_w, differs, now_s)
        self._send(due, memory.level, now_s)
        self._tries[due] += 1
        right = ~wrong & settled & readable
        tried = self._tries.nonzero()[0]
        self._tries[tried[right.take(tried)]] = 0
        if np.count_nonzero(right) == len(right):
            until_s = (memory.seen_s + self._loads.blip_s).min(initial=np.inf, where=~self._gone)
            self._calm = _Calm(memory, setpoint_w, float(until_s))
        else:
            self._calm = None
        return len(due)

    def _due(self, those: Ints, memory: LoadMemory, setpoint_w: Floats, differs: Bools, now_s: float) -> Ints:
        """Which of those have waited long enough to be told again."""
        if not len(those):
            return those
        unwritten = self._unwritten[those]
        unlimited = memory.level[those] == self._loads.top[those]
        holds = (np.isfinite(setpoint_w[those]) | unlimited) & ~differs[those] & ~unwritten
        longest = np.where(holds, len(_RETRY_AFTER_S) - 1, _ASTRAY)
        pause_s = _RETRY_AFTER_S[np.minimum(self._tries[those], longest)]
        # What did not arrive may be a shed, and what was forgotten is one again, though to one that shows
        # something else for ever it is not said for ever. What is held and not obeyed waits for writes.
        watts = self._loads.watts[those, np.maximum(memory.level[those], 0)]
        forgotten = differs[those] & (setpoint_w[those] > watts) & (self._tries[those] < _ASTRAY)
        allowed = unwritten | forgotten | ~self._budget.spent(now_s)[those]
        return those[allowed & (now_s - self._sent_s[those] >= pause_s)]

    def feed_timers(self, memory: LoadMemory, shares_w: Floats, excluded: Bools, now_s: float) -> None:
        """Keep reversion timers from ending: their orders are written anew, right as they are.

        Args:
            memory: the loads.
            shares_w: (loads,): what each falls back to if it hears no more.
            excluded: loads that are not to be written to.
            now_s: monotonic.
        """
        if not self.has_timers:
            return
        due = self._timers.due(now_s, ~excluded & (memory.level >= 0))
        if len(due):
            self._timers.arm(due, shares_w)
            self._hand_over(due, memory.level)

    def stubborn(self, memory: LoadMemory) -> Bools:
        """(loads,): reminded twice, and still they do not obey."""
        stubborn: Bools = ~memory.obeys & (self._tries >= 2)
        return stubborn

    def disobeying(self, memory: LoadMemory) -> Ints:
        """Indices of the loads that were reminded twice and still do not obey."""
        return self.stubborn(memory).nonzero()[0]

    def _begin_anew(
        self, memory: LoadMemory, setpoint_w: Floats, differs: Bools, readable: Bools, now_s: float
    ) -> None:
        """Who drifts now, or is back, is told at once however often it was told in vain before."""
        missing = memory.missing(self._loads, now_s)
        anew = ((differs & ~self._differed) | (self._gone & ~missing)).nonzero()[0]
        self._tries[anew] = 0
        self._timers.hasten(anew)
        shown = readable & np.isfinite(setpoint_w)
        self._differed = (shown & differs) | (~shown & self._differed)
        self._gone = missing

    def _send(self, those: Ints, level: Ints, now_s: float) -> None:
        if not len(those):
            return
        self._calm = None
        self._last_sent_s = max(self._last_sent_s, now_s)
        self._sent_s[those] = now_s
        self._unwritten[those] = False
        self._budget.spend(those, now_s)
        self._hand_over(those, level)

    def _hand_over(self, those: Ints, level: Ints) -> None:
        self.writes += len(those)
        level = level[those]
        watts = np.where((level == 0) & self._sleeps[those], 0.0, self._loads.watts[those, level])
        unlimited = level == self._loads.top[those]
        rows = self._loads.rows[those]
        for row, at, free in zip(rows.tolist(), watts.tolist(), unlimited.tolist(), strict=True):
            self._fleet.order(row, None if free else at)
