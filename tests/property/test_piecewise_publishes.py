"""Messages at QoS 0 are taken out of what paho reads: none is lost, doubled or overtaken."""

import contextlib
import select
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.mqtt.packets import Kind, Version, frame_at, is_plain_publish, publish, read_plain_publish
from daemon.mqtt.piecewise import PiecewiseSocket, taker

SIZES = st.sampled_from([0, 1, 100, 127, 128, 700, 5_000, 20_000, 70_000])
PACKETS = st.one_of(
    st.tuples(st.just("publish"), SIZES, st.booleans()),
    st.tuples(st.just("acknowledged"), SIZES, st.booleans()),
    st.tuples(st.just("ping"), st.just(0), st.booleans()),
)


def packet(version: Version, number: int, kind: str, size: int, *, retain: bool) -> bytes:
    if kind == "ping":
        return bytes([Kind.PINGRESP << 4, 0])
    packet_id = None if kind == "publish" else number + 1
    return publish(version, f"topic/{number}", bytes([number]) * size, packet_id=packet_id, retain=retain)


def read_as_paho_does(sock: PiecewiseSocket, here: socket.socket, into: bytearray) -> None:
    """Go on while something is there, turn by turn."""
    while sock.pending() or select.select([here], [], [], 0)[0]:
        with contextlib.suppress(BlockingIOError):
            into += sock.recv(700)


@pytest.mark.parametrize("version", Version)
@given(kinds=st.lists(PACKETS, max_size=12), cuts=st.lists(st.integers(1, 9_000), max_size=30))
def test_every_message_comes_once_and_in_order(
    version: Version, kinds: list[tuple[str, int, bool]], cuts: list[int]
) -> None:
    packets = [
        packet(version, number, kind, size, retain=retain)
        for number, (kind, size, retain) in enumerate(kinds)
    ]
    has_properties = version is Version.V5
    heard: list[bytes] = []
    for_paho = bytearray()

    def hear(topic: bytes, payload: bytes, retained: bool) -> None:  # noqa: FBT001  as Heard
        assert not for_paho_is_cut()
        heard.append(publish(version, topic.decode(), payload, packet_id=None, retain=retained))

    def for_paho_is_cut() -> bool:
        at = 0
        while at < len(for_paho):
            body, at = frame_at(bytes(for_paho), at)
            if not body or at > len(for_paho):
                return True
        return False

    here, there = socket.socketpair()
    with here, there:
        here.settimeout(0.0)
        sock = PiecewiseSocket(here, taker(hear, has_properties=has_properties))
        stream = b"".join(packets)
        for cut in (*cuts, len(stream)):
            for start in range(0, cut, 50_000):
                there.sendall(stream[:cut][start : start + 50_000])
                read_as_paho_does(sock, here, for_paho)
            stream = stream[cut:]
    assert not stream
    _found(packets, heard, bytes(for_paho))


def _found(packets: list[bytes], heard: list[bytes], for_paho: bytes) -> None:
    """Each packet is the next that was heard, or that paho read; only messages at QoS 0 were heard."""
    for each in packets:
        if heard and each == heard[0]:
            assert is_plain_publish(each[0])
            heard.pop(0)
        else:
            assert for_paho.startswith(each)
            for_paho = for_paho[len(each) :]
    assert not heard
    assert not for_paho


@pytest.mark.parametrize("version", Version)
def test_a_whole_message_never_reaches_paho(version: Version) -> None:
    heard: list[tuple[bytes, bytes, bool]] = []
    take = taker(lambda *message: heard.append(message), has_properties=version is Version.V5)
    data = b"".join(publish(version, "a/b", b"%d" % n, packet_id=None, retain=n == 1) for n in range(3))
    assert take(data, 0) == (len(data), 0)
    assert heard == [(b"a/b", b"0", False), (b"a/b", b"1", True), (b"a/b", b"2", False)]


@pytest.mark.parametrize(
    "data", [b"\x30\xff\xff\xff\xff\x7f", b"\x30\x03\x00\x09a", b"\x30\x04\x00\x01a\x09"], ids=repr
)
def test_what_is_no_mqtt_ends_the_connection(data: bytes) -> None:
    with pytest.raises(ConnectionError, match="no MQTT"):
        taker(lambda *_: None, has_properties=True)(data, 0)


def test_properties_are_skipped() -> None:
    body = b"\x00\x01a" + b"\x02\x01\x01" + b"payload"
    data = bytes([0x30, len(body)]) + body
    assert read_plain_publish(data, 0x30, 2, len(data), has_properties=True) == (b"a", b"payload", False)
