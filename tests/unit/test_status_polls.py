"""`quotawatt status` shows how the polling goes, in whatever state the daemon is."""

import httpx2
import pytest
from prometheus_client import generate_latest
from rich.console import Console

from daemon.cli.status import _ask_polls, _table, polls_line
from daemon.http import Metrics


def line(totals: dict[str, int], *late_s: float) -> str:
    metrics = Metrics()
    metrics.polls(totals)
    for lag_s in late_s:
        metrics.poll_lagged(lag_s)
    return polls_line(generate_latest(metrics.registry).decode())


def test_good_failed_and_missed_polls_are_told_apart() -> None:
    totals = {"ok": 12_345, "timed-out": 20, "invalid": 3, "missed": 7}

    assert line(totals) == "12,345 good, 23 failed, 7 missed"


@pytest.mark.parametrize(
    ("late_s", "said"),
    [
        ([0.0] * 10, "late by at most 0.001 s in 99 of 100 cycles"),
        ([0.02] * 10, "late by at most 0.025 s in 99 of 100 cycles"),
        ([0.02] * 99 + [3.0], "late by at most 0.025 s in 99 of 100 cycles"),
        ([0.02] * 98 + [3.0] * 2, "late by at most 5 s in 99 of 100 cycles"),
        ([60.0] * 10, "late by more than 5 s in 99 of 100 cycles"),
    ],
    ids=["never", "a little", "once", "twice", "always"],
)
def test_how_late_polls_are_is_said(late_s: list[float], said: str) -> None:
    assert line({"ok": 1}, *late_s).partition("; ")[2] == said


def asked(answer: httpx2.Response) -> str:
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: answer), base_url="http://x") as client:
        return _ask_polls(client)


def test_what_is_not_told_is_unknown_and_does_not_end_the_command() -> None:
    assert asked(httpx2.Response(404)) == "unknown"
    assert asked(httpx2.Response(200, text="<html>{")) == "unknown"
    assert asked(httpx2.Response(200, text='quotawatt_polls_total{result="ok"} 5\n')).startswith("5 good")


def test_it_has_a_row_of_its_own() -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(_table({"state": "controlled"}, "5 good"))

    assert "\npolls     5 good" in shown.get()
