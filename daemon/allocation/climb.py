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
    """The key of each step, and in the lowest bits its place; in no order. Smaller ones come first."""
    watts: Floats
    """By place: how much more the load counts after the step."""
    loads: int
    wanted: Bools | None = None
    """By place, as are the words then: where there is a step; `None` = the words are those of steps alone."""

    @classmethod
    def of(cls, curves: Curves, level: Ints, counted: Floats, may: Bools) -> "Climb":
        """All steps up that loads can take, most valuable per watt first, critical tiers before.

        Args:
            curves: what the loads draw and earn.
            level: (loads,): where they are.
            counted: (loads,): a load that draws more than it was ordered to counts at that already.
            may: (loads,): who may.
        """
        ladder, from_level = curves.ladder, np.maximum(level, 0)
        at = curves.places(from_level)
        regular = may & curves.corners.ravel().take(at) & (counted <= curves.watts.ravel().take(at))
        # Of all steps, level by level, those of who may: by narrow numbers that is several times quicker.
        wanted = np.arange(curves.levels, dtype=np.int16)[:, None] > from_level.astype(np.int16)
        wanted &= curves.corners
        wanted &= regular
        words, watts = ladder.words.ravel(), ladder.watts.ravel()
        others = may & ~regular
        if np.count_nonzero(others):
            words, watts = words.copy(), watts.copy()
            further = _from(curves, np.flatnonzero(others), level, counted, curves.top, watts)
            places = _places(further)
            words[places], wanted.ravel()[places] = further, True
        return cls(words, watts, len(level), wanted.ravel())

    @classmethod
    def towards(
        cls, curves: Curves, level: Ints, counted: Floats, goal: Ints, those: Ints, at_once: Bools
    ) -> "Climb":
        """The steps of some loads to where they are to be.

        Args:
            curves: what the loads draw and earn.
            level: (loads,): where they are.
            counted: (loads,): as above.
            goal: (loads,): the last step of each ends here.
            those: whose steps.
            at_once: whether each of these gets there in one step.
        """
        loads, watts = len(level), np.empty(curves.watts.size)
        leap, walk = those.take(np.flatnonzero(at_once)), those.take(np.flatnonzero(~at_once))
        words = _leaps(curves, leap, level, counted, goal, watts)
        if len(walk):
            words = np.concatenate([words, _from(curves, walk, level, counted, goal, watts)])
        return cls(words, watts, loads)

    def steps(self) -> Steps:
        """All of them, in order."""
        return self._taken(np.sort(self._listed()))

    def fitting(self, room_w: float) -> Steps:
        """The first steps, as many as fit into the room."""
        words, fits, _ = self._first(self._listed(), room_w)
        return self._taken(words[: len(fits)])

    def affordable(self, room_w: float) -> Steps:
        """The steps that fit into the room, in their order.

        A load whose next step does not fit is passed over, and with it all that builds on that step.
        """
        wanted = self.wanted
        first = None if wanted is None else self._foremost(wanted, room_w)
        if wanted is None or first is None:
            left, kept = self._listed(), self.words[:0]
        else:
            kept, spent_w = first
            room_w -= spent_w
            left = self._left(wanted, int(kept[-1]) if len(kept) else -1, room_w)
        while len(left):
            words, fits, later = self._first(left, room_w)
            # The first time they are in order already, and hardly ever do many come after.
            taken = words[: len(fits)]
            kept = np.sort(np.concatenate([kept, taken])) if len(kept) else taken
            room_w -= float(fits[-1]) if len(fits) else 0.0
            left = self._within_reach(np.concatenate([words[len(fits) :], later]), room_w)
        return self._taken(kept)

    def _listed(self) -> Ints:
        """The words of the steps, and no others."""
        return self.words if self.wanted is None else self.words.take(np.flatnonzero(self.wanted))

    def _foremost(self, wanted: Bools, room_w: float) -> tuple[Ints, float] | None:
        """The first steps, as many as fit, and what they take, of many; `None` = they are to be listed.

        Up to a word below which the steps of some of the loads say that there are enough of them.
        """
        if wanted.size <= _FEW:
            return None
        some = np.arange(0, self.loads, self.loads // _SAMPLES + 1)
        places = (np.arange(0, len(self.words), self.loads)[:, None] + some).ravel()
        places = places.take(np.flatnonzero(wanted.take(places)))
        share = len(some) / self.loads
        sample = np.sort(self.words.take(places))
        spent = np.cumsum(self.watts.take(_places(sample)))
        enough = int(np.searchsorted(spent, _AMPLE * room_w * share)) + int(_FEW * share)
        if enough >= len(sample):
            return None
        foremost = self.words <= sample[enough]
        foremost &= wanted
        words = np.sort(self.words.take(np.flatnonzero(foremost)))
        spent = np.cumsum(self.watts.take(_places(words)))
        fits = int(np.searchsorted(spent, room_w, side="right"))
        if fits == len(words):
            return None
        return words[:fits], float(spent[fits - 1]) if fits else 0.0

    def _left(self, wanted: Bools, last: int, room_w: float) -> Ints:
        """As `_within_reach`, of all steps after a word: level by level, there being no list of them all."""
        fits, later = self.watts <= room_w, self.words > last
        later &= wanted
        small = (fits & later).reshape(-1, self.loads)
        concerned = np.logical_or.reduce(small, axis=0)
        if not np.count_nonzero(concerned):
            return self.words[:0]
        too_big = (later > fits).reshape(-1, self.loads)
        too_big &= concerned
        ends, found = np.full(self.loads, np.iinfo(np.int64).max), [self.words[:0]]
        words = self.words.reshape(-1, self.loads)
        for of_level, big in zip(words, too_big, strict=True):
            load = big.nonzero()[0]
            ends[load] = np.minimum(ends.take(load), of_level.take(load))
        for of_level, fit in zip(words, small, strict=True):
            load = fit.nonzero()[0]
            some = of_level.take(load)
            found.append(some.take((some < ends.take(load)).nonzero()[0]))
        return np.concatenate(found)

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


def _leaps(curves: Curves, those: Ints, level: Ints, counted: Floats, to: Ints, watts: Floats) -> Ints:
    """The words of single steps of those loads, from wherever they are; `watts`: as below."""
    reached, low = to.take(those), np.maximum(level.take(those), 0)
    places = reached * len(level) + those
    below_w = np.maximum(curves.some_at(those, low), counted.take(those))
    more_w = np.maximum(curves.watts.ravel().take(places) - below_w, 0.0)
    more = curves.value.ravel().take(places) - curves.value.ravel().take(low * len(level) + those)
    watts[places] = more_w
    return _words(curves.tier.take(those), more, more_w, places)


def _words(tier: Ints, value: Floats, watts: Floats, places: Ints) -> Ints:
    words = keys(LAST_TIER - tier, -merits(value, watts))
    words <<= PLACE_BITS
    words |= places
    return words


def _from(
    curves: Curves,
    those: Ints,
    level: Ints,
    counted: Floats,
    upto: Ints,
    watts: Floats,
) -> Ints:
    """The words of the steps of those loads, from wherever they are; `watts`: theirs are put in there."""
    some, low, high = curves.some(those), level.take(those), upto.take(those)
    corners = curves.corners.take(those, axis=1)
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
    watts[places] = found_w
    return _words(some.tier.take(load), more.ravel().take(found), found_w, places)
