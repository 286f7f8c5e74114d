"""The site's broker as the daemon uses it; the connection over sockets is one implementation."""

from collections.abc import Callable
from typing import Protocol

from drivers.ports import DeviceTopics, TopicHandler


class BrokerLink(Protocol):
    """A `drivers.ports.TopicBus` that also keeps messages until there is a connection."""

    @property
    def connected(self) -> bool:
        """Whether messages go out now."""

    def on_connected(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever the connection is there (again), after its subscriptions."""

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        """Have `handler` called for every message; survives reconnects."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expires_s: float | None = None,
        content_type: str | None = None,
    ) -> bool:
        """Queue a message; `expires_s` = worth sending so long, connection or not. `False` = it is lost."""

    async def drained(self) -> None:
        """Wait until everything queued has gone out; the caller sets a deadline."""

    async def run(self) -> None:
        """Stay connected until cancelled."""


class DeviceBus(DeviceTopics, Protocol):
    """The MQTT devices' own way to the broker."""

    async def drained(self) -> None:
        """Wait until every order has reached the broker; the caller sets a deadline."""

    async def run(self) -> None:
        """Stay connected until cancelled."""
