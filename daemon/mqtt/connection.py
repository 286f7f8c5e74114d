"""One connection to the broker that is there again whenever the broker is.

MQTT 5 where the broker has it, 3.1.1 otherwise; a persistent session, so that a QoS 1 order sent
during a short cut arrives after it.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiomqtt
import structlog
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from daemon.clock import Entropy
from daemon.config.settings import Mqtt, MqttProtocol
from daemon.mqtt.client import Client, ClosedError
from daemon.mqtt.dispatch import Dispatch
from daemon.mqtt.outgoing import Outbound, Outgoing
from daemon.mqtt.tls import tls_context
from drivers.ports import TopicHandler

SESSION_S = 300
"""No command lives longer."""
KEEPALIVE_S = 15
"""A dead connection shows within two of these: well within the lease timeout of 120 s."""
CALL_S = 5.0
"""How long the broker may take to answer; one that closes on a version that it does not know is seen
only by its silence."""
MAX_BACKOFF_S = 4.0
"""However long the broker was gone: it is back in use within 5 s of its return."""
_IN_FLIGHT = 8  # aiomqtt warns above ten

_log = structlog.get_logger()


class LinkState(StrEnum):
    """Where the connection stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    """The broker is not there; another try comes after a jittered pause."""


@dataclass(frozen=True, slots=True)
class LastWill:
    """What the broker says for us when we are gone."""

    topic: str
    payload: bytes


def _no_will() -> LastWill | None:
    return None


class MqttConnection:
    """Implements `drivers.ports.TopicBus`.

    Args:
        settings: which broker, and how.
        client_id: fixed, for a persistent session; `None` = a session of its own that ends with it.
        will: asked at every connect.
        entropy: for the jitter of reconnects.
    """

    def __init__(
        self,
        settings: Mqtt,
        *,
        client_id: str | None,
        entropy: Entropy,
        will: Callable[[], LastWill | None] = _no_will,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._entropy = entropy
        self._will = will
        self._dispatch = Dispatch()
        self._unsubscribed: list[str] = []
        self._outbound = Outbound()
        self._wake = asyncio.Event()
        self._on_connected: list[Callable[[], None]] = []
        self._warned = False
        self._subscribing = False
        """There is a session: orders may come in already; what they bring about goes out with the rest."""
        self._sending = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.state = LinkState.WAITING
        self.protocol = MqttProtocol.V311 if settings.protocol is MqttProtocol.V311 else MqttProtocol.V5

    @property
    def connected(self) -> bool:
        """Whether messages go out now."""
        return self.state is LinkState.CONNECTED

    def on_connected(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever the connection is there (again), after its subscriptions."""
        self._on_connected.append(call)

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        self._dispatch.add(topic_filter, handler)
        self._unsubscribed.append(topic_filter)
        self._wake.set()

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
        """Queue a message.

        Args:
            topic: where to.
            payload: what.
            qos: 0 or 1.
            retain: whether the broker keeps it.
            expires_s: for so long it is worth sending: it waits for a connection, and on MQTT 5 the
                broker is told. `None` = only worth sending now.
            content_type: told on MQTT 5.

        Returns:
            `False` = it will not be sent.
        """
        if not (self.connected or self._subscribing) and expires_s is None:
            return False
        deadline_s = None if expires_s is None else asyncio.get_running_loop().time() + expires_s
        added = self._outbound.add(Outgoing(topic, payload, qos, retain, content_type, deadline_s))
        self._idle.clear()
        self._wake.set()
        return added

    async def drained(self) -> None:
        """Wait until everything queued has gone out; the caller sets a deadline."""
        await self._idle.wait()

    def _note_idle(self) -> None:
        if not self._sending and not self._outbound:
            self._idle.set()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            failures = 1 if await self._try_versions() else failures + 1
            pause_s = self._entropy.uniform(0.2, min(MAX_BACKOFF_S, 2.0 ** min(failures, 10) / 2))
            await asyncio.sleep(pause_s)

    async def _try_versions(self) -> bool:
        """Connect and serve until it ends; whether there was a connection."""
        for protocol in self._versions():
            self.state = LinkState.CONNECTING
            error = await self._session_apart(protocol)
            was_connected = self.connected
            self.state = LinkState.WAITING
            self._outbound.connection_lost()
            self._note_idle()
            self._tell(error, protocol, was_connected=was_connected)
            if was_connected or not _may_be_the_version(error):
                return was_connected
        return False

    def _versions(self) -> list[MqttProtocol]:
        if self._settings.protocol is not MqttProtocol.AUTO:
            return [self._settings.protocol]
        other = MqttProtocol.V311 if self.protocol is MqttProtocol.V5 else MqttProtocol.V5
        return [self.protocol, other]

    async def _session_apart(self, protocol: MqttProtocol) -> Exception:
        """A session in a task of its own.

        A TaskGroup of Python 3.11 drops a cancellation that comes together with a child's error: a stop
        in the moment in which the connection breaks would be forgotten. Here it cannot be.
        """
        session = asyncio.create_task(self._session(protocol), name="mqtt session")
        try:
            await asyncio.wait([session])
        finally:
            if not session.done():
                session.cancel()
                await asyncio.wait([session])
        return session.result()

    async def _session(self, protocol: MqttProtocol) -> Exception:
        """Connect and serve until it ends; how it ended."""
        try:
            async with self._client(protocol) as client:
                self.protocol = protocol
                await self._serve(client)
        except aiomqtt.MqttError as error:
            return error
        except (OSError, ssl.SSLError) as error:
            return error
        raise AssertionError("serving ends with an error only")

    def _client(self, protocol: MqttProtocol) -> Client:
        settings, last_will = self._settings, self._will()
        kept = self._client_id is not None
        version: dict[str, Any] = {"protocol": aiomqtt.ProtocolVersion.V311, "clean_session": not kept}
        if protocol is MqttProtocol.V5:
            session = _properties(PacketTypes.CONNECT)
            session.SessionExpiryInterval = SESSION_S if kept else 0
            version = {
                "protocol": aiomqtt.ProtocolVersion.V5,
                "clean_start": not kept,
                "properties": session,
            }
        return Client(
            self._deliver,
            settings.host,
            settings.port,
            username=settings.username,
            password=settings.password,
            identifier=self._client_id,
            will=None
            if last_will is None
            else aiomqtt.Will(last_will.topic, last_will.payload, 1, retain=True),
            timeout=CALL_S,
            keepalive=KEEPALIVE_S,
            tls_context=tls_context(settings),
            **version,
        )

    async def _serve(self, client: Client) -> None:
        """Until the connection ends.

        Raises:
            MqttError: how it ended.
        """
        self._unsubscribed = list(self._dispatch.filters)
        self._subscribing = True
        try:
            await self._subscribe_new(client)
            self.state = LinkState.CONNECTED
        finally:
            self._subscribing = False
        self._warned = False
        _log.info("broker connected", host=self._settings.host, port=self._settings.port, mqtt=self.protocol)
        for call in self._on_connected:
            call()
        ended: Exception = aiomqtt.MqttError("the connection ended")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(client.ended(), name="mqtt reader")
                group.create_task(self._write(client, group), name="mqtt writer")
        except* aiomqtt.MqttError as errors:
            ended = errors.exceptions[0]
        raise ended

    async def _subscribe_new(self, client: aiomqtt.Client) -> None:
        while self._unsubscribed:
            topic_filter = self._unsubscribed.pop(0)
            if self.protocol is MqttProtocol.V5:
                options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
                codes = await client.subscribe(topic_filter, options=options)
            else:
                codes = await client.subscribe(topic_filter, qos=1)
            if any(map(_refused, codes)):
                _log.warning("broker refuses the subscription", topic=topic_filter)

    def _deliver(self, topic: bytes, payload: bytes, retained: bool) -> None:  # noqa: FBT001  as Heard
        try:
            route = self._dispatch.route(topic)
        except UnicodeDecodeError:  # a topic that is no text is nobody's
            return
        if route is not None:
            text, handlers = route
            for handler in handlers:
                handler(text, payload, retained)

    async def _write(self, client: aiomqtt.Client, group: asyncio.TaskGroup) -> None:
        loop, slots = asyncio.get_running_loop(), asyncio.Semaphore(_IN_FLIGHT)
        while True:
            self._wake.clear()
            await self._subscribe_new(client)
            while (message := self._outbound.next(loop.time())) is not None:
                self._sending += 1
                await slots.acquire()
                group.create_task(self._send(client, message, slots), name="mqtt publish")
            await self._wake.wait()

    async def _send(self, client: aiomqtt.Client, message: Outgoing, slots: asyncio.Semaphore) -> None:
        sent = False
        try:
            await client.publish(
                message.topic,
                message.payload,
                qos=message.qos,
                retain=message.retain,
                properties=self._properties(message),
            )
            sent = True
        finally:
            if not sent:
                self._outbound.put_back(message)
            self._sending -= 1
            slots.release()
            self._note_idle()

    def _properties(self, message: Outgoing) -> Properties | None:
        if self.protocol is not MqttProtocol.V5:
            return None
        properties = _properties(PacketTypes.PUBLISH)
        if message.content_type is not None:
            properties.ContentType = message.content_type
        if message.deadline_s is not None:
            left_s = message.deadline_s - asyncio.get_running_loop().time()
            properties.MessageExpiryInterval = max(1, round(left_s))
        return properties

    def _tell(self, error: Exception, protocol: MqttProtocol, *, was_connected: bool) -> None:
        """Say once that the broker is not there; repeats are for whoever debugs."""
        say = _log.debug if self._warned else _log.warning
        self._warned = True
        what = "broker connection lost" if was_connected else "broker not reached"
        host, port = self._settings.host, self._settings.port
        say(what, host=host, port=port, mqtt=protocol, error=str(error))


def _may_be_the_version(error: Exception) -> bool:
    """Whether the broker was there and would not have us, so that another version is worth a try."""
    if isinstance(error, MqttConnectError | ClosedError):
        return True
    # What paho raises before CONNACK comes as a bare MqttError; only silence has this text.
    return isinstance(error, aiomqtt.MqttError) and str(error) == "Operation timed out"


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves its constructor untyped


def _refused(code: object) -> bool:
    value = code if isinstance(code, int) else getattr(code, "value", 0)
    return bool(value >= 128)
