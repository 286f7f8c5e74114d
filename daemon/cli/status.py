"""`quotawatt status`: what the running daemon says of itself."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from daemon.cli.exits import Exit
from daemon.config import HttpListen, load_config

_EVERY_S = 1.0


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
                _print_once(_ask(client), as_json=as_json)
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


def _print_once(state: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(state, ensure_ascii=False))
    else:
        Console().print(_table(state))


def _watch(client: httpx2.Client, *, as_json: bool) -> None:
    """Until Ctrl-C. A daemon that goes away for a moment does not end it; one never there does."""
    state = _ask(client)
    try:
        if as_json:
            while True:
                print(json.dumps(state, ensure_ascii=False), flush=True)
                time.sleep(_EVERY_S)
                state = _ask(client)
        with Live(_table(state), auto_refresh=False) as live:
            while True:
                time.sleep(_EVERY_S)
                try:
                    live.update(_table(_ask(client)), refresh=True)
                except UnreachableError as error:
                    live.update(f"{error}; asking again", refresh=True)
    except KeyboardInterrupt:
        return


def _table(state: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in _rows(state):
        table.add_row(name, text)
    return table


def _rows(state: dict[str, Any]) -> list[tuple[str, str]]:
    devices, ledger, hold = state.get("devices") or {}, state.get("ledger") or {}, state.get("hold")
    rows = [
        ("state", f"{state.get('state')} since boot {state.get('boot')}, version {state.get('version')}"),
        ("limit", f"{_kilowatts(state.get('limit_w'))} ({state.get('limit_source')})"),
        ("power", f"{_kilowatts(state.get('power_w'))} ({state.get('power_source')})"),
        ("headroom", _kilowatts(state.get("headroom_w"))),
        ("quota", "none" if state.get("quota_rev") is None else f"revision {state['quota_rev']}"),
        ("devices", ", ".join(f"{count} {name}" for name, count in devices.items())),
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
