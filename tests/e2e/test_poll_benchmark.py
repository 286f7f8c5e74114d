"""The benchmark's clients and server do what they are measured for. Nothing here is a figure."""

import contextlib
import socket
from collections.abc import Sequence

import pytest

from benchmarks.poll.child import run_client
from benchmarks.poll.load import UNITS_BEHIND_GATEWAY, Client, Load, Task
from benchmarks.poll.peer import Peer, build_programs

CONNECTIONS = 20


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    build_programs()


@pytest.mark.parametrize("client", Client)
def test_every_client_polls_as_fast_as_it_can(client: Client) -> None:
    with Peer() as peer:
        outcome = run_client(Load(client, CONNECTIONS, None, 0.2, warmup_s=0.05), peer.port)
    assert outcome.polls >= CONNECTIONS
    assert 0 < outcome.cpu_s <= outcome.wall_s * 1.1
    assert peer.answered["reads"] >= outcome.polls
    assert peer.answered["writes"] == peer.answered["refusals"] == 0


@pytest.mark.parametrize("client", [Client.C, Client.OURS, Client.PYMODBUS])
def test_a_paced_client_polls_each_device_once_a_period(client: Client) -> None:
    load = Load(client, CONNECTIONS, 0.2, 1.0, warmup_s=0.2, samples=client is Client.OURS)
    with Peer() as peer:
        outcome = run_client(load, peer.port)
    assert outcome.polls == pytest.approx(5 * CONNECTIONS, rel=0.3)


def test_the_neighbours_of_a_dead_unit_are_watched() -> None:
    load = Load(
        Client.OURS, CONNECTIONS, 0.2, 2.2, gateways=1, task=Task.PERIODS, silent_unit=7, lateness=True
    )
    with Peer(silent_unit=7) as gateway:
        outcome = run_client(load, gateway.port)
    assert outcome.fewest_sweeps > 0
    assert 0 < outcome.longest_gap_s < 2.5
    assert 0 < outcome.first_full_s < 30
    alive = CONNECTIONS + UNITS_BEHIND_GATEWAY - 1
    assert outcome.polls <= alive * 13


def test_connections_that_never_answer_are_left_out_of_the_picture() -> None:
    load = Load(Client.OURS, CONNECTIONS, 0.2, 0.5, warmup_s=0.1, silent_every=10)
    with Peer(silent_every=10) as hanging:
        outcome = run_client(load, hanging.port)
    assert 0 < outcome.polls <= 18 * 4


def test_orders_are_timed_to_their_last_acknowledgement() -> None:
    for client in (Client.C, Client.OURS):
        with Peer() as peer:
            outcome = run_client(Load(client, CONNECTIONS, 1.0, 0, task=Task.ORDER, repeat=2), peer.port)
        assert outcome.polls == CONNECTIONS
        assert 0 < outcome.wall_s < 5
        assert peer.answered["writes"] == 2 * CONNECTIONS


def _answers(peer: Peer, host: str, units: Sequence[int]) -> list[int]:
    """Those of the units that answer a read of two registers."""
    answering = []
    with socket.create_connection((host, peer.port), timeout=0.2) as connection:
        for unit in units:
            connection.send(bytes.fromhex(f"0001 0000 0006 {unit:02x} 03 0001 0002"))
            with contextlib.suppress(TimeoutError):
                assert connection.recv(99) == bytes.fromhex(f"0001 0000 0007 {unit:02x} 03 04 0001 0000")
                answering.append(unit)
    return answering


def test_the_server_is_silent_where_it_is_told_to_be() -> None:
    with Peer(silent_every=10, silent_unit=7) as peer:
        assert _answers(peer, "127.1.0.8", [1, 7, 20]) == [1, 20]
        assert _answers(peer, "127.1.0.9", [1]) == []
        assert _answers(peer, "127.1.0.10", [1]) == [1]
