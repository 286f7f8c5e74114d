"""A connection to the broker over which messages are lost, late, doubled and overtaken, by seed."""

import asyncio
import random
from collections.abc import Callable, Iterator

from drivers.ports import TopicHandler
from sim_devices.mqtt.memory import MemoryBroker, MemoryBus, topic_matches
from sim_devices.scenario import MessagesTable

AGAIN_S = (5.0, 60.0)
"""A retained message that was lost is brought again so much later, as by a reconnect."""

Heard = Callable[[str, bytes], None]


class RoughBus(MemoryBus):
    """A `MemoryBus` as bad as a table says; `heard` learns what arrives, when it arrives."""

    def __init__(
        self, broker: MemoryBroker, messages: MessagesTable, rng: random.Random, heard: Heard
    ) -> None:
        super().__init__(broker)
        self._messages = messages
        self._rng = rng
        self._heard = heard
        broker.join(self)

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        super().subscribe(topic_filter, handler)
        for topic, payload in self.broker.retained.items():
            if topic_matches(topic_filter, topic):
                self._heard(topic, payload)

    def deliver(self, topic: str, payload: bytes, *, retained: bool) -> None:
        if not self.connected or not any(topic_matches(wanted, topic) for wanted, _ in self._handlers):
            return
        kept = topic in self.broker.retained
        for after_s in self._arrivals(kept=kept):
            if after_s <= 0:
                self._arrive(topic, payload, retained)
            else:
                loop = asyncio.get_running_loop()
                loop.call_later(after_s, self._arrive, topic, payload, retained)

    def _arrivals(self, *, kept: bool) -> Iterator[float]:
        """Seconds until each copy of a message arrives."""
        messages, rng = self._messages, self._rng
        copies = 2 if rng.random() < messages.doubled_share else 1
        for _ in range(copies):
            if rng.random() < messages.lost_share:
                if kept:
                    yield rng.uniform(*AGAIN_S)
            elif rng.random() < messages.late_share:
                yield rng.uniform(0.0, messages.late_s)
            else:
                yield 0.0

    def _arrive(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as TopicHandler
        if self.connected:
            self._heard(topic, payload)
            super().deliver(topic, payload, retained=retained)
