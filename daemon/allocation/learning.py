"""What a look at the loads teaches: where they are, whether they obey, what they draw and produce."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from daemon.allocation.loads import Bools, Ints, Loads
from daemon.allocation.memory import UNKNOWN, LoadMemory, tolerated_w
from daemon.table.table import Floats

_LEARN_UP = 0.5
_LEARN_DOWN = 0.2
_LEARN_WARM_S = 300.0
"""A load that rose may still be warming up: that it draws less than its level is believed slowly."""
_LEARN_WITHIN = 0.15
_TOLERANCE_W = 60.0
_EARN_S = 300.0
"""Time constant of what a load is known to produce: a pool that is away for a moment costs it no rank."""
_EARNS_AT_MOST = 1.2
_ALIKE_W = 0.05
"""Half of the finest step in which devices tell their power: closer than this no reading teaches anything."""
_EARNS_ALIKE = 1e-4
"""Shares of the promised output that differ by less rank no load higher."""
_SAME_S = 0.01
"""Two looks at one measurement differ by no more than rounding."""
_ALLOWED = 1.04
"""A set-point may lie so far below a level's nominal power and still mean that level."""


def adopted(memory: LoadMemory, loads: Loads, measured_w: Floats, setpoint_w: Floats) -> LoadMemory:
    """Loads that nobody has ordered yet are taken to be where they are found.

    The set-point that a device says it holds counts more than its power: a miner that warms up, or a rack
    without jobs, draws little and will draw all. Nothing is written for this.
    """
    if memory.all_known:
        return memory
    unknown = memory.level == UNKNOWN
    known_setpoint = np.isfinite(setpoint_w)
    found = unknown & (known_setpoint | np.isfinite(measured_w))
    if not found.any():
        return memory
    drawing_w = np.where(loads.shows_limit, np.inf, measured_w)[:, None]
    allowed = loads.watts * _ALLOWED >= setpoint_w[:, None]
    reaches = np.where(known_setpoint[:, None], allowed, tolerated_w(loads.watts) >= drawing_w)
    level = np.where(reaches.any(axis=1), reaches.argmax(axis=1), loads.top)
    return replace(memory, level=np.where(found, np.minimum(level, loads.top), memory.level))


def observed(
    memory: LoadMemory,
    loads: Loads,
    measured_w: Floats,
    sampled_s: Floats,
    now_s: float,
    output: Callable[[], Floats] | None = None,
) -> LoadMemory:
    """After a look at the loads' measured power and output.

    Args:
        memory: as of the last look.
        loads: the loads.
        measured_w: W; NaN = not fresh.
        sampled_s: when the requests of these measurements went out, monotonic.
        now_s: monotonic.
        output: gives what each produces, in the unit of its profile, NaN = not fresh; `None` = nobody knows.
    """
    # Only some are measured anew at a time: it is only them that are worked on.
    new = np.flatnonzero(np.isfinite(measured_w) & (sampled_s > memory.seen_s + _SAME_S))
    if not len(new):
        return memory
    before, level, seen_s = memory, memory.level.take(new), memory.seen_s.copy()
    seen_s[new] = sampled_s.take(new)
    memory = replace(memory, seen_s=seen_s)
    follows = measured_w.take(new) <= tolerated_w(before.at_level_w().take(new))
    learns = ~memory.in_window(loads, now_s, new)
    if not before.all_known:
        learns &= level != UNKNOWN
    # Running as it likes proves nothing: a load that did not obey has to be seen below its full power.
    proves = follows & (level < loads.top.take(new))
    obeys = proves | (memory.obeys.take(new) & (follows | ~learns))
    learning = new.take(np.flatnonzero(learns))
    learned_w, met, drew_else = _learned(memory, loads, measured_w, learning)
    earning, earned_else = memory.earning, learning[:0]
    if output is not None:
        warm = now_s - memory.ordered_s.take(learning) >= _LEARN_WARM_S
        earning, earned_else = _earning(memory, loads, output, learning.take(np.flatnonzero(warm)))
    learned_s = memory.learned_s
    if len(drew_else) or len(earned_else):
        learned_s = learned_s.copy()
        for those in (drew_else, earned_else):
            learned_s[those] = seen_s.take(those)
    after = replace(
        memory,
        obeys=_with(memory.obeys, new, obeys),
        proven=_with(memory.proven, new, memory.proven.take(new) | proves),
        learned_s=learned_s,
        learned_w=learned_w,
        met=met,
        earning=earning,
    )
    after.go_on_from(before, drew_else)
    return after


def _with(column: Bools, those: Ints, values: Bools) -> Bools:
    """The column with values of some loads; the same array if they are those already."""
    if np.array_equal(column.take(those), values):
        return column
    column = column.copy()
    column[those] = values
    return column


def _earning(
    memory: LoadMemory, loads: Loads, output: Callable[[], Floats], runs: Ints
) -> tuple[Floats, Ints]:
    """(loads,): what each produces of what its profile promises, asleep as it was; and whose is new."""
    if not len(runs):
        return memory.earning, runs
    at = runs * loads.output.shape[1] + np.maximum(memory.level.take(runs), 0)
    expected, produced = loads.output.ravel().take(at), output().take(runs)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip(produced / expected, 0.0, _EARNS_AT_MOST)
    before = memory.earning.take(runs)
    another = np.flatnonzero((expected > 0) & (np.abs(share - before) > _EARNS_ALIKE))
    if not len(another):
        return memory.earning, another
    runs, share, before = runs.take(another), share.take(another), before.take(another)
    earning = memory.earning.copy()
    earning[runs] = before + np.minimum(1.0, loads.period_s.take(runs) / _EARN_S) * (share - before)
    return earning, runs


def _learned(memory: LoadMemory, loads: Loads, measured_w: Floats, rows: Ints) -> tuple[Floats, Bools, Ints]:
    """Learned powers, where they were met, and whose are new, after a look at some of the loads."""
    levels = loads.watts.shape[1]
    level, looked_w = np.maximum(memory.level.take(rows), 0), measured_w.take(rows)
    at = rows * levels + level
    nominal_w = loads.watts.ravel().take(at)
    teaches = np.abs(looked_w - memory.learned_w.ravel().take(at)) > _ALIKE_W
    teaches |= ~memory.met.ravel().take(at)
    # Only near what the profile says: a load without work draws less and may return at any moment.
    teaches &= np.abs(looked_w - nominal_w) <= _LEARN_WITHIN * nominal_w + _TOLERANCE_W
    those = np.flatnonzero(teaches)
    if not len(those):
        return memory.learned_w, memory.met, those
    rows, level = rows.take(those), level.take(those)
    nominal_w, looked_w = nominal_w.take(those), looked_w.take(those)
    # Only the rows that learn are worked on, and put back at the end.
    here, met_here = memory.learned_w.take(rows, axis=0), memory.met.take(rows, axis=0)
    places = np.arange(len(rows)) * levels + level
    before_w = here.ravel().take(places)
    error_w = looked_w - before_w
    share_down = np.where(
        memory.rose.take(rows), np.minimum(1.0, loads.period_s.take(rows) / _LEARN_WARM_S), _LEARN_DOWN
    )
    now_w = before_w + np.where(error_w > 0, _LEARN_UP, share_down) * error_w
    here.ravel()[places] = now_w
    met_here.ravel()[places] = True
    awake = level > 0
    factor = np.divide(now_w, nominal_w, out=np.ones(len(rows)), where=awake)
    unmet = ~met_here & awake[:, None]
    unmet[:, 0] = False  # asleep, a unit's deviation at work says nothing
    here = np.where(unmet, loads.watts.take(rows, axis=0) * factor[:, None], here)
    # More at a level above is more: ascending before, they are so again.
    for above in range(1, levels):
        np.maximum(here[:, above], here[:, above - 1], out=here[:, above])
    learned_w, met = memory.learned_w.copy(), memory.met
    learned_w[rows] = here
    if not met.ravel().take(at.take(those)).all():
        met = met.copy()
        met[rows] = met_here
    return learned_w, met, rows
