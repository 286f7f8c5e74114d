"""When which device is polled: a fixed grid of slots, prepared once. Pure."""

import math
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class PollGrid(Generic[T]):
    """Every item once a period, each at its own phase; nothing is made per poll.

    The grid is fixed: late calls do not shift it. Of a slot that comes due more than once between
    two calls only the last is served; the others are counted in `missed`.
    """

    def __init__(self, period_s: float, items: Sequence[T], tick_s: float) -> None:
        """Spread `items` evenly over slots no closer together than `tick_s`."""
        count = max(1, min(len(items), math.floor(period_s / tick_s + 1e-9)))
        self._slots: list[list[T]] = [[] for _ in range(count)]
        for index, item in enumerate(items):
            self._slots[index * count // len(items)].append(item)
        self._slot_s = period_s / count
        self._epoch = 0.0
        self._next = 0
        self.missed = 0

    def start(self, now: float) -> None:
        """Lay slot 0 to `now`."""
        self._epoch = now
        self._next = 0

    @property
    def next_at(self) -> float:
        """When the next slot is due."""
        return self._epoch + self._next * self._slot_s

    def due(self, now: float) -> Iterator[Sequence[T]]:
        """The items whose time has come, slot by slot."""
        while self.next_at <= now:
            slot = self._slots[self._next % len(self._slots)]
            self._next += 1
            if self._epoch + (self._next - 1 + len(self._slots)) * self._slot_s <= now:
                self.missed += len(slot)
            else:
                yield slot
