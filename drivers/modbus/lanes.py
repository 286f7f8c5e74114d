"""What waits to go out on a link: writes ahead of reads ahead of slow reads, and nothing starves. Pure."""

from collections.abc import Callable
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

MOST_WAIT_S = (0.0, 2.0, 10.0)
"""By lane: what has waited so long takes its turn before the lanes ahead of it, every other time."""


class Lane(IntEnum):
    """What goes first."""

    WRITE = 0
    CONTROL = 1
    SLOW = 2


class Waiting(Protocol):
    """Something that waits."""

    queued_at: float


W = TypeVar("W", bound=Waiting)


class Lanes(Generic[W]):
    """The queue of a link. Within a lane the first to come is the first to go."""

    __slots__ = ("_aged_before", "_queues", "waiting")

    def __init__(self) -> None:
        # Lists: an empty deque takes ten times the memory, and there is one for each connection.
        self._queues: tuple[list[W], list[W], list[W]] = ([], [], [])
        self._aged_before = False
        self.waiting = 0
        """How many."""

    def put(self, lane: Lane, item: W, now: float) -> None:
        """Let it wait for its turn."""
        item.queued_at = now
        self._queues[lane].append(item)
        self.waiting += 1

    def put_first(self, lane: Lane, item: W, now: float) -> None:
        """Let it be the next of its lane."""
        item.queued_at = now
        self._queues[lane].insert(0, item)
        self.waiting += 1

    def take(self, now: float) -> W:
        """What goes next; there must be something."""
        self.waiting -= 1
        first: list[W] | None = None
        for queue, most_wait_s in zip(self._queues, MOST_WAIT_S, strict=True):
            if not queue:
                continue
            if first is None:
                first = queue
                if len(queue) > self.waiting:
                    break  # there is nothing in the others
            elif not self._aged_before and now - queue[0].queued_at >= most_wait_s:
                self._aged_before = True
                return queue.pop(0)
        assert first is not None
        self._aged_before = False
        return first.pop(0)

    def drop(self, item: W) -> bool:
        """Take it out wherever it waits. `False` = it waits nowhere."""
        for queue in self._queues:
            if item in queue:
                queue.remove(item)
                self.waiting -= 1
                return True
        return False

    def drop_all(self, those: Callable[[W], bool]) -> None:
        """Take out all that are so."""
        for queue in self._queues:
            queue[:] = [item for item in queue if not those(item)]
        self.waiting = sum(map(len, self._queues))

    def empty(self) -> list[W]:
        """Take out all that waits."""
        waiting = [item for queue in self._queues for item in queue]
        for queue in self._queues:
            queue.clear()
        self.waiting = 0
        return waiting
