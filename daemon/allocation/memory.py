"""What is remembered of every load between two cycles: orders, obedience, learned power and output."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from daemon.allocation.loads import Bools, Ints, Loads, of_each
from daemon.table.carrying import Origin, carried
from daemon.table.table import Floats

UNKNOWN = -1
"""Level of a load of which nothing has been seen yet."""

_TOLERANCE = 0.04
_TOLERANCE_W = 60.0


@dataclass(frozen=True)
class LoadMemory:
    """Columns, one entry per load. Times are monotonic seconds."""

    level: Ints
    """Commanded (or found) level."""
    ordered_s: Floats
    """When the level was last changed by us; −inf = never. A retry does not move it."""
    before_w: Floats
    """What the load drew when the order went out."""
    off_since_s: Floats
    """When it was ordered to its lowest level; −inf = it is not there or was not ordered."""
    obeys: Bools
    """Whether its measured power followed its last order."""
    proven: Bools
    """Whether it was ever seen to follow an order to draw less than it can."""
    seen_s: Floats
    """When the request of its last good measurement went out."""
    rose: Bools
    """Whether the last order was one to draw more."""
    learned_s: Floats
    """Of which measurement anything in the columns below last came; −inf = of none."""
    learned_w: Floats
    """(loads, levels): what it really draws at a level."""
    met: Bools
    """(loads, levels): whether it was ever measured there; if not, its known deviation is taken over."""
    earning: Floats
    """What it produces while it runs, as a share of what its profile promises."""

    @classmethod
    def fresh(cls, loads: Loads) -> "LoadMemory":
        """Nothing is known yet; every load draws and produces what its profile says."""
        count = len(loads)
        never = np.full(count, -np.inf)
        return cls(
            level=np.full(count, UNKNOWN, dtype=np.int64),
            ordered_s=never,
            before_w=loads.nameplate_w.copy(),
            off_since_s=never,
            obeys=np.ones(count, dtype=np.bool_),
            proven=np.zeros(count, dtype=np.bool_),
            seen_s=never,
            rose=np.zeros(count, dtype=np.bool_),
            learned_s=never,
            learned_w=loads.watts.copy(),
            met=np.zeros(loads.watts.shape, dtype=np.bool_),
            earning=np.ones(count),
        )

    def carried(self, origin: Origin, loads: Loads) -> "LoadMemory":
        """Of other loads: who goes on from an old one keeps what is known of it."""
        fresh = LoadMemory.fresh(loads)
        columns = {
            each.name: carried(getattr(self, each.name), origin, getattr(fresh, each.name))
            for each in fields(self)
        }
        return LoadMemory(**columns)

    @cached_property
    def all_known(self) -> bool:
        """Every load has been seen."""
        return int(self.level.min(initial=0)) > UNKNOWN

    @cached_property
    def all_obey(self) -> bool:
        """Every load followed its last order."""
        return bool(self.obeys.all())

    @cached_property
    def _at_level_w(self) -> Floats:
        watts = of_each(self.learned_w, np.maximum(self.level, 0))  # a copy: ours to write to
        if not self.all_known:
            watts[self.level < 0] = 0.0
        watts.setflags(write=False)
        return watts

    def at_level_w(self) -> Floats:
        """(loads,): learned power of the level each load is at; 0 for unknown ones. Not to be written to."""
        return self._at_level_w

    def level_w(self, some: Ints, level: Ints) -> Floats:
        """Learned power of some of the loads, each at a level."""
        watts: Floats = self.learned_w.ravel().take(some * self.learned_w.shape[1] + level)
        return watts

    def go_on_from(self, before: "LoadMemory", changed: Ints) -> None:
        """Take over what was worked out before; only for the loads that have changed it is done anew."""
        worked_out: Floats | None = before.__dict__.get("_at_level_w")
        if worked_out is None:
            return
        level, watts = self.level.take(changed), worked_out.copy()
        learned_w = self.level_w(changed, np.maximum(level, 0))
        watts[changed] = learned_w if self.all_known else np.where(level >= 0, learned_w, 0.0)
        watts.setflags(write=False)
        self.__dict__["_at_level_w"] = watts

    def in_window(self, loads: Loads, now_s: float, some: Ints | None = None) -> Bools:
        """(loads,): so shortly after an order that the load counts as commanded; `some`: of these alone.

        Only a measurement that began after the settle window ends it: an older one says nothing of the
        order. A load that is not measured any more cannot stay in it.
        """
        if some is None:
            kept: tuple[float, Bools] | None = self.__dict__.get("_window")
            if kept is None or kept[0] != now_s:
                kept = self.__dict__["_window"] = now_s, self._in_window(loads, now_s, None)
                kept[1].setflags(write=False)
            return kept[1]
        return self._in_window(loads, now_s, some)

    def _in_window(self, loads: Loads, now_s: float, some: Ints | None) -> Bools:
        seen_s, ordered_s, settle_s, blip_s = self.seen_s, self.ordered_s, loads.settle_s, loads.blip_s
        if some is not None:
            seen_s, ordered_s = seen_s.take(some), ordered_s.take(some)
            settle_s, blip_s = settle_s.take(some), blip_s.take(some)
        unproven: Bools = seen_s < ordered_s + settle_s
        if not unproven.any():
            # What was seen after its window is out of it.
            return unproven
        unproven &= ~(now_s - seen_s > blip_s)
        window: Bools = (now_s - ordered_s < settle_s) | unproven
        return window

    def missing(self, loads: Loads, now_s: float) -> Bools:
        """(loads,): not measured for longer than a blip."""
        gone: Bools = now_s - self.seen_s > loads.blip_s
        return gone


def tolerated_w(watts: Floats) -> Floats:
    """The most that a load ordered to `watts` may draw and still be said to obey."""
    return watts * (1 + _TOLERANCE) + _TOLERANCE_W


def ordered(memory: LoadMemory, level: Ints, measured_w: Floats, counted: Floats, now_s: float) -> LoadMemory:
    """After new levels were ordered."""
    changed = np.flatnonzero(level != memory.level)
    if not len(changed):
        return memory
    to, drew_w = level.take(changed), measured_w.take(changed)
    ordered_s, before_w = memory.ordered_s.copy(), memory.before_w.copy()
    rose, off_since_s = memory.rose.copy(), np.where(level == 0, memory.off_since_s, -np.inf)
    ordered_s[changed] = now_s
    before_w[changed] = np.where(np.isfinite(drew_w), drew_w, counted.take(changed))
    rose[changed] = to > memory.level.take(changed)
    off_since_s[changed] = np.where(to == 0, now_s, -np.inf)
    after = replace(
        memory, level=level, ordered_s=ordered_s, before_w=before_w, rose=rose, off_since_s=off_since_s
    )
    after.go_on_from(memory, changed)
    return after
