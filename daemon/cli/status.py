"""`quotawatt status`: what the running daemon says of itself."""

import json
import math
import sys
import time
from typing import Annotated, Any

import httpx2
import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.live import Live
from rich.table import Table

from daemon.cli.exits import Exit
from daemon.cli.local import (
    DEFAULT_URL,
    ConfigOption,
    UnreachableError,
    UrlOption,
    ask,
    local_address,
    local_client,
)

_STATE = "/api/v1/state"
_EVERY_S = 1.0
_USUAL = 0.99
"""The share of the cycles whose worst poll is told of."""


def status(
    url: UrlOption = DEFAULT_URL,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the state as JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it until Ctrl-C.")] = False,
) -> None:
    """Show the state of the running daemon; exit code 69 if none answers.

    Example: quotawatt status --watch
    """
    base = local_address(url, config)
    try:
        with local_client(base) as client:
            if watch:
                _watch(client, as_json=as_json)
            else:
                _print_once(client, as_json=as_json)
    except (UnreachableError, httpx2.InvalidURL) as error:
        print(f"quotawatt status: {base}: {error}", file=sys.stderr)
        raise typer.Exit(Exit.UNREACHABLE) from error


def _print_once(client: httpx2.Client, *, as_json: bool) -> None:
    state = ask(client, _STATE)
    if as_json:
        print(json.dumps(state, ensure_ascii=False))
    else:
        Console().print(_table(state, _ask_polls(client)))


def _watch(client: httpx2.Client, *, as_json: bool) -> None:
    """Until Ctrl-C. A daemon that goes away for a moment does not end it; one never there does."""
    state = ask(client, _STATE)
    try:
        if as_json:
            while True:
                print(json.dumps(state, ensure_ascii=False), flush=True)
                time.sleep(_EVERY_S)
                state = ask(client, _STATE)
        with Live(_table(state, _ask_polls(client)), auto_refresh=False) as live:
            while True:
                time.sleep(_EVERY_S)
                try:
                    live.update(_table(ask(client, _STATE), _ask_polls(client)), refresh=True)
                except UnreachableError as error:
                    live.update(f"{error}; asking again", refresh=True)
    except KeyboardInterrupt:
        return


def _ask_polls(client: httpx2.Client) -> str:
    """How the polling goes. What is not told is not known, and nothing else hangs on it."""
    try:
        response = client.get("/metrics")
        response.raise_for_status()
        return polls_line(response.text)
    except (httpx2.HTTPError, ValueError):
        return "unknown"


def polls_line(metrics: str) -> str:
    """Good and missed polls since the start, and how late they were, from the text of `/metrics`.

    Raises:
        ValueError: this is no such text.
    """
    totals: dict[str, float] = {}
    late: list[tuple[float, float]] = []
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "quotawatt_polls_total":
                totals[sample.labels["result"]] = sample.value
            elif sample.name == "quotawatt_poll_lag_seconds_bucket":
                late.append((float(sample.labels["le"]), sample.value))
    failed = sum(totals.values()) - totals.get("ok", 0) - totals.get("missed", 0)
    line = f"{totals.get('ok', 0):,.0f} good, {failed:,.0f} failed, {totals.get('missed', 0):,.0f} missed"
    if not late or late[-1][1] == 0:
        return line
    (longest_s, _), (_, cycles) = late[-2:]
    within_s = next(bound for bound, count in late if count >= _USUAL * cycles)
    lag = f"more than {longest_s:g} s" if math.isinf(within_s) else f"at most {within_s:g} s"
    return f"{line}; late by {lag} in 99 of 100 cycles"


def _table(state: dict[str, Any], polls: str) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in _rows(state, polls):
        table.add_row(name, text)
    return table


def _rows(state: dict[str, Any], polls: str) -> list[tuple[str, str]]:
    devices, ledger, hold = state.get("devices") or {}, state.get("ledger") or {}, state.get("hold")
    rows = [
        ("state", f"{state.get('state')} since boot {state.get('boot')}, version {state.get('version')}"),
        ("limit", f"{_kilowatts(state.get('limit_w'))} ({state.get('limit_source')})"),
        ("power", f"{_kilowatts(state.get('power_w'))} ({state.get('power_source')})"),
        ("headroom", _kilowatts(state.get("headroom_w"))),
        ("quota", "none" if state.get("quota_rev") is None else f"revision {state['quota_rev']}"),
        ("devices", ", ".join(f"{count} {name}" for name, count in devices.items())),
        ("polls", polls),
        ("ledger", f"{ledger.get('seq')} records, {ledger.get('acked_seq')} receipted"),
    ]
    if hold:
        rows.append(("hold", f"{_kilowatts(hold.get('limit_w'))}: {hold.get('reason')}"))
    rows += [
        ("alarm", f"{alarm.get('type')} since {alarm.get('since')}") for alarm in state.get("alarms") or []
    ]
    return rows


def _kilowatts(watts: Any) -> str:
    """Absent is not zero."""
    return "unknown" if watts is None else f"{watts / 1000:,.1f} kW"
