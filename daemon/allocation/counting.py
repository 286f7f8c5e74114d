"""What loads count at: the most that each may draw without another order."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daemon.allocation.curves import Curves
from daemon.allocation.loads import Bools, Loads, of_each
from daemon.allocation.memory import UNKNOWN, LoadMemory, tolerated_w
from daemon.table.table import Floats

_UNSEEN_S = 3.0
_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class Look:
    """The loads as one cycle sees them. What several parts of the cycle ask for is worked out once."""

    memory: LoadMemory
    loads: Loads
    measured_w: Floats
    """(loads,): fresh power; NaN = absent."""
    now_s: float
    before: Curves | None = None
    """Of an earlier look at the same loads: what has not changed since is taken over."""
    dark: Bools | None = None
    """(loads,): silent, and seen to be without power: missing from now on; `None` = none is."""

    def holds(self, memory: LoadMemory, measured_w: Floats, now_s: float) -> bool:
        """Whether all that is worked out here would come out the same now."""
        return (
            memory is self.memory
            and now_s < self._until_s
            and np.array_equal(measured_w, self.measured_w, equal_nan=True)
        )

    def later(self, now_s: float) -> "Look":
        """The same at another time, with all that was worked out; only where it `holds`."""
        same = copy(self)
        object.__setattr__(same, "now_s", now_s)
        return same

    @cached_property
    def curves(self) -> Curves:
        """What the loads draw and earn, as learned."""
        memory = self.memory
        if self.before is None:
            return Curves.of(self.loads, memory.learned_w, memory.earning, memory.learned_s)
        return self.before.later(self.loads, memory.learned_w, memory.earning, memory.learned_s)

    @property
    def last_curves(self) -> Curves | None:
        """The newest that were worked out, here or before; `None` = never."""
        worked_out: Curves | None = self.__dict__.get("curves", self.before)
        return worked_out

    @cached_property
    def _until_s(self) -> float:
        """Until then time alone changes nothing: no load is in its settle window, none goes missing."""
        if not self.all_settled:
            return -np.inf
        seen_s = self.memory.seen_s + self.loads.blip_s
        return float(seen_s.min(initial=np.inf, where=~self.missing)) - _ROUNDING_S

    @cached_property
    def missing(self) -> Bools:
        """(loads,): not measured for longer than a blip, or dark."""
        missing = self.memory.missing(self.loads, self.now_s)
        return missing if self.dark is None else missing | self.dark

    @cached_property
    def all_answer(self) -> bool:
        """No load is missing."""
        return not self.missing.any()

    @cached_property
    def in_window(self) -> Bools:
        """(loads,): so shortly after an order that the load counts as commanded."""
        return self.memory.in_window(self.loads, self.now_s)

    @cached_property
    def all_settled(self) -> bool:
        """No load is in its settle window."""
        return not self.in_window.any()

    @cached_property
    def counted_w(self) -> Floats:
        """(loads,): the most that each may draw without another order.

        Within its settle window: as commanded. Afterwards, obeying: the learned power of its level, even
        if it draws less. Not obeying: measured if fresh, else nameplate. Unknown or not answering: nameplate.
        """
        memory = self.memory
        commanded_w = memory.at_level_w()
        if memory.all_obey and memory.all_known and self.all_answer:
            return commanded_w
        unknown = memory.level == UNKNOWN
        doubtful = np.flatnonzero(~memory.obeys | self.missing | unknown)
        measured_w, nameplate_w = self.measured_w.take(doubtful), self.loads.nameplate_w.take(doubtful)
        used = np.isfinite(measured_w) & ~unknown.take(doubtful)
        counted = commanded_w.copy()
        counted[doubtful] = np.where(used, np.maximum(measured_w, commanded_w.take(doubtful)), nameplate_w)
        return counted

    @cached_property
    def loads_w(self) -> float:
        """What the loads count at together."""
        return float(self.counted_w.sum())

    @cached_property
    def all_up_w(self) -> float:
        """What they would draw together, all at their highest levels."""
        return float(self.curves.top_w.sum())

    @cached_property
    def least_step_w(self) -> float:
        """The least that any load would count more one level higher; inf = all are at the top."""
        level, top = self.memory.level, self.loads.top
        next_w = of_each(self.memory.learned_w, np.minimum(level + 1, top)) - self.counted_w
        return float(next_w.min(initial=np.inf, where=(level >= 0) & (level < top)))

    @cached_property
    def overdue(self) -> Bools:
        """(loads,): in their settle window, and seen not to follow when their order should have arrived.

        Those that were not seen at all since then, a poll and a moment later, are overdue as well.
        """
        if self.all_settled:
            return self.in_window
        memory, loads, those = self.memory, self.loads, np.flatnonzero(self.in_window)
        arrives_s = memory.ordered_s.take(those) + loads.latency_down_s.take(those)
        seen = memory.seen_s.take(those) >= arrives_s
        unseen = ~seen & (self.now_s >= arrives_s + loads.period_s.take(those) + _UNSEEN_S)
        measured_w = self.measured_w.take(those)
        drew_w = np.where(np.isfinite(measured_w), measured_w, memory.before_w.take(those))
        follows = drew_w <= tolerated_w(memory.at_level_w().take(those))
        late = np.zeros(len(loads), dtype=np.bool_)
        late[those] = unseen | (seen & ~follows)
        return late
