"""When which device is polled: a fixed grid of slots, prepared once. Pure."""

import heapq
import math
from collections.abc import Collection, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

_GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, without their whole parts, lie far from each other, however many there are."""


class PollGrid(Generic[T]):
    """Every item once a period, each at its own phase; nothing is made per poll.

    The grid is fixed: late calls do not shift it. Of a slot that comes due more than once between
    two calls only the last is served; the others are counted in `missed`.
    """

    def __init__(self, period_s: float, items: Sequence[T], tick_s: float) -> None:
        """Spread `items` evenly over slots no closer together than `tick_s`."""
        self._most_slots = max(1, math.floor(period_s / tick_s + 1e-9))
        count = max(1, min(len(items), self._most_slots))
        self._slots: list[list[T]] = [[] for _ in range(count)]
        for index, item in enumerate(items):
            self._slots[index * count // len(items)].append(item)
        self._slot_s = period_s / count
        self._epoch = 0.0
        self._next = 0
        self.next_at = 0.0
        """When the next slot is due."""
        self.missed = 0

    def start(self, now: float) -> None:
        """Lay slot 0 to `now`."""
        self._epoch = self.next_at = now
        self._next = 0

    def lay(self, gone: Collection[T], new: Sequence[T]) -> None:
        """Take items out and put others in; those that stay keep their times.

        The new ones go where the fewest are; where they are many, between the slots that there were.
        """
        for slot in self._slots:
            # In place: it may have been given out already.
            slot[:] = [item for item in slot if item not in gone]
        items = sum(map(len, self._slots)) + len(new)
        self._divide(min(-(-items // len(self._slots)), self._most_slots // len(self._slots)))
        emptiest = [(len(slot), index * _GOLDEN % 1.0, index) for index, slot in enumerate(self._slots)]
        heapq.heapify(emptiest)
        for item in new:
            held, spread, index = emptiest[0]
            self._slots[index].append(item)
            heapq.heapreplace(emptiest, (held + 1, spread, index))

    def _divide(self, parts: int) -> None:
        """Make so many slots of each; what was in it stays in the first of them."""
        if parts <= 1:
            return
        slots: list[list[T]] = [[] for _ in range(parts * len(self._slots))]
        slots[::parts] = self._slots
        self._slots = slots
        self._slot_s /= parts
        self._next *= parts
        self.next_at = self._epoch + self._next * self._slot_s

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def due(self, now: float) -> Iterator[Sequence[T]]:
        """The items whose time has come, slot by slot."""
        while self.next_at <= now:
            slot = self._slots[self._next % len(self._slots)]
            self._next += 1
            self.next_at = self._epoch + self._next * self._slot_s
            if self._epoch + (self._next - 1 + len(self._slots)) * self._slot_s <= now:
                self.missed += len(slot)
            else:
                yield slot
