"""Orders from the broker to the desk, and the desk's words to the broker."""

import asyncio
from collections.abc import Callable, Mapping
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
from daemon.mqtt.waiting_orders import Arrived, WaitingOrders
from daemon.signing import dumps
from drivers.ports import TopicBus

JOSE = "application/jose"
_NAP_S = 0.02
"""A budget that is used up fills in steps of at most this: another topic's message does not wait longer."""
_IDLE_S = 0.0005
"""Everything else that was due took less than this: there is time left over."""
_TURN_S = 0.001
"""Some ten forgeries are refused before everybody else has a turn."""
_TELL_EVERY_S = 60.0

_log = structlog.get_logger()


class OrderIntake:
    """Hands orders from the broker to the desk, one after the other, the most urgent first.

    Args:
        bus: where they come from.
        topics: the site's.
        clock: for the moment of arrival.
        signer: who a message of a lane claims to be signed by, if that is a key of the site's.
    """

    def __init__(
        self, bus: TopicBus, topics: Topics, clock: Clock, signer: Callable[[Lane, bytes], str | None]
    ) -> None:
        self._clock = clock
        self._waiting = WaitingOrders(signer, clock.monotonic())
        self._wake = asyncio.Event()
        self._tell_of_drops_s = clock.monotonic()
        for lane in Lane:
            bus.subscribe(topics.lane(lane), partial(self._arrived, lane))

    @property
    def dropped(self) -> Mapping[Lane, int]:
        """Messages that came faster than they could be taken, by topic."""
        return self._waiting.dropped

    def _arrived(self, lane: Lane, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  TopicHandler
        del topic
        kept = self._waiting.add(Arrived(lane, payload, retained, self._clock.wall()))
        if not kept and self._clock.monotonic() >= self._tell_of_drops_s:
            self._tell_of_drops_s = self._clock.monotonic() + _TELL_EVERY_S
            _log.warning("orders come faster than they can be taken; some are dropped", topic=lane.value)
        self._wake.set()

    async def run(self, desk: CommandDesk) -> None:
        """Until cancelled."""
        spare, turn_s = False, self._clock.monotonic()
        while True:
            found = self._waiting.next(self._clock.monotonic(), spare=spare)
            match found:
                case None:
                    self._wake.clear()
                    await self._wake.wait()
                case float():
                    spare = await self._turn_of_others() < _IDLE_S
                    if not spare:
                        await asyncio.sleep(min(found, _NAP_S))
                case Arrived():
                    await self._hand_over(desk, found)
                    # What is refused waits for nothing: the rest of the site gets its turn in between.
                    if self._clock.monotonic() - turn_s >= _TURN_S:
                        spare = await self._turn_of_others() < _IDLE_S
                        turn_s = self._clock.monotonic()

    async def _turn_of_others(self) -> float:
        """Let everything else run that is due; what that took, s."""
        began_s = self._clock.monotonic()
        await asyncio.sleep(0)
        return self._clock.monotonic() - began_s

    async def _hand_over(self, desk: CommandDesk, message: Arrived) -> None:
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
