"""The last fit: the room that a walk in merit order leaves, used by other levels of the same loads."""

from dataclasses import dataclass

import numpy as np

from daemon.allocation.curves import Curves
from daemon.allocation.loads import Bools, Ints
from daemon.allocation.merit import in_order
from daemon.table.table import Floats

_TIER = 1e4
"""The value of a tier's output stands so far above that of the one below."""
_PAIRS = 100_000
"""That are looked at, over all groups together."""
_FEWEST = 6
_MOST = 60
"""Loads of a group that are looked at."""
_NEVER = 1e18
_ROUNDS = 4
_FEW = 2_000
"""Among more loads than these one choice in a group is enough."""


@dataclass(frozen=True, slots=True)
class Span:
    """Between which levels loads may be set, and where they were before the walk."""

    free: Bools
    """(loads,): may be set at all."""
    low: Ints
    high: Ints
    before: Ints


@dataclass(frozen=True, slots=True)
class _Moves:
    """Single loads to other levels: (groups, places). The first place is to leave all as it is."""

    load: Ints
    to: Ints
    watts: Floats
    value: Floats
    more: Ints
    """How many loads more are ordered about by it: −1, 0 or 1."""

    def only(self, places: Ints) -> "_Moves":
        """Those at some of the places."""
        return _Moves(
            self.load[:, places],
            self.to[:, places],
            self.watts[:, places],
            self.value[:, places],
            self.more[:, places],
        )

    def at(self, group: Ints, place: Ints) -> tuple[Ints, Ints]:
        """Loads and levels of some of them."""
        real = self.load[group, place] >= 0
        return self.load[group, place][real], self.to[group, place][real]


def fitted(
    curves: Curves, level: Ints, span: Span, group: Ints, room_w: Floats, allowed_w: Floats | None
) -> Ints:
    """Levels that make more of the room of each group: one load up, or one up and another down; and again.

    No load more is ordered about than the walk did. Each choice is the best of a set of moves that does
    not depend on the room, and none gives watts back: less room never leads to a larger sum.

    Args:
        curves: what the loads draw and earn.
        level: (loads,): where the walk left them.
        span: what may be changed.
        group: (loads,): whose room each load uses.
        room_w: (groups,): what the walk left.
        allowed_w: (loads,): what else bounds a load's rise; `None` = nothing.
    """
    for _ in range(_ROUNDS if len(level) <= _FEW else 1):
        before = level
        level, spent_w = _better(curves, level, span, group, room_w, allowed_w)
        if level is before:
            break
        room_w = room_w - spent_w
        if allowed_w is not None:
            rise_w = curves.watts_at(np.maximum(level, 0)) - curves.watts_at(np.maximum(before, 0))
            # The circuits above a load may be those of its whole group: what one takes all have less.
            allowed_w = allowed_w - np.bincount(group, np.maximum(rise_w, 0.0), len(room_w))[group]
    return level


def _better(
    curves: Curves, level: Ints, span: Span, group: Ints, room_w: Floats, allowed_w: Floats | None
) -> tuple[Ints, Floats]:
    """One choice in each group: levels, the same array if there is none, and (groups,) what room it takes."""
    wide = np.sqrt(_PAIRS / len(room_w)) / curves.levels
    count = int(np.clip(wide, _FEWEST, _MOST))
    may_rise = span.free & (level < span.high) & (room_w > 0)[group]
    may_fall = span.free & (level > span.low) & (room_w > 0)[group]
    one = len(room_w) == 1
    above = _nearest(curves, level, may_rise, group, count, 1, one=one)
    below = _nearest(curves, level, may_fall, group, count, -1, one=one)
    ups = _moves(curves, level, span, above, len(room_w), 1)
    downs = _moves(curves, level, span, below, len(room_w), -1)
    if allowed_w is not None:
        ups.value[ups.watts > allowed_w[ups.load]] = -_NEVER
    watts = ups.watts[:, :, None] - downs.watts[:, None, :]
    works = (watts >= 0) & (watts <= room_w[:, None, None])
    works &= ups.more[:, :, None] + downs.more[:, None, :] <= 0
    works &= ups.load[:, :, None] != downs.load[:, None, :]
    value = np.where(works, ups.value[:, :, None] - downs.value[:, None, :], 0.0)
    groups = np.arange(len(room_w))
    up, down = np.divmod(value.reshape(len(room_w), -1).argmax(axis=1), downs.load.shape[1])
    gained = value[groups, up, down]
    better = groups[gained > 0]
    if not len(better):
        return level, np.zeros(len(room_w))
    level = level.copy()
    for load, to in (ups.at(better, up[better]), downs.at(better, down[better])):
        level[load] = to
    return level, np.where(gained > 0, watts[groups, up, down], 0.0)


def _nearest(
    curves: Curves, level: Ints, may: Bools, group: Ints, count: int, way: int, *, one: bool
) -> tuple[Ints, Ints, Ints]:
    """The loads of every group whose next step the walk would take next: groups, places from 0, loads."""
    load = np.flatnonzero(may)
    here, to = level[load], level[load] + way
    upper, lower = to * len(level) + load, here * len(level) + load
    watts = curves.watts.ravel().take(upper) - curves.watts.ravel().take(lower)
    value = curves.value.ravel().take(upper) - curves.value.ravel().take(lower)
    merit = np.divide(value, watts, out=np.full(len(load), np.inf), where=watts != 0)
    groups = group[load]
    rank = groups * 4 + (curves.tier[load] if way < 0 else 2 - curves.tier[load])
    # Of one group alone, only the nearest are sorted.
    order = in_order(rank, -way * merit, count if one else None)
    load, groups = load[order], groups[order]
    first = np.flatnonzero(np.diff(groups, prepend=-1))
    place = np.arange(len(load)) - np.repeat(first, np.diff(np.append(first, len(load))))
    near = place < count
    return groups[near], place[near], load[near]


def _moves(
    curves: Curves, level: Ints, span: Span, nearest: tuple[Ints, Ints, Ints], groups: int, way: int
) -> _Moves:
    """All that these loads can do in one direction; of watts and value, how much."""
    group, place, load = nearest
    levels = curves.levels
    shape = groups, 1 + (int(place.max(initial=-1)) + 1) * levels
    moves = _Moves(
        load=np.full(shape, -1),
        to=np.zeros(shape, dtype=np.int64),
        watts=np.zeros(shape),
        value=np.full(shape, -way * _NEVER),
        more=np.zeros(shape, dtype=np.int64),
    )
    moves.value[:, 0] = 0.0
    here, to = level[load], np.arange(levels)[:, None]
    low, high = span.low[load], span.high[load]
    to, which = np.nonzero((way * (to - here) > 0) & (to >= low) & (to <= high))
    who, here = load[which], here[which]
    at = group[which], 1 + place[which] * levels + to
    before = span.before[who]
    moves.load[at], moves.to[at] = who, to
    moves.watts[at] = way * (curves.watts[to, who] - curves.watts[here, who])
    worth = way * (curves.value[to, who] - curves.value[here, who])
    moves.value[at] = worth * _TIER ** curves.tier[who]
    moves.more[at] = (before != to).astype(np.int64) - (before != here)
    # Places that no group has a move for are left out: every pair of places is looked at.
    used = np.flatnonzero((moves.load[:, 1:] >= 0).any(axis=0)) + 1
    return moves.only(np.append(0, used))
