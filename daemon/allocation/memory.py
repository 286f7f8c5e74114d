"""What is remembered of every load between two cycles: orders, obedience, learned power."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from daemon.allocation.loads import Bools, Ints, Loads
from daemon.table.table import Floats

UNKNOWN = -1
"""Level of a load of which nothing has been seen yet."""

_LEARN_UP = 0.5
_LEARN_DOWN = 0.2
_LEARN_WARM_S = 300.0
"""A load that rose may still be warming up: that it draws less than its level is believed slowly."""
_LEARN_WITHIN = 0.15
_TOLERANCE = 0.04
_TOLERANCE_W = 60.0
_SAME_S = 0.01
"""Two looks at one measurement differ by no more than rounding."""
_UNSEEN_S = 3.0
_BLIP_S = 12.0
_BLIP_POLLS = 3


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
    seen_s: Floats
    """When the request of its last good measurement went out."""
    rose: Bools
    """Whether the last order was one to draw more."""
    learned_w: Floats
    """(loads, levels): what it really draws at a level."""
    met: Bools
    """(loads, levels): whether it was ever measured there; if not, its known deviation is taken over."""

    @classmethod
    def fresh(cls, loads: Loads) -> "LoadMemory":
        """Nothing is known yet; every load draws what its profile says."""
        count = len(loads)
        never = np.full(count, -np.inf)
        return cls(
            level=np.full(count, UNKNOWN, dtype=np.int64),
            ordered_s=never,
            before_w=loads.nameplate_w.copy(),
            off_since_s=never,
            obeys=np.ones(count, dtype=np.bool_),
            seen_s=never,
            rose=np.zeros(count, dtype=np.bool_),
            learned_w=loads.watts.copy(),
            met=np.zeros(loads.watts.shape, dtype=np.bool_),
        )

    @cached_property
    def _at_level_w(self) -> Floats:
        rows = np.arange(len(self.level))
        return np.where(self.level >= 0, self.learned_w[rows, np.maximum(self.level, 0)], 0.0)

    def at_level_w(self) -> Floats:
        """(loads,): learned power of the level each load is at; 0 for unknown ones."""
        return self._at_level_w

    def in_window(self, loads: Loads, now_s: float) -> Bools:
        """(loads,): so shortly after an order that the load counts as commanded.

        Only a measurement that began after the settle window ends it: an older one says nothing of the
        order. A load that is not measured any more cannot stay in it.
        """
        unproven = (self.seen_s < self.ordered_s + loads.settle_s) & ~self.missing(loads, now_s)
        window: Bools = (now_s - self.ordered_s < loads.settle_s) | unproven
        return window

    def missing(self, loads: Loads, now_s: float) -> Bools:
        """(loads,): not measured for longer than a blip."""
        gone: Bools = now_s - self.seen_s > np.maximum(_BLIP_S, _BLIP_POLLS * loads.period_s)
        return gone


def tolerated_w(watts: Floats) -> Floats:
    """The most that a load ordered to `watts` may draw and still be said to obey."""
    return watts * (1 + _TOLERANCE) + _TOLERANCE_W


def adopted(memory: LoadMemory, loads: Loads, measured_w: Floats, setpoint_w: Floats) -> LoadMemory:
    """Loads that nobody has ordered yet are taken to be where they are found.

    The set-point that a device says it holds counts more than its power: a miner that warms up, or a rack
    without jobs, draws little and will draw all. Nothing is written for this.
    """
    unknown = memory.level == UNKNOWN
    known_setpoint = np.isfinite(setpoint_w)
    found = unknown & (known_setpoint | np.isfinite(measured_w))
    if not found.any():
        return memory
    drawing_w = np.where(loads.shows_limit, np.inf, measured_w)[:, None]
    allowed = loads.watts * (1 + _TOLERANCE) >= setpoint_w[:, None]
    reaches = np.where(known_setpoint[:, None], allowed, tolerated_w(loads.watts) >= drawing_w)
    level = np.where(reaches.any(axis=1), reaches.argmax(axis=1), loads.top)
    return replace(memory, level=np.where(found, np.minimum(level, loads.top), memory.level))


def observed(
    memory: LoadMemory, loads: Loads, measured_w: Floats, sampled_s: Floats, now_s: float
) -> LoadMemory:
    """After a look at the loads' measured power.

    Args:
        memory: as of the last look.
        loads: the loads.
        measured_w: W; NaN = not fresh.
        sampled_s: when the requests of these measurements went out, monotonic.
        now_s: monotonic.
    """
    new = np.isfinite(measured_w) & (sampled_s > memory.seen_s + _SAME_S)
    if not new.any():
        return memory
    memory = replace(memory, seen_s=np.where(new, sampled_s, memory.seen_s))
    known = memory.level != UNKNOWN
    expected_w = memory.at_level_w()
    follows = new & (measured_w <= tolerated_w(expected_w))
    settled = ~memory.in_window(loads, now_s)
    # Running as it likes proves nothing: a load that did not obey has to be seen below its full power.
    proves = follows & (memory.level < loads.top)
    obeys = proves | (memory.obeys & (follows | ~(new & settled & known)))
    learns = new & known & settled
    learned_w, met = _learned(memory, loads, measured_w, learns)
    return replace(
        memory,
        obeys=obeys,
        learned_w=learned_w,
        met=met,
    )


def _learned(memory: LoadMemory, loads: Loads, measured_w: Floats, learns: Bools) -> tuple[Floats, Bools]:
    """Learned powers, and where they were met, after a look."""
    rows = np.arange(len(loads))
    level = np.maximum(memory.level, 0)
    nominal_w = loads.watts[rows, level]
    # Only near what the profile says: a load without work draws less and may return at any moment.
    near = np.abs(measured_w - nominal_w) <= _LEARN_WITHIN * nominal_w + _TOLERANCE_W
    rows, level = rows[learns & near], level[learns & near]
    if not len(rows):
        return memory.learned_w, memory.met
    error_w = measured_w[rows] - memory.learned_w[rows, level]
    share_down = np.where(
        memory.rose[rows], np.minimum(1.0, loads.period_s[rows] / _LEARN_WARM_S), _LEARN_DOWN
    )
    learned_w, met = memory.learned_w.copy(), memory.met.copy()
    learned_w[rows, level] += np.where(error_w > 0, _LEARN_UP, share_down) * error_w
    met[rows, level] = True
    awake = level > 0
    factor = learned_w[rows, level][awake] / loads.watts[rows, level][awake]
    guessed_w = loads.watts[rows[awake]] * factor[:, None]
    unmet = ~met[rows[awake]]
    unmet[:, 0] = False  # asleep, a unit's deviation at work says nothing
    learned_w[rows[awake]] = np.where(unmet, guessed_w, learned_w[rows[awake]])
    return np.maximum.accumulate(learned_w, axis=1), met


def counted_w(memory: LoadMemory, loads: Loads, measured_w: Floats, now_s: float) -> Floats:
    """The most that each load may draw without another order.

    Within its settle window: as commanded. Afterwards, obeying: the learned power of its level, even if
    it draws less. Not obeying: measured if fresh, else nameplate. Unknown or not answering: nameplate.
    """
    commanded_w = memory.at_level_w()
    fresh = np.isfinite(measured_w)
    disobeying_w = np.where(fresh, np.maximum(measured_w, commanded_w), loads.nameplate_w)
    counted = np.where(memory.obeys & ~memory.missing(loads, now_s), commanded_w, disobeying_w)
    return np.where(memory.level == UNKNOWN, loads.nameplate_w, counted)


def overdue(memory: LoadMemory, loads: Loads, measured_w: Floats, now_s: float) -> Bools:
    """(loads,): in their settle window, and seen not to follow when their order should have arrived.

    Those that were not seen at all since then, a poll and a moment later, are overdue as well.
    """
    arrives_s = memory.ordered_s + loads.latency_down_s
    seen = memory.seen_s >= arrives_s
    unseen = ~seen & (now_s >= arrives_s + loads.period_s + _UNSEEN_S)
    drew_w = np.where(np.isfinite(measured_w), measured_w, memory.before_w)
    follows = drew_w <= tolerated_w(memory.at_level_w())
    late: Bools = memory.in_window(loads, now_s) & (unseen | (seen & ~follows))
    return late


def ordered(memory: LoadMemory, level: Ints, measured_w: Floats, counted: Floats, now_s: float) -> LoadMemory:
    """After new levels were ordered."""
    changed = level != memory.level
    if not changed.any():
        return memory
    drew_w = np.where(np.isfinite(measured_w), measured_w, counted)
    goes_off = changed & (level == 0)
    rose = np.where(changed, level > memory.level, memory.rose)
    return replace(
        memory,
        level=level,
        ordered_s=np.where(changed, now_s, memory.ordered_s),
        before_w=np.where(changed, drew_w, memory.before_w),
        rose=rose,
        off_since_s=np.where(goes_off, now_s, np.where(level == 0, memory.off_since_s, -np.inf)),
    )
