"""The last fit: the room that a walk in merit order leaves, used by other levels of the same loads."""

from dataclasses import dataclass

import numpy as np

from daemon.allocation.curves import Curves
from daemon.allocation.loads import Bools, Ints
from daemon.allocation.merit import in_order, merits
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
    curves: Curves, level: Ints, span: Span, group: Ints | None, room_w: Floats, allowed_w: Floats | None
) -> Ints:
    """Levels that make more of the room of each group: one load up, or one up and another down; and again.

    No load more is ordered about than the walk did. Each choice is the best of a set of moves that does
    not depend on the room, and none gives watts back: less room never leads to a larger sum.

    Args:
        curves: what the loads draw and earn.
        level: (loads,): where the walk left them.
        span: what may be changed.
        group: (loads,): whose room each load uses; `None` = there is but one room.
        room_w: (groups,): what the walk left.
        allowed_w: (loads,): what else bounds a load's rise; `None` = nothing.
    """
    for more in reversed(range(_ROUNDS if len(level) <= _FEW else 1)):
        before = level
        level, spent_w = _better(curves, level, span, group, room_w, allowed_w)
        if level is before or not more:
            break
        room_w = room_w - spent_w
        if allowed_w is not None:
            rise_w = curves.watts_at(np.maximum(level, 0)) - curves.watts_at(np.maximum(before, 0))
            rise_w = np.maximum(rise_w, 0.0)
            # The circuits above a load may be those of its whole group: what one takes all have less.
            if group is None:
                allowed_w = allowed_w - np.cumsum(rise_w)[-1]
            else:
                allowed_w = allowed_w - np.bincount(group, rise_w, len(room_w))[group]
    return level


def _better(
    curves: Curves, level: Ints, span: Span, group: Ints | None, room_w: Floats, allowed_w: Floats | None
) -> tuple[Ints, Floats]:
    """One choice in each group: levels, the same array if there is none, and (groups,) what room it takes."""
    wide = np.sqrt(_PAIRS / len(room_w)) / curves.levels
    count = int(np.clip(wide, _FEWEST, _MOST))
    free = span.free & (room_w[0] > 0 if group is None else (room_w > 0).take(group))
    above = _nearest(curves, level, free & (level < span.high), group, count, 1)
    below = _nearest(curves, level, free & (level > span.low), group, count, -1)
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
    curves: Curves, level: Ints, may: Bools, group: Ints | None, count: int, way: int
) -> tuple[Ints, Ints, Ints]:
    """The loads of every group whose next step the walk would take next: groups, places from 0, loads."""
    load = np.flatnonzero(may)
    here = level.take(load) * len(level) + load
    to = here + way * len(level)
    # Both are of the same sign, and so the merit is the same both ways.
    watts = np.abs(curves.watts.ravel().take(to) - curves.watts.ravel().take(here))
    value = np.abs(curves.value.ravel().take(to) - curves.value.ravel().take(here))
    merit, tier = merits(value, watts), curves.tier.take(load)
    rank = tier if way < 0 else 2 - tier
    if group is None:
        # Of one group alone, only the nearest are sorted.
        load = load.take(in_order(rank, -way * merit, count))
        return np.zeros(len(load), dtype=np.int64), np.arange(len(load)), load
    groups = group.take(load)
    order = in_order(groups * 4 + rank, -way * merit)
    load, groups = load.take(order), groups.take(order)
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
