"""What the service manager hears, on a real datagram socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.service import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(2)
        yield listener


def heard(listener: socket.socket) -> str:
    return listener.recv(4096).decode()


def test_the_manager_hears_the_life_of_the_service(manager: socket.socket) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()})

    notifier.ready("limited to 600 kW")
    notifier.watchdog()
    notifier.status("failsafe\nREADY=0")
    notifier.reloading(12.5)
    notifier.stopping()

    assert [heard(manager) for _ in range(5)] == [
        "READY=1\nSTATUS=limited to 600 kW",
        "WATCHDOG=1",
        "STATUS=failsafe READY=0",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "STOPPING=1",
    ]


def test_an_abstract_socket_is_reached(tmp_path: Path) -> None:
    name = f"quotawatt-test-{tmp_path.name}-{tmp_path.parent.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.settimeout(2)

        Notifier.from_environment({"NOTIFY_SOCKET": "@" + name}).ready()

        assert heard(listener) == "READY=1"


@pytest.mark.parametrize(
    "environment", [{}, {"NOTIFY_SOCKET": "/nobody/listens"}, {"NOTIFY_SOCKET": "relative"}]
)
def test_without_a_manager_nothing_happens(environment: dict[str, str]) -> None:
    Notifier.from_environment(environment).ready("nobody hears it")


def test_a_flooded_manager_does_not_hold_up_control(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())

    for _ in range(2000):
        notifier.watchdog()

    assert heard(manager) == "WATCHDOG=1"


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "41"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_must(
    environment: dict[str, str], interval_s: float | None
) -> None:
    assert Notifier.from_environment(environment, pid=42).watchdog_interval_s == interval_s
