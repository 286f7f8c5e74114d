"""What waits to go out on a link: writes ahead of reads ahead of slow reads, and nothing starves. Pure."""

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

    __slots__ = ("_aged_before", "_queues")

    def __init__(self) -> None:
        # Lists: an empty deque takes ten times the memory, and there is one for each connection.
        self._queues: tuple[list[W], list[W], list[W]] = ([], [], [])
        self._aged_before = False

    def __bool__(self) -> bool:
        writes, control, slow = self._queues
        return bool(control or writes or slow)

    def put(self, lane: Lane, item: W, now: float) -> None:
        """Let it wait for its turn."""
        item.queued_at = now
        self._queues[lane].append(item)

    def put_first(self, lane: Lane, item: W, now: float) -> None:
        """Let it be the next of its lane."""
        item.queued_at = now
        self._queues[lane].insert(0, item)

    def take(self, now: float) -> W:
        """What goes next; there must be something."""
        first: list[W] | None = None
        for lane, queue in enumerate(self._queues):
            if not queue:
                continue
            if first is None:
                first = queue
            elif not self._aged_before and now - queue[0].queued_at >= MOST_WAIT_S[lane]:
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
                return True
        return False

    def empty(self) -> list[W]:
        """Take out all that waits."""
        waiting = [item for queue in self._queues for item in queue]
        for queue in self._queues:
            queue.clear()
        return waiting
