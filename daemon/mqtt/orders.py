"""Orders from the broker to the desk, and the desk's words to the broker."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from daemon.clock import Clock
from daemon.commands.answers import Answer
from daemon.commands.desk import CommandDesk
from daemon.commands.words import Lane
from daemon.errors import StoreError
from daemon.mqtt.port import BrokerLink
from daemon.mqtt.topics import Topics
from daemon.signing import dumps
from drivers.ports import TopicBus

JOSE = "application/jose"
MAX_WAITING = 1000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Arrived:
    lane: Lane
    payload: bytes
    retained: bool
    wall_s: float


class OrderIntake:
    """Hands orders from the broker to the desk, one after the other."""

    def __init__(self, bus: TopicBus, topics: Topics, clock: Clock) -> None:
        self._clock = clock
        self._queue: asyncio.Queue[_Arrived] = asyncio.Queue(MAX_WAITING)
        self.dropped = 0
        """Messages that came faster than they could be taken."""
        for lane in Lane:
            bus.subscribe(topics.lane(lane), partial(self._arrived, lane))

    def _arrived(self, lane: Lane, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  TopicHandler
        del topic
        try:
            self._queue.put_nowait(_Arrived(lane, payload, retained, self._clock.wall()))
        except asyncio.QueueFull:
            if not self.dropped:
                _log.warning("orders come faster than they can be taken; some are dropped")
            self.dropped += 1

    async def run(self, desk: CommandDesk) -> None:
        """Until cancelled."""
        while True:
            message = await self._queue.get()
            try:
                await desk.receive(
                    message.lane, message.payload, retained=message.retained, arrived_s=message.wall_s
                )
            except StoreError as error:
                # Not answered, so its sender tries again; a retained quota comes again by itself.
                _log.error("order not taken: it cannot be stored", topic=message.lane.value, error=str(error))


class BrokerOutlet:
    """Sends the desk's words to the broker; `count` = one more refusal of (topic, reason)."""

    def __init__(
        self, connection: BrokerLink, topics: Topics, clock: Clock, count: Callable[[str, str], None]
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._clock = clock
        self._count = count

    def answer(self, answer: Answer) -> None:
        left_s = max(answer.exp - self._clock.wall(), 0.0)
        topic = self._topics.rsp(answer.jti)
        self._connection.publish(topic, answer.jws.encode("ascii"), expires_s=left_s, content_type=JOSE)

    def event(self, event: Mapping[str, Any]) -> None:
        self._connection.publish(self._topics.event, dumps(event))

    def refused(self, topic: str, reason: str) -> None:
        self._count(topic, reason)
