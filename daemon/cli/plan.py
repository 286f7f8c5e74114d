"""`quotawatt plan`: what the running daemon would do under a limit, without doing it."""

import json
import math
import sys
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console, Group
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

_TIMEOUT_S = 60.0
"""A large site is played forward in many moments, and its cycle goes first."""
_SHOWN = 12
"""Lines of a table on the terminal; `--json` has all."""


def plan(
    quota_mw: Annotated[float, typer.Option("--quota-mw", help="The limit to try, MW.", show_default=False)],
    url: UrlOption = DEFAULT_URL,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as one JSON object.")] = False,
) -> None:
    """Show what the running daemon would do under a limit; nothing is ordered and nothing is stored.

    Exit code 1 if the limit cannot be reached, 69 if no daemon answers.

    Example: quotawatt plan --quota-mw 12.5
    """
    if not math.isfinite(quota_mw) or quota_mw < 0:
        raise typer.BadParameter("a limit is 0 MW or more", param_hint="--quota-mw")
    base = local_address(url, config)
    try:
        with local_client(base, _TIMEOUT_S) as client:
            told = ask(client, "/api/v1/plan", limit_w=round(quota_mw * 1e6))
    except (UnreachableError, httpx2.InvalidURL) as error:
        print(f"quotawatt plan: {base}: {error}", file=sys.stderr)
        raise typer.Exit(Exit.UNREACHABLE) from error
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        Console().print(Group(_figures(told), _course(told), _orders(told), _unreachable(told)))
    raise typer.Exit(Exit.DONE if told["unreachable"] is None else Exit.FAILED)


def _figures(told: dict[str, Any]) -> Table:
    loads, below_s = told["loads"], told["below_limit_after_s"]
    arithmetic = (
        f"limit {_mw(told['limit_w'])} - uncontrolled {_mw(told['uncontrolled_w'])} "
        f"- margin {_mw(told['margin_w'])} = {_mw(told['target_w'])} for the loads"
    )
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("target", arithmetic)
    table.add_row("below the limit", "never" if below_s is None else f"after {below_s:g} s")
    table.add_row("loads", f"{loads['off']} off, {loads['reduced']} reduced, {loads['full']} full")
    return table


def _course(told: dict[str, Any]) -> Table:
    table = Table("after", "expected", title="The site's power", title_justify="left", box=None)
    for at in _some(told["course"]):
        table.add_row("…", "") if at is None else table.add_row(f"{at['in_s']:g} s", _mw(at["expected_w"]))
    return table


def _orders(told: dict[str, Any]) -> Table:
    title = f"{len(told['orders'])} orders, the first of them"
    table = Table("after", "device", "from", "to", title=title, title_justify="left", box=None)
    for order in told["orders"][:_SHOWN]:
        from_w = "unknown" if order["from_w"] is None else f"{order['from_w']:,} W"
        table.add_row(f"{order['in_s']:g} s", order["device"], from_w, f"{order['to_w']:,} W")
    return table


def _unreachable(told: dict[str, Any]) -> Table:
    left = told["unreachable"]
    if left is None:
        return Table(show_header=False, box=None)
    title = f"{_mw(left['w'])} above the limit cannot be shed"
    table = Table("what", "draws", "loads", title=title, title_justify="left", box=None)
    for part in left["parts"]:
        table.add_row(part["what"], _mw(part["w"]), str(part.get("count", "")))
    return table


def _some(rows: list[Any]) -> list[Any]:
    """The first and the last of many, with a gap between them."""
    return rows if len(rows) <= _SHOWN else [*rows[: _SHOWN - 3], None, *rows[-2:]]


def _mw(watts: int) -> str:
    return f"{watts / 1e6:,.3f} MW"
