"""A broker without a network, for tests in virtual time."""

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache

from drivers.ports import TopicHandler


class MemoryBroker:
    """Hands messages between its buses; keeps retained ones. Delivery is the loop's next turn."""

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}
        self._buses: list[MemoryBus] = []

    def bus(self) -> "MemoryBus":
        """A client's connection; it is connected until its `connected` is set to `False`."""
        bus = MemoryBus(self)
        self.join(bus)
        return bus

    def join(self, bus: "MemoryBus") -> None:
        """Hand messages to this bus too."""
        self._buses.append(bus)

    def leave(self, bus: "MemoryBus") -> None:
        """Forget a bus whose client is gone."""
        self._buses.remove(bus)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Deliver a message to every connected bus that subscribed to it."""
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        for bus in self._buses:
            bus.deliver(topic, payload, retained=False)


@dataclass
class MemoryBus:
    """A `TopicBus` without a network."""

    broker: MemoryBroker
    connected: bool = True
    _handlers: list[tuple[str, TopicHandler]] = field(default_factory=list)

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        self._handlers.append((topic_filter, handler))
        for topic, payload in self.broker.retained.items():
            if topic_matches(topic_filter, topic):
                _soon(handler, topic, payload, retained=True)

    def unsubscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        """Have a handler called no more."""
        self._handlers.remove((topic_filter, handler))

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:  # noqa: ARG002 - the port's signature
        if not self.connected:
            return False
        self.broker.publish(topic, payload, retain=retain)
        return True

    def deliver(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Call the handlers of a message."""
        if not self.connected:
            return
        for topic_filter, handler in self._handlers:
            if topic_matches(topic_filter, topic):
                _soon(handler, topic, payload, retained=retained)


@lru_cache(maxsize=65_536)
def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a filter with `+` and `#` (MQTT 5, 4.7)."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in {"+", given[index]}:
            return False
    return len(wanted) == len(given)


def _soon(handler: TopicHandler, topic: str, payload: bytes, *, retained: bool) -> None:
    asyncio.get_running_loop().call_soon(handler, topic, payload, retained)
