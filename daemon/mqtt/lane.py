"""The bulk lane to the broker: thousands of messages a second from devices, and orders to them.

The control plane keeps its own (`daemon.mqtt.connection`); docs/decisions says why this is another.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from daemon.clock import Entropy
from daemon.config.settings import Mqtt, MqttProtocol
from daemon.mqtt import packets
from daemon.mqtt.connection import LinkState
from daemon.mqtt.dispatch import Dispatch
from daemon.mqtt.packets import Kind, NotMqttError, Version
from daemon.mqtt.tls import tls_context
from daemon.mqtt.wire import MOST_BYTES, Wire
from drivers.ports import TopicHandler

KEEPALIVE_S = 15
CALL_S = 5.0
"""How long the broker may take to answer; one that ignores a version that it does not know is seen only
by its silence."""
MAX_BACKOFF_S = 30.0
MAX_WAITING = 50_000
"""Orders that wait for their turn: more than one for every device of a site."""
MAX_IN_FLIGHT = 1000
MAX_UNSENT_BYTES = 1_048_576
SUBSCRIBE_BYTES = 16_384
"""About the size of one SUBSCRIBE: no broker's limit, and a site in some dozens of them."""
TOLD_REFUSALS = 3
"""Filters that a warning names."""

_log = structlog.get_logger()
_VERSION = {MqttProtocol.V5: Version.V5, MqttProtocol.V311: Version.V311}


class RefusedError(Exception):
    """The broker answered, and would not have us."""


@dataclass(slots=True)
class _Session:
    """What is under way on one connection."""

    wire: Wire
    version: Version
    accepted: asyncio.Future[packets.ConnAck]
    receive_maximum: int = MAX_IN_FLIGHT
    keepalive_s: int = KEEPALIVE_S
    ready: bool = False
    in_flight: set[int] = field(default_factory=set)
    subscribing: dict[int, tuple[str, ...]] = field(default_factory=dict)
    unsubscribing: set[int] = field(default_factory=set)
    last_id: int = 0

    def next_id(self) -> int:
        """A packet id that is not in use."""
        while True:
            self.last_id = self.last_id % 0xFFFF + 1
            taken = self.in_flight, self.subscribing, self.unsubscribing
            if not any(self.last_id in those for those in taken):
                return self.last_id

    @property
    def unsent_bytes(self) -> int:
        """What the kernel has not taken yet."""
        return 0 if self.wire.transport is None else self.wire.transport.get_write_buffer_size()

    def send(self, packet: bytes) -> None:
        transport = self.wire.transport
        # uvloop takes nothing for a connection that is over, and says so loudly.
        if transport is not None and not transport.is_closing():
            transport.write(packet)


class DeviceLane:
    """Implements `drivers.ports.TopicBus`: hears at QoS 0, in a session that ends with the connection.

    What a device said while there was no connection is not wanted any more. An order goes out at QoS 1; one
    that was under way when the connection broke is lost, as its missing effect shows.

    Args:
        settings: which broker, and how.
        client_id: of its own, beside the control plane's.
        entropy: for the jitter of reconnects.
    """

    def __init__(self, settings: Mqtt, *, client_id: str, entropy: Entropy) -> None:
        self._settings, self._client_id, self._entropy = settings, client_id, entropy
        self._dispatch = Dispatch()
        self._unsubscribed: list[str] = []
        self._waiting: deque[tuple[str, bytes, bool]] = deque()
        self._session: _Session | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._warned = False
        self._dropped = {"too-long": 0, "nobody": 0, "unsent": 0}
        self.state = LinkState.WAITING
        self.protocol = MqttProtocol.V311 if settings.protocol is MqttProtocol.V311 else MqttProtocol.V5

    @property
    def connected(self) -> bool:
        """Whether messages go out now."""
        return self.state is LinkState.CONNECTED

    @property
    def subscribed(self) -> bool:
        """Whether the broker has answered to every topic."""
        session = self._session
        return session is not None and session.ready and not (session.subscribing or self._unsubscribed)

    @property
    def dropped(self) -> Mapping[str, int]:
        """Messages that reached nobody so far.

        `too-long` = longer than is kept, `nobody` = on a topic that nobody hears, `unsent` = orders that the
        end of a connection left behind.
        """
        session = self._session
        return {
            **self._dropped,
            "too-long": self._dropped["too-long"] + (0 if session is None else session.wire.too_long),
        }

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        if not self._dispatch.add(topic_filter, handler):
            return
        # While it is not connected the next session takes all filters anyhow.
        if self._session is not None and self._session.ready:
            if not self._unsubscribed:
                asyncio.get_running_loop().call_soon(self._subscribe_new)
            self._unsubscribed.append(topic_filter)

    def unsubscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        if not self._dispatch.remove(topic_filter, handler):
            return
        session = self._session
        if topic_filter in self._unsubscribed:
            self._unsubscribed.remove(topic_filter)
        elif session is not None and session.ready:
            packet_id = session.next_id()
            session.unsubscribing.add(packet_id)
            session.send(packets.unsubscribe(session.version, packet_id, [topic_filter]))

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        session = self._session
        if session is None or not session.ready:
            return False
        if qos == 0:
            if session.unsent_bytes > MAX_UNSENT_BYTES:
                return False
            session.send(packets.publish(session.version, topic, payload, packet_id=None, retain=retain))
            return True
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append((topic, payload, retain))
        self._idle.clear()
        self._send_waiting(session)
        return True

    async def drained(self) -> None:
        """Wait until every order has reached the broker; the caller sets a deadline."""
        await self._idle.wait()

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
            try:
                error = await self._serve(protocol)
            finally:
                was_connected = self.connected
                self.state = LinkState.WAITING
                self._close()
            self._tell(error, protocol, was_connected=was_connected)
            # An unreachable host is so for every version.
            if was_connected or (isinstance(error, OSError) and not isinstance(error, TimeoutError)):
                return was_connected
        return False

    def _versions(self) -> list[MqttProtocol]:
        if self._settings.protocol is not MqttProtocol.AUTO:
            return [self._settings.protocol]
        other = MqttProtocol.V311 if self.protocol is MqttProtocol.V5 else MqttProtocol.V5
        return [self.protocol, other]

    async def _serve(self, protocol: MqttProtocol) -> Exception:
        """Until the connection ends; how it ended."""
        settings, loop = self._settings, asyncio.get_running_loop()
        version = _VERSION[protocol]
        wire = Wire(version, self._heard, self._told)
        try:
            async with asyncio.timeout(CALL_S):
                tls = tls_context(settings)
                await loop.create_connection(lambda: wire, settings.host, settings.port, ssl=tls)
                self._session = session = _Session(wire, version, loop.create_future())
                session.send(
                    packets.connect(
                        version,
                        self._client_id,
                        KEEPALIVE_S,
                        most_bytes=MOST_BYTES,
                        username=settings.username,
                        password=settings.password,
                    )
                )
                await asyncio.wait((session.accepted, wire.closed), return_when=asyncio.FIRST_COMPLETED)
            if not session.accepted.done():
                return wire.closed.result() or RefusedError("the broker closed the connection")
        except (OSError, NotMqttError) as error:
            return error
        answer = session.accepted.result()
        if answer.code:
            return RefusedError(f"the broker refuses: code {answer.code:#x}")
        self._begin(session, answer, protocol)
        return await self._keep_alive(session)

    def _begin(self, session: _Session, answer: packets.ConnAck, protocol: MqttProtocol) -> None:
        session.receive_maximum = min(answer.receive_maximum, MAX_IN_FLIGHT)
        session.keepalive_s = answer.keepalive_s or KEEPALIVE_S
        session.ready = True
        self.protocol = protocol
        self._warned = False
        self.state = LinkState.CONNECTED
        self._unsubscribed = list(self._dispatch.filters)
        self._subscribe_new()
        _log.info(
            "broker connected for devices",
            host=self._settings.host,
            port=self._settings.port,
            mqtt=protocol,
            topics=len(self._dispatch.filters),
        )

    async def _keep_alive(self, session: _Session) -> Exception:
        """Ask for a sign of life in every quiet spell; how the connection ended."""
        wire, loop = session.wire, asyncio.get_running_loop()
        seen, asked_at = -1, loop.time()
        while not wire.closed.done():
            await asyncio.wait((wire.closed,), timeout=session.keepalive_s / 3)
            if wire.chunks != seen:
                seen, quiet_since = wire.chunks, loop.time()
            if loop.time() - quiet_since > 2 * session.keepalive_s:
                return TimeoutError("the broker is silent")
            # What is sent in between does not count: a ping more costs nothing.
            if loop.time() - asked_at >= session.keepalive_s / 2:
                asked_at = loop.time()
                session.send(packets.PINGREQ)
        return wire.closed.result() or ConnectionResetError("the broker closed the connection")

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        self._dropped["too-long"] += session.wire.too_long
        self._dropped["unsent"] += len(self._waiting) + len(session.in_flight)
        self._waiting.clear()
        self._idle.set()
        if session.ready:
            session.send(packets.DISCONNECT)
        if session.wire.transport is not None:
            session.wire.transport.close()

    def _heard(self, topic: bytes, payload: bytes, retained: bool) -> None:  # noqa: FBT001  by position: it is cheaper
        try:
            route = self._dispatch.route(topic)
        except UnicodeDecodeError:
            raise NotMqttError("a topic that is no text") from None
        if route is None:
            self._dropped["nobody"] += 1
            return
        text, handlers = route
        for handler in handlers:
            handler(text, payload, retained)

    def _told(self, head: int, body: bytes) -> None:
        session = self._session
        if session is None:
            return
        match head >> 4:
            case Kind.CONNACK if not session.accepted.done():
                session.accepted.set_result(packets.read_connack(session.version, body))
            case Kind.SUBACK if session.ready:
                self._subscribed(session, *packets.read_suback(session.version, body))
            case Kind.UNSUBACK if session.ready:
                session.unsubscribing.discard(packets.read_unsuback(body))
            case Kind.PUBACK if session.ready:
                self._acknowledged(session, *packets.read_puback(body))
            case Kind.PINGRESP:
                pass
            case Kind.DISCONNECT if session.ready:
                code = body[0] if body else 0
                session.wire.end(ConnectionResetError(f"the broker says goodbye: code {code:#x}"))
            case _:
                raise NotMqttError(f"a packet that does not belong here: {head:#x}")

    def _subscribe_new(self) -> None:
        session = self._session
        if session is None or not session.ready:
            return
        for filters in packets.batches(self._unsubscribed, SUBSCRIBE_BYTES):
            packet_id = session.next_id()
            session.subscribing[packet_id] = tuple(filters)
            session.send(packets.subscribe(session.version, packet_id, filters))
        self._unsubscribed = []

    def _subscribed(self, session: _Session, packet_id: int, codes: bytes) -> None:
        filters = session.subscribing.pop(packet_id, ())
        refused = [topic for topic, code in zip(filters, codes, strict=False) if code >= 0x80]
        if refused:
            _log.warning("broker refuses subscriptions", count=len(refused), topics=refused[:TOLD_REFUSALS])

    def _acknowledged(self, session: _Session, packet_id: int, code: int) -> None:
        session.in_flight.discard(packet_id)
        if code >= 0x80:
            _log.warning("broker refuses a message to a device", code=code)
        self._send_waiting(session)

    def _send_waiting(self, session: _Session) -> None:
        while self._waiting and len(session.in_flight) < session.receive_maximum:
            topic, payload, retain = self._waiting.popleft()
            packet_id = session.next_id()
            session.in_flight.add(packet_id)
            session.send(packets.publish(session.version, topic, payload, packet_id=packet_id, retain=retain))
        if not self._waiting and not session.in_flight:
            self._idle.set()

    def _tell(self, error: Exception, protocol: MqttProtocol, *, was_connected: bool) -> None:
        """Say once that the broker is not there; repeats are for whoever debugs."""
        say = _log.debug if self._warned else _log.warning
        self._warned = True
        what = "broker connection for devices lost" if was_connected else "broker not reached for devices"
        say(what, host=self._settings.host, port=self._settings.port, mqtt=protocol, error=str(error))
