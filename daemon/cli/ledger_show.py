"""`quotawatt ledger show`: the site's own days, beside the exchange's statement of them."""

import json
import ssl
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table

from daemon.book.overview import DayOverview, Difference, Overview, Statement, differences
from daemon.book.statement import ExchangeRefusedError, ExchangeSilentError, StatementDesk
from daemon.book.stored import open_book
from daemon.cli.exits import Exit
from daemon.clock import SystemClock, SystemEntropy
from daemon.config import Config, load_config
from daemon.signing import PrivateKey

TIMEOUT_S = 30.0


def show(
    config: Annotated[Path, typer.Option("--config", help="The site's TOML file.", show_default=False)],
    statement: Annotated[
        bool, typer.Option("--statement", help="Ask the exchange for its statement and name each difference.")
    ] = False,
    days: Annotated[int, typer.Option("--days", min=1, help="How many days, the newest last.")] = 7,
    day: Annotated[str | None, typer.Option("--day", help="One UTC day instead, YYYY-MM-DD.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what the site's own ledger holds of each UTC day.

    With --statement the exit code is 1 if book and statement differ in what the exchange has receipted, 69 if
    the exchange does not answer, 77 if it does not accept the site's key.

    Example: quotawatt ledger show --config site.toml --statement
    """
    loaded = load_config(config)
    with open_book(loaded.site.state_dir / "site.db") as book:
        overview = Overview(book)
        known = overview.days()
        wanted = [day] if day is not None else known[-days:]
        shown = [overview.day(each) for each in wanted]
    told: dict[str, Statement | None] = {}
    if statement:
        told = _ask(loaded, wanted)
    found = [each for one in shown if statement for each in differences(one, told[one.whole.day])]
    if as_json:
        print(json.dumps(_as_json(loaded.site.id, shown, told, found, asked=statement)))
    else:
        _print(shown, told, found, asked=statement)
    raise typer.Exit(Exit.FAILED if found else Exit.DONE)


def _ask(config: Config, days: list[str]) -> dict[str, Statement | None]:
    settlement = config.settlement
    if settlement is None:
        print(
            f"{config.path}: settlement: is missing; the exchange's url and keys would be right",
            file=sys.stderr,
        )
        raise typer.Exit(Exit.CONFIGURATION)
    context = ssl.create_default_context(cafile=settlement.ca)
    if settlement.cert is not None:
        context.load_cert_chain(settlement.cert, settlement.key)
    key = PrivateKey.load(config.site_key_path)
    try:
        with httpx2.Client(verify=context, timeout=TIMEOUT_S, trust_env=False) as http:
            desk = StatementDesk(http, settlement, config.site.id, key, SystemClock(), SystemEntropy())
            return {day: desk.ask(day) for day in days}
    except ExchangeSilentError as error:
        print(f"quotawatt ledger show: the exchange does not answer: {error}", file=sys.stderr)
        raise typer.Exit(Exit.UNREACHABLE) from error
    except ExchangeRefusedError as error:
        print(f"quotawatt ledger show: {error}", file=sys.stderr)
        raise typer.Exit(Exit.NOT_PERMITTED) from error


def _print(
    shown: list[DayOverview],
    told: dict[str, Statement | None],
    found: list[Difference],
    *,
    asked: bool,
) -> None:
    columns = ["day", "records", "gaps", "Wh", "corrections", "closed", "waiting"]
    if asked:
        columns += ["exchange: records", "Wh", "closed"]
    table = Table(*columns, box=None, pad_edge=False)
    for each in shown:
        whole = each.whole
        row = [
            whole.day,
            f"{whole.count}",
            f"{whole.gaps}",
            f"{whole.wh:,}",
            f"{whole.corrections_wh:,}",
            "yes" if whole.closed else "no",
            f"{each.waiting}",
        ]
        theirs = told.get(whole.day)
        if theirs is not None:
            row += [f"{theirs.count}", f"{theirs.wh:,}", "yes" if theirs.closed else "no"]
        table.add_row(*row)
    Console(highlight=False).print(table)
    for one in found:
        why = f" ({one.why})" if one.why else ""
        print(f"{one.day}: {one.member}: the book has {one.book}, the statement {one.statement}{why}")
    if asked and not found:
        print("book and statement agree in all that has a receipt")


def _as_json(
    site: str,
    shown: list[DayOverview],
    told: dict[str, Statement | None],
    found: list[Difference],
    *,
    asked: bool,
) -> dict[str, Any]:
    days = []
    for each in shown:
        one: dict[str, Any] = {**asdict(each.whole), "waiting": each.waiting}
        if asked:
            theirs = told[each.whole.day]
            one |= {"receipted": asdict(each.receipted), "statement": theirs and asdict(theirs)}
        days.append(one)
    answer: dict[str, Any] = {"site": site, "days": days}
    if asked:
        answer |= {"ok": not found, "differences": [asdict(each) for each in found]}
    return answer
