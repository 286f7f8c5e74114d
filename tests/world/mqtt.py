"""Helpers around MQTT connections in tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from daemon.config.settings import Mqtt, MqttProtocol
from daemon.mqtt.connection import MqttConnection
from tests.world.orders import CountedUuids


def settings(port: int, protocol: MqttProtocol = MqttProtocol.AUTO) -> Mqtt:
    """A broker on loopback, in the clear."""
    return Mqtt(
        host="127.0.0.1",
        port=port,
        tls=False,
        username=None,
        password=None,
        ca=None,
        cert=None,
        key=None,
        protocol=protocol,
    )


class QuickUuids(CountedUuids):
    """Waits as little as it may before it connects again."""

    def uniform(self, low: float, high: float) -> float:
        del high
        return low


@asynccontextmanager
async def running(connection: MqttConnection) -> AsyncIterator[MqttConnection]:
    """A connection that runs within the block, connected before it begins."""
    task = asyncio.create_task(connection.run())
    try:
        await until(lambda: connection.connected)
        yield connection
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object], within_s: float = 15.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  a test asks about anything
            await asyncio.sleep(0.02)


class Heard:
    """A topic handler that notes what it is given."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []

    def __call__(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  TopicHandler
        self.messages.append((topic, payload, retained))
