"""The simulated devices' connection to a broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiomqtt

from drivers.ports import TopicHandler
from sim_devices.mqtt.memory import topic_matches

RECONNECT_S = 1.0
TIMEOUT_S = 3.0
QUEUE_MESSAGES = 1000


class BrokerBus:
    """A `TopicBus` over a real broker at `mqtt://HOST:PORT`, MQTT 3.1.1; reconnects for ever.

    Messages published without a connection are lost, as a device's are that has no memory.
    """

    def __init__(self, url: str, *, identifier: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "mqtt" or parts.hostname is None:
            raise ValueError(f"{url!r} is no broker; mqtt://HOST:PORT would be")
        self._host = parts.hostname
        self._port = parts.port or 1883
        self._identifier = identifier
        self._handlers: list[tuple[str, TopicHandler]] = []
        self._queue: asyncio.Queue[tuple[str, bytes, int, bool]] = asyncio.Queue(QUEUE_MESSAGES)
        self.connected = asyncio.Event()
        """Set while there is a connection and everything is subscribed."""

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        self._handlers.append((topic_filter, handler))

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        if not self.connected.is_set() or self._queue.full():
            return False
        self._queue.put_nowait((topic, payload, qos, retain))
        return True

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            try:
                await self._connection()
            except* aiomqtt.MqttError:
                # The broker is not there now; a device tries on without a word.
                pass
            finally:
                self.connected.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _connection(self) -> None:
        client = aiomqtt.Client(
            self._host,
            self._port,
            identifier=self._identifier,
            protocol=aiomqtt.ProtocolVersion.V311,
            timeout=TIMEOUT_S,
        )
        async with _session(client):
            for topic_filter, _ in self._handlers:
                await client.subscribe(topic_filter, qos=1)
            while not self._queue.empty():
                self._queue.get_nowait()
            self.connected.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(client), name="sim mqtt receive")
                tasks.create_task(self._send(client), name="sim mqtt send")

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic = str(message.topic)
            for topic_filter, handler in self._handlers:
                if topic_matches(topic_filter, topic):
                    handler(topic, message.payload, message.retain)

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            topic, payload, qos, retain = await self._queue.get()
            await client.publish(topic, payload, qos=qos, retain=retain)


@contextlib.asynccontextmanager
async def _session(client: aiomqtt.Client) -> AsyncIterator[None]:
    """As `async with client`; but aiomqtt 2.5.1 must not be cancelled while it connects.

    It would leave its socket in the loop, and raise in a callback when the socket is closed. So a
    cancellation waits until the attempt has ended, at most some `TIMEOUT_S`.
    """
    connecting = asyncio.create_task(client.__aenter__(), name="sim mqtt connect")
    try:
        await asyncio.shield(connecting)
    except asyncio.CancelledError:
        await asyncio.wait({connecting})
        if connecting.exception() is None:
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)
        raise
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_exit(client.__aexit__)
        yield
