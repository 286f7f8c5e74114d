"""What the site says of itself: unsigned hints, on which nothing is settled or released."""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any

from daemon.clock import Clock
from daemon.mqtt.connection import LastWill
from daemon.mqtt.topics import Topics
from daemon.signing import dumps
from daemon.timestamps import format_utc
from drivers.ports import TopicBus

STATE_EVERY_S = 10.0
TELEMETRY_EVERY_S = 2.0
LOOK_EVERY_S = 1.0

Source = Callable[[], Mapping[str, Any]]


class Publisher:
    """Publishes `state` every 10 s and, when told to `look`, on a change; `telemetry` every 2 s.

    Args:
        bus: where to.
        topics: the site's.
        clock: for `ts` of the last word.
        state: gives the `state` object.
        telemetry: gives the `telemetry` object.
    """

    def __init__(
        self, bus: TopicBus, topics: Topics, clock: Clock, *, state: Source, telemetry: Source
    ) -> None:
        self._bus = bus
        self._topics = topics
        self._clock = clock
        self._state = state
        self._telemetry = telemetry
        self._told: dict[str, Any] | None = None
        self._told_s = -math.inf

    def tell_again(self) -> None:
        """Publish the state at the next look, changed or not: a new connection knows nothing of it."""
        self._told = None

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        next_telemetry_s = loop.time()
        while True:
            now_s = loop.time()
            if now_s >= self._told_s + STATE_EVERY_S:
                self._tell_state(anyway=True)
            if now_s >= next_telemetry_s:
                self._bus.publish(self._topics.telemetry, dumps(self._telemetry()), qos=0)
                next_telemetry_s += TELEMETRY_EVERY_S * (1 + (now_s - next_telemetry_s) // TELEMETRY_EVERY_S)
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Publish the state if it has changed."""
        self._tell_state(anyway=False)

    def event(self, event: Mapping[str, Any]) -> None:
        """Publish an event: `alarm`, `clear`, `state` or `refused`."""
        self._bus.publish(self._topics.event, dumps(event))

    def say_goodbye(self, boot: str) -> None:
        """The last word of a clean stop, the same as the will's."""
        self._bus.publish(self._topics.state, offline(self._clock, boot), retain=True)

    def _tell_state(self, *, anyway: bool) -> None:
        state = dict(self._state())
        lasting = {name: value for name, value in state.items() if name != "ts"}
        if lasting == self._told and not anyway:
            return
        if self._bus.publish(self._topics.state, dumps(state), retain=True):
            self._told = lasting
            self._told_s = asyncio.get_running_loop().time()


def offline(clock: Clock, boot: str) -> bytes:
    """The `state` of a site that is not there."""
    return dumps({"ts": format_utc(clock.wall()), "online": False, "boot": boot})


def last_will(topics: Topics, clock: Clock, boot: str) -> LastWill:
    """What the broker says when the site is gone without a word."""
    return LastWill(topics.state, offline(clock, boot))
