"""Packets of MQTT byte for byte, as the standard's figures have them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.mqtt import packets
from daemon.mqtt.packets import ConnAck, NotMqttError, Version


def test_connect_has_a_clean_session_and_on_mqtt_5_the_largest_packet() -> None:
    assert packets.connect(Version.V311, "ab", 15, most_bytes=262_144) == bytes.fromhex(
        "10 0e 0004 4d515454 04 02 000f 0002 6162"
    )
    assert packets.connect(
        Version.V5, "ab", 15, most_bytes=262_144, username="u", password="p"
    ) == bytes.fromhex("10 1a 0004 4d515454 05 c2 000f 05 2700040000 0002 6162 0001 75 0001 70")


def test_subscribe_and_publish() -> None:
    assert packets.subscribe(Version.V311, 1, ["a/b"]) == bytes.fromhex("82 08 0001 0003 612f62 00")
    assert packets.subscribe(Version.V5, 1, ["a/b"]) == bytes.fromhex("82 09 0001 00 0003 612f62 04")
    assert packets.unsubscribe(Version.V311, 1, ["a/b"]) == bytes.fromhex("a2 07 0001 0003 612f62")
    assert packets.unsubscribe(Version.V5, 258, ["a/b", "c"]) == bytes.fromhex(
        "a2 0b 0102 00 0003 612f62 0001 63"
    )
    assert packets.read_unsuback(bytes.fromhex("0102 00 00")) == 258
    assert packets.publish(Version.V311, "a", b"x", packet_id=None, retain=False) == bytes.fromhex(
        "30 04 0001 61 78"
    )
    assert packets.publish(Version.V5, "a", b"x", packet_id=7, retain=True) == bytes.fromhex(
        "33 07 0001 61 0007 00 78"
    )
    long = packets.publish(Version.V311, "a", b"x" * 200, packet_id=None, retain=False)
    assert long[:3] == bytes.fromhex("30 cb 01")
    with pytest.raises(ValueError, match="65536 bytes"):
        packets.publish(Version.V311, "a" * 65_536, b"", packet_id=None, retain=False)


def test_a_connack_tells_the_brokers_own_bounds() -> None:
    # Session expiry, receive maximum 20, assigned client id "ab", a user property, server keep alive 30.
    block = bytes.fromhex("11 00000000 21 0014 12 0002 6162 26 0001 6b 0001 76 13 001e")
    body = b"\0\0" + bytes([len(block)]) + block
    assert packets.read_connack(Version.V5, body) == ConnAck(0, 20, 30)
    assert packets.read_connack(Version.V5, b"\0\0\0") == ConnAck(0, 65_535, None)
    assert packets.read_connack(Version.V311, b"\0\x05") == ConnAck(5)
    # A broker of 3.1.1 answers an MQTT 5 CONNECT in its own form.
    assert packets.read_connack(Version.V5, b"\0\x01") == ConnAck(1)


@pytest.mark.parametrize(
    "body", ["", "00", "0000 02 21 00", "0000 03 77 0001", "0000 05 21 0014", "0000 ffffffffff 01"]
)
def test_a_connack_that_is_none_is_refused(body: str) -> None:
    with pytest.raises(NotMqttError):
        packets.read_connack(Version.V5, bytes.fromhex(body))


@given(st.binary(max_size=40))
def test_no_answer_of_a_broker_gives_another_error(body: bytes) -> None:
    for version in Version:
        with contextlib.suppress(NotMqttError):
            packets.read_unsuback(body)
        for read in (packets.read_connack, packets.read_suback):
            with contextlib.suppress(NotMqttError):
                read(version, body)


@given(st.lists(st.text("ab/", min_size=1, max_size=30), max_size=60), st.integers(1, 200))
def test_batches_keep_every_filter_once_and_in_order(filters: list[str], most_bytes: int) -> None:
    parts = list(packets.batches(filters, most_bytes))
    assert [name for part in parts for name in part] == filters
    assert all(part for part in parts)
    assert all(len(part) == 1 or sum(len(name) + 3 for name in part) <= most_bytes for part in parts)
