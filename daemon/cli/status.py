"""`quotawatt status`: what the running daemon says of itself."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.live import Live
from rich.table import Table

from daemon.cli.exits import Exit
from daemon.config import HttpListen, load_config

_EVERY_S = 1.0
_USUAL = 0.99
"""The share of the cycles whose worst poll is told of."""


class UnreachableError(Exception):
    """No daemon answers there, or not as one."""


def status(
    url: Annotated[str, typer.Option("--url", help="The daemon's local address.")] = "http://127.0.0.1:8480",
    config: Annotated[
        Path | None, typer.Option("--config", help="Take the address from this site's TOML file instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the state as JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it until Ctrl-C.")] = False,
) -> None:
    """Show the state of the running daemon; exit code 69 if none answers.

    Example: quotawatt status --watch
    """
    base = url if config is None else _address(load_config(config).http_listen)
    try:
        with httpx2.Client(base_url=base, timeout=3.0, trust_env=False) as client:
            if watch:
                _watch(client, as_json=as_json)
            else:
                _print_once(client, as_json=as_json)
    except (UnreachableError, httpx2.InvalidURL) as error:
        print(f"quotawatt status: {base}: {error}", file=sys.stderr)
        raise typer.Exit(Exit.UNREACHABLE) from error


def _address(listen: HttpListen) -> str:
    # Listening everywhere includes this machine.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104 - not bound here
    return f"http://[{host}]:{listen.port}" if ":" in host else f"http://{host}:{listen.port}"


def _ask(client: httpx2.Client) -> dict[str, Any]:
    try:
        response = client.get("/api/v1/state")
        response.raise_for_status()
        state = response.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise UnreachableError(f"no answer from a daemon: {error}") from error
    if not isinstance(state, dict):
        raise UnreachableError("something else than a daemon answers")
    return state


def _print_once(client: httpx2.Client, *, as_json: bool) -> None:
    state = _ask(client)
    if as_json:
        print(json.dumps(state, ensure_ascii=False))
    else:
        Console().print(_table(state, _ask_polls(client)))


def _watch(client: httpx2.Client, *, as_json: bool) -> None:
    """Until Ctrl-C. A daemon that goes away for a moment does not end it; one never there does."""
    state = _ask(client)
    try:
        if as_json:
            while True:
                print(json.dumps(state, ensure_ascii=False), flush=True)
                time.sleep(_EVERY_S)
                state = _ask(client)
        with Live(_table(state, _ask_polls(client)), auto_refresh=False) as live:
            while True:
                time.sleep(_EVERY_S)
                try:
                    live.update(_table(_ask(client), _ask_polls(client)), refresh=True)
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
