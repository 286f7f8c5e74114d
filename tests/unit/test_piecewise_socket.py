"""Reading a connection in pieces: every byte once, nobody kept waiting, nobody kept from his turn."""

import socket
from collections.abc import Iterator

import pytest

from daemon.mqtt.piecewise import PiecewiseSocket

Pair = tuple[PiecewiseSocket, socket.socket]
"""A socket that is read, and the other end."""


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = socket.socketpair()
    here.settimeout(0.0)
    with here, there:
        yield PiecewiseSocket(here, lambda data, at: (at, len(data) - at)), there


def read(sock: PiecewiseSocket, size: int) -> bytes:
    """As paho does it: until it has all of a packet or there is no more."""
    found = b""
    while len(found) < size:
        try:
            found += sock.recv(size - len(found))
        except BlockingIOError:
            break
    return found


def test_every_byte_comes_once_and_in_order(pair: Pair) -> None:
    sock, there = pair
    sent = bytes(range(256)) * 400
    there.settimeout(0.0)
    heard, at, turns = b"", 0, 0
    while len(heard) < len(sent):
        at += there.send(sent[at : at + 30_000]) if at < len(sent) else 0
        turns += 1
        while True:
            heard += read(sock, 1) + read(sock, 1) + read(sock, 700)
            if not sock.pending():
                break
    assert heard == sent
    assert turns > 1


def test_a_sender_who_never_pauses_does_not_keep_the_loop(
    pair: Pair,
) -> None:
    sock, there = pair
    there.send(b"x" * 10_000)
    taken = 0
    for _ in range(1_000):
        there.send(b"x" * 100)
        found = read(sock, 1) + read(sock, 99)
        taken += len(found)
        if not sock.pending():
            break
    assert 0 < taken <= 5_000
    # In the next turn it goes on.
    assert read(sock, 1) == b"x"


def test_the_other_end_has_closed(pair: Pair) -> None:
    sock, there = pair
    there.send(b"ab")
    there.close()
    assert sock.recv(1) == b"a"
    assert sock.recv(5) == b"b"
    assert sock.pending() == 0
    assert sock.recv(1) == b""


def test_a_long_packet_is_read_in_few_and_bounded_pieces(pair: Pair) -> None:
    sock, there = pair
    there.send(b"x" * 100_000)
    assert 4096 < len(sock.recv(10**9)) <= 65_536
