"""The MQTT packets of a client that hears at QoS 0 and says at QoS 0 or 1; versions 3.1.1 and 5. Pure.

Sections are those of the MQTT 5.0 standard; 3.1.1 differs by having no properties.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

MOST_TEXT = 0xFFFF
"""Bytes of a topic, a name or a password (1.5.4)."""


class NotMqttError(Exception):
    """What came is no packet that a broker may send here: the connection is of no use any more."""


class Version(IntEnum):
    """The protocol level in CONNECT."""

    V311 = 4
    V5 = 5


class Kind(IntEnum):
    """The packet's type: the high half of its first byte."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


_PLAIN_PUBLISH = Kind.PUBLISH << 4

PINGREQ = bytes([Kind.PINGREQ << 4, 0])
DISCONNECT = bytes([Kind.DISCONNECT << 4, 0])

_MAXIMUM_PACKET_SIZE, _RECEIVE_MAXIMUM, _SERVER_KEEP_ALIVE = 0x27, 0x21, 0x13
_SIZE = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
"""Bytes of the numeric properties (2.2.2.2)."""
_TEXTS = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
_PAIR = 0x26
_NO_LOCAL = 0x04


@dataclass(frozen=True, slots=True)
class ConnAck:
    """The broker's answer to CONNECT."""

    code: int
    """0 = accepted; else a return code (3.1.1) or a reason code (5)."""
    receive_maximum: int = 0xFFFF
    """QoS 1 messages that may be under way to the broker at once."""
    keepalive_s: int | None = None
    """The broker's own, which counts then."""


def connect(
    version: Version,
    client_id: str,
    keepalive_s: int,
    *,
    most_bytes: int,
    username: str | None = None,
    password: str | None = None,
) -> bytes:
    """CONNECT with a session that ends with the connection; MQTT 5 is told the largest packet we take."""
    flags = 0x02 | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = _text("MQTT") + bytes([version, flags]) + struct.pack(">H", keepalive_s)
    if version is Version.V5:
        body += _counted(bytes([_MAXIMUM_PACKET_SIZE]) + struct.pack(">I", most_bytes))
    body += _text(client_id)
    body += b"".join(_text(part) for part in (username, password) if part is not None)
    return _packet(Kind.CONNECT << 4, body)


def subscribe(version: Version, packet_id: int, filters: Sequence[str]) -> bytes:
    """SUBSCRIBE at QoS 0.

    Retain As Published stays off: a device that publishes with the retain flag is heard like any other,
    and only what the broker had stored before comes flagged, on both versions alike.
    """
    option = bytes([_NO_LOCAL if version is Version.V5 else 0])
    properties = b"\0" if version is Version.V5 else b""
    topics = b"".join(_text(topic_filter) + option for topic_filter in filters)
    return _packet(Kind.SUBSCRIBE << 4 | 2, struct.pack(">H", packet_id) + properties + topics)


def unsubscribe(version: Version, packet_id: int, filters: Sequence[str]) -> bytes:
    """UNSUBSCRIBE: the filters' messages are wanted no more (3.10)."""
    properties = b"\0" if version is Version.V5 else b""
    topics = b"".join(_text(topic_filter) for topic_filter in filters)
    return _packet(Kind.UNSUBSCRIBE << 4 | 2, struct.pack(">H", packet_id) + properties + topics)


def publish(version: Version, topic: str, payload: bytes, *, packet_id: int | None, retain: bool) -> bytes:
    """PUBLISH at QoS 1, or at QoS 0 without a packet id."""
    qos = 0 if packet_id is None else 1
    body = _text(topic) + (b"" if packet_id is None else struct.pack(">H", packet_id))
    body += b"\0" if version is Version.V5 else b""
    return _packet(Kind.PUBLISH << 4 | qos << 1 | retain, body + payload)


def read_connack(version: Version, body: bytes) -> ConnAck:
    """The broker's answer.

    Raises:
        NotMqttError: it is none.
    """
    if len(body) < 2:
        raise NotMqttError("a CONNACK without a code")
    if version is not Version.V5 or len(body) == 2:
        return ConnAck(body[1])
    known = _properties(body, 2)
    return ConnAck(body[1], known.get(_RECEIVE_MAXIMUM, 0xFFFF) or 0xFFFF, known.get(_SERVER_KEEP_ALIVE))


def read_suback(version: Version, body: bytes) -> tuple[int, bytes]:
    """Packet id, and a code for each filter: 0x80 and above = refused.

    Raises:
        NotMqttError: it is none.
    """
    if len(body) < 3:
        raise NotMqttError("a SUBACK without a code")
    start = after_properties(body, 2) if version is Version.V5 else 2
    return int.from_bytes(body[:2], "big"), body[start:]


def read_unsuback(body: bytes) -> int:
    """The packet id; whether the broker had known the filters does not matter (3.11).

    Raises:
        NotMqttError: it is too short.
    """
    if len(body) < 2:
        raise NotMqttError("an UNSUBACK without a packet id")
    return int.from_bytes(body[:2], "big")


def read_puback(body: bytes) -> tuple[int, int]:
    """Packet id and reason: 0x80 and above = refused (MQTT 5 only).

    Raises:
        NotMqttError: it is none.
    """
    if len(body) < 2:
        raise NotMqttError("a PUBACK without a packet id")
    return int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0


def frame_at(data: bytes, at: int) -> tuple[int, int]:
    """Where the body of the packet that begins at `at` begins and ends; (0, 0) = its length is not all there.

    Raises:
        NotMqttError: no packet begins so.
    """
    if len(data) - at < 2:
        return 0, 0
    size, body = data[at + 1], at + 2
    if size < 0x80:
        return body, body + size
    size &= 0x7F
    for shift in (7, 14, 21):
        if body == len(data):
            return 0, 0
        byte = data[body]
        body += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return body, body + size
    raise NotMqttError("a length of more than four bytes")


def is_plain_publish(head: int) -> bool:
    """Whether a packet with this first byte is a PUBLISH at QoS 0."""
    return head & 0xFE == _PLAIN_PUBLISH


def read_plain_publish(
    data: bytes, head: int, body: int, stop: int, *, has_properties: bool
) -> tuple[bytes, bytes, bool]:
    """Topic, payload and whether it was retained, of a PUBLISH at QoS 0 in `data`.

    Raises:
        NotMqttError: it is none.
    """
    topic_start = body + 2
    topic_end = topic_start + (data[body] << 8 | data[body + 1]) if topic_start <= stop else stop + 1
    if topic_end > stop:
        raise NotMqttError("a topic longer than its packet")
    start = topic_end
    if has_properties:
        # Most have no properties: a single zero.
        plain = topic_end < stop and not data[topic_end]
        start = topic_end + 1 if plain else body + after_properties(data[body:stop], topic_end - body)
    return data[topic_start:topic_end], data[start:stop], head & 1 == 1


def after_properties(body: bytes, at: int) -> int:
    """Where the property block that begins at `at` ends.

    Raises:
        NotMqttError: it is longer than the packet.
    """
    length, start = _number(body, at)
    if start + length > len(body):
        raise NotMqttError("properties longer than their packet")
    return start + length


def batches(filters: Sequence[str], most_bytes: int) -> Iterator[Sequence[str]]:
    """Filters for one SUBSCRIBE each, of about that many bytes at most."""
    first, size = 0, 0
    for index, topic_filter in enumerate(filters):
        more = len(topic_filter.encode()) + 3
        if size and size + more > most_bytes:
            yield filters[first:index]
            first, size = index, 0
        size += more
    if first < len(filters):
        yield filters[first:]


def _packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + _counted(body)


def _counted(body: bytes) -> bytes:
    """The bytes behind their number, a variable byte integer (1.5.5)."""
    length, size = bytearray(), len(body)
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes(length) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    if len(raw) > MOST_TEXT:
        raise ValueError(f"a text of {len(raw)} bytes; {MOST_TEXT} are possible")
    return struct.pack(">H", len(raw)) + raw


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer and where it ends."""
    value = 0
    for shift in (0, 7, 14, 21):
        if at >= len(body):
            raise NotMqttError("a number that is cut off")
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotMqttError("a number of more than four bytes")


def _properties(body: bytes, at: int) -> Mapping[int, int]:
    """The numeric properties of a block."""
    end = after_properties(body, at)
    _, at = _number(body, at)
    found: dict[int, int] = {}
    while at < end:
        name, at = body[at], at + 1
        if (size := _SIZE.get(name)) is not None:
            found[name] = int.from_bytes(body[at : at + size], "big")
            at += size
        elif name == 0x0B:
            found[name], at = _number(body, at)
        elif name in _TEXTS or name == _PAIR:
            for _ in range(2 if name == _PAIR else 1):
                at += 2 + int.from_bytes(body[at : at + 2], "big")
        else:
            raise NotMqttError(f"unknown property {name:#x}")
    if at != end:
        raise NotMqttError("a property that is cut off")
    return found
