"""What waits to be sent to the broker."""

from collections import deque
from dataclasses import dataclass

MAX_WAITING = 2000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way out. `deadline_s` (loop time) = worth sending until then, connection or not."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    content_type: str | None
    deadline_s: float | None


class Outbound:
    """A bounded queue in the order of sending."""

    def __init__(self) -> None:
        self._waiting: deque[Outgoing] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, message: Outgoing) -> bool:
        """Queue at the end; `False` = it is full."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(message)
        return True

    def put_back(self, message: Outgoing) -> None:
        """A message that could not be sent: kept if it outlives the connection."""
        if message.deadline_s is not None:
            self._waiting.appendleft(message)

    def next(self, now_s: float) -> Outgoing | None:
        """The next one that is still worth sending."""
        while self._waiting:
            message = self._waiting.popleft()
            if message.deadline_s is None or now_s < message.deadline_s:
                return message
        return None

    def connection_lost(self) -> None:
        """Forget what was only worth sending there and then."""
        self._waiting = deque(message for message in self._waiting if message.deadline_s is not None)
