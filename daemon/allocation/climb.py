"""The way up, step by step in merit order: only as many of the steps are sorted as there is room for."""

from dataclasses import dataclass

import numpy as np

from daemon.allocation.curves import LAST_TIER, Curves
from daemon.allocation.loads import Bools, Ints
from daemon.allocation.merit import PLACE_BITS, keys, merits
from daemon.allocation.steps import Steps
from daemon.table.table import Floats

_FEW = 4_096
"""Steps that are sorted at once."""
_SAMPLES = 256
_AMPLE = 1.3


@dataclass(frozen=True, slots=True)
class Climb:
    """Steps up. A step's place is `level * loads + load`: the level after it, and whose it is."""

    words: Ints
    """(steps,): the key of each, and in the lowest bits its place; in no order. Smaller ones come first."""
    watts: Floats
    """By place: how much more the load counts after the step."""
    loads: int

    @classmethod
    def of(
        cls,
        curves: Curves,
        level: Ints,
        counted: Floats,
        may: Bools,
        *,
        upto: Ints | None = None,
        at_once: Bools | None = None,
    ) -> "Climb":
        """All steps up that loads can take, most valuable per watt first, critical tiers before.

        Args:
            curves: what the loads draw and earn.
            level: (loads,): where they are.
            counted: (loads,): a load that draws more than it was ordered to counts at that already.
            may: (loads,): who may.
            upto: (loads,): the last step of each ends here; `None` = at the top.
            at_once: (loads,): those that get there in one step; `None` = none.
        """
        loads = len(level)
        if upto is not None:
            watts = np.empty(curves.watts.size)
            return cls(_from(curves, np.flatnonzero(may), level, counted, upto, at_once, watts), watts, loads)
        ladder, from_level = curves.ladder, np.maximum(level, 0)
        at = curves.places(from_level)
        regular = may & curves.corners.ravel().take(at) & (counted <= curves.watts.ravel().take(at))
        # Of all steps, level by level, those of who may: by narrow numbers that is several times quicker.
        wanted = np.arange(1, curves.levels, dtype=np.int16)[:, None] > from_level.astype(np.int16)
        wanted &= curves.corners[1:]
        wanted &= regular
        words = ladder.words[1:].ravel().take(np.flatnonzero(wanted))
        watts = ladder.watts.ravel()
        others = np.flatnonzero(may & ~regular)
        if len(others):
            watts = watts.copy()
            further = _from(curves, others, level, counted, curves.top, None, watts)
            words = np.concatenate([words, further])
        return cls(words, watts, loads)

    def steps(self) -> Steps:
        """All of them, in order."""
        return self._taken(np.sort(self.words))

    def fitting(self, room_w: float) -> Steps:
        """The first steps, as many as fit into the room."""
        words, fits, _ = self._first(self.words, room_w)
        return self._taken(words[: len(fits)])

    def affordable(self, room_w: float) -> Steps:
        """The steps that fit into the room, in their order.

        A load whose next step does not fit is passed over, and with it all that builds on that step.
        """
        left, kept = self.words, np.arange(0)
        while len(left):
            words, fits, later = self._first(left, room_w)
            # The first time they are in order already, and hardly ever do many come after.
            taken = words[: len(fits)]
            kept = np.sort(np.concatenate([kept, taken])) if len(kept) else taken
            room_w -= float(fits[-1]) if len(fits) else 0.0
            left = self._within_reach(np.concatenate([words[len(fits) :], later]), room_w)
        return self._taken(kept)

    def _within_reach(self, words: Ints, room_w: float) -> Ints:
        """The steps that fit one by one, and do not build on one that is too big."""
        place = _places(words)
        fits = self.watts.take(place) <= room_w
        small = np.flatnonzero(fits)
        if not len(small):
            return words[:0]
        # A load's first step that is too big ends its climb: the further ones come after it. Hardly a load
        # has a step that fits still, so only of those the ends are looked for.
        load = place % self.loads
        concerned = np.zeros(self.loads, dtype=np.bool_)
        concerned[load.take(small)] = True
        too_big = np.flatnonzero(~fits & concerned.take(load))
        ends = np.full(self.loads, np.iinfo(np.int64).max)
        np.minimum.at(ends, load.take(too_big), words.take(too_big))
        words, load = words.take(small), load.take(small)
        return words[words < ends.take(load)]

    def _first(self, words: Ints, room_w: float) -> tuple[Ints, Floats, Ints]:
        """The first of these steps in order; what those that fit sum up to, one by one; the steps after."""
        count = self._about(words, room_w)
        while True:
            if count < len(words):
                words = np.partition(words, count)
                first, later = words[:count], words[count:]
            else:
                first, later = words, words[:0]
            first = np.sort(first)
            spent = np.cumsum(self.watts.take(_places(first)))
            fits = int(np.searchsorted(spent, room_w, side="right"))
            if fits < len(first) or not len(later):
                return first, spent[:fits], later
            count *= 2

    def _about(self, words: Ints, room_w: float) -> int:
        """How many steps will fill the room, and some more."""
        if len(words) <= _FEW:
            return len(words)
        some_w = self.watts.take(_places(words[:: len(words) // _SAMPLES + 1]))
        about = _AMPLE * max(room_w, 0.0) / max(float(some_w.mean()), 1.0)
        return _FEW + int(min(about, len(words)))

    def _taken(self, words: Ints) -> Steps:
        place = _places(words)
        to = place // self.loads
        load = place - to * self.loads  # quicker than to divide twice
        return Steps(load, to, self.watts.take(place), np.zeros(len(load), dtype=np.int64))


def _places(words: Ints) -> Ints:
    return words & ((1 << PLACE_BITS) - 1)


def _from(
    curves: Curves,
    those: Ints,
    level: Ints,
    counted: Floats,
    upto: Ints,
    at_once: Bools | None,
    watts: Floats,
) -> Ints:
    """The words of the steps of those loads, from wherever they are; `watts`: theirs are put in there."""
    some, low, high = curves.some(those), level.take(those), upto.take(those)
    corners = curves.corners.take(those, axis=1)
    if at_once is not None:
        corners &= ~at_once.take(those)
    levels = np.arange(curves.levels)[:, None]
    wanted = (corners | (levels == high)) & (levels > low) & (levels <= high)
    wanted[0] = False
    below_w = np.maximum(some.watts_at(np.maximum(low, 0)), counted.take(those))
    below = some.value_at(np.maximum(low, 0))
    more_w, more = np.empty(wanted.shape), np.empty(wanted.shape)
    for to in range(1, curves.levels):
        np.maximum(some.watts[to] - below_w, 0.0, out=more_w[to])
        np.subtract(some.value[to], below, out=more[to])
        np.copyto(below_w, np.maximum(some.watts[to], below_w), where=wanted[to])
        np.copyto(below, some.value[to], where=wanted[to])
    found = np.flatnonzero(wanted)
    reached, load = np.divmod(found, len(those))
    places, found_w = reached * len(level) + those.take(load), more_w.ravel().take(found)
    key = keys(LAST_TIER - some.tier.take(load), -merits(more.ravel().take(found), found_w))
    watts[places] = found_w
    return (key << PLACE_BITS) | places
