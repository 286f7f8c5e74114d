"""A broker of few words for one loop: it says what a test wants, right or wrong."""

import asyncio
import struct
from dataclasses import dataclass, field

V311, V5 = 4, 5


def number(value: int) -> bytes:
    """A variable byte integer."""
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + number(len(body)) + body


def said(topic: str, payload: bytes, *, v5: bool, retained: bool = False, properties: bytes = b"") -> bytes:
    """A PUBLISH at QoS 0."""
    name = topic.encode()
    block = number(len(properties)) + properties if v5 else b""
    return packet(0x30 | retained, struct.pack(">H", len(name)) + name + block + payload)


@dataclass
class BrokerPeer:
    """Listens at `port`; what clients said is in `packets`, by connection."""

    versions: tuple[int, ...] = (V5, V311)
    silent: bool = False
    """Takes connections and never answers."""
    hangs_up: bool = False
    """Ends a connection of a version that it does not speak without a word."""
    answers_pings: bool = True
    acknowledges: bool = True
    refused: frozenset[str] = frozenset()
    """Topic filters that it refuses."""
    connack_properties: bytes = b""
    port: int = 0
    connections: list["_Connection"] = field(default_factory=list)

    async def listen(self) -> None:
        server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", self.port)
        self.server = server
        self.port = server.sockets[0].getsockname()[1]

    def _accept(self) -> "_Connection":
        self.connections.append(_Connection(self))
        return self.connections[-1]

    @property
    def last(self) -> "_Connection":
        return self.connections[-1]

    def stop(self) -> None:
        """End every connection, and listen no more."""
        self.server.close()
        for connection in self.connections:
            connection.transport.close()


class _Connection(asyncio.Protocol):
    def __init__(self, peer: BrokerPeer) -> None:
        self.peer = peer
        self.version = 0
        self.buffer = b""
        self.at: float = 0.0
        self.ended = False
        self.subscribes: list[list[str]] = []
        self.unsubscribes: list[bytes] = []
        """What follows the packet id."""
        self.options: set[int] = set()
        self.published: list[tuple[str, bytes, int]] = []
        """Topic, payload, packet id; 0 = QoS 0."""
        self.pings = 0
        self.connect = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.at = asyncio.get_running_loop().time()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self.ended = True

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def say(self, topic: str, payload: bytes, *, retained: bool = False, properties: bytes = b"") -> None:
        self.send(said(topic, payload, v5=self.version == V5, retained=retained, properties=properties))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 2:
            size, at = 0, 1
            while True:
                byte = self.buffer[at]
                size |= (byte & 127) << 7 * (at - 1)
                at += 1
                if byte < 128:
                    break
            if len(self.buffer) < at + size:
                return
            head, body = self.buffer[0], self.buffer[at : at + size]
            self.buffer = self.buffer[at + size :]
            self._take(head, body)

    def _take(self, head: int, body: bytes) -> None:
        match head >> 4:
            case 1:
                self._connected(body)
            case 8:
                self._subscribed(body)
            case 10:
                self.unsubscribes.append(body[2:])
                self.send(packet(0xB0, body[:2] + (b"\0\0" if self.version == V5 else b"")))
            case 3:
                self._heard(head, body)
            case 12:
                self.pings += 1
                if self.peer.answers_pings:
                    self.send(packet(0xD0, b""))
            case 14:
                self.transport.close()

    def _connected(self, body: bytes) -> None:
        peer = self.peer
        self.connect, self.version = body, body[6]
        if peer.silent:
            return
        if self.version in peer.versions:
            block = peer.connack_properties
            self.send(packet(0x20, b"\0\0" + (number(len(block)) + block if self.version == V5 else b"")))
        elif peer.hangs_up:
            self.transport.close()
        else:
            self.send(packet(0x20, b"\0\x01"))

    def _subscribed(self, body: bytes) -> None:
        filters, at = [], 3 if self.version == V5 else 2
        while at < len(body):
            length = int.from_bytes(body[at : at + 2], "big")
            filters.append(body[at + 2 : at + 2 + length].decode())
            self.options.add(body[at + 2 + length])
            at += 3 + length
        self.subscribes.append(filters)
        codes = bytes(0x80 if name in self.peer.refused else 0 for name in filters)
        self.send(packet(0x90, body[:2] + (b"\0" if self.version == V5 else b"") + codes))

    def _heard(self, head: int, body: bytes) -> None:
        length = int.from_bytes(body[:2], "big")
        at, packet_id = 2 + length, 0
        if head & 0x06:
            packet_id, at = int.from_bytes(body[at : at + 2], "big"), at + 2
        at += self.version == V5
        self.published.append((body[2 : 2 + length].decode(), body[at:], packet_id))
        if packet_id and self.peer.acknowledges:
            self.acknowledge(packet_id)

    def acknowledge(self, packet_id: int, reason: int | None = None) -> None:
        self.send(
            packet(0x40, struct.pack(">H", packet_id) + (b"" if reason is None else bytes([reason, 0])))
        )
