"""`quotawatt ledger`: verify, show and export the interval ledger, and open a new epoch of it."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from daemon.book import Report, load_trust, read_receipts, verify_file
from daemon.book.export import WRITERS, ExportFormat
from daemon.book.stored import BookEntry, StoredBook, open_book
from daemon.cli.exits import Exit
from daemon.cli.ledger_show import show
from daemon.config import load_config
from daemon.ledger.epochs import request_new_epoch
from daemon.signing import KeyFileError

app = typer.Typer(
    name="ledger",
    help="Verify, show and export the interval ledger.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    epilog="Example: quotawatt ledger verify ledger.jws --trust site.pub.jwk",
)
app.command("show")(show)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="The site's TOML file.")]
DatabaseOption = Annotated[
    Path | None, typer.Option("--db", help="The ledger's database instead: site.db of the state folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_SHOWN = 50
"""Findings on the terminal; `--json` has up to 1,000."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One record's JWS a line (ledger export).")],
    trust: Annotated[Path, typer.Option("--trust", help="The site's keys: a JWKS, or one public JWK.")],
    receipts: Annotated[
        Path | None, typer.Option("--receipts", help="The exchange's receipts, one JWS a line.")
    ] = None,
    exchange_trust: Annotated[
        Path | None, typer.Option("--exchange-trust", help="The exchange's keys; goes with --receipts.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a ledger file offline: signatures, chain, grid, registers, sums, day roots, receipts.

    A good ledger was not changed after signing, and nothing is missing in it. Whether the meter told the
    truth it does not show. Only receipts show that nothing was cut off at its end.

    Exit code 1 if anything is wrong; each finding names the record and what would be right.

    Example: quotawatt ledger verify ledger.jws --trust site.pub.jwk --receipts receipts.jws
    --exchange-trust exchange.jwks
    """
    if (receipts is None) != (exchange_trust is None):
        raise typer.BadParameter("--receipts and --exchange-trust go together", param_hint="--receipts")
    try:
        keys = load_trust(trust)
        vouched = None
        if receipts is not None and exchange_trust is not None:
            vouched = read_receipts(receipts, load_trust(exchange_trust))
        report = verify_file(file, keys, vouched)
    except KeyFileError as error:
        _complain("verify", str(error))
        raise typer.Exit(Exit.USAGE) from error
    except OSError as error:
        _complain("verify", f"{error.filename}: {error.strerror}")
        raise typer.Exit(Exit.USAGE) from error
    if as_json:
        print(json.dumps(_report_json(report), ensure_ascii=False))
    else:
        _print_report(report)
    raise typer.Exit(Exit.DONE if report.good else Exit.FAILED)


@app.command()
def export(
    form: Annotated[
        ExportFormat, typer.Option("--format", help="What the file looks like.")
    ] = ExportFormat.JWS,
    config: ConfigOption = None,
    db: DatabaseOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; else standard output.")] = None,
    receipts: Annotated[
        Path | None, typer.Option("--receipts", help="Write the exchange's receipts to this file, too.")
    ] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Also records that a later epoch replaced.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written; goes with --out.")] = False,
) -> None:
    """Write the ledger to a file: jws can be verified by anyone, csv and json are for reading.

    Works beside a running daemon and changes nothing.

    Example: quotawatt ledger export --config site.toml --format jws --out ledger.jws --receipts receipts.jws
    """
    if as_json and out is None:
        raise typer.BadParameter("--json goes with --out", param_hint="--json")
    with open_book(database(config, db)) as book:
        try:
            with _output(out) as stream:
                records = WRITERS[form](_entries(book, audit), stream)
            count = None if receipts is None else _write_receipts(book, receipts)
        except OSError as error:
            _complain("export", f"{error.filename}: {error.strerror}")
            raise typer.Exit(Exit.FAILED) from error
    if as_json:
        print(json.dumps({"format": form.value, "file": str(out), "records": records, "receipts": count}))


@app.command("new-epoch")
def new_epoch(
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger: up to 200 characters.")],
    config: ConfigOption = None,
    db: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the daemon go on in a new epoch, after a ledger that somebody edited, for one.

    The request is kept in the ledger's database: a running daemon opens the epoch within seconds, a
    stopped one when it starts. What cannot be believed stays stored for audit.

    Example: quotawatt ledger new-epoch --config site.toml --reason "record 812 was edited by hand"
    """
    path = database(config, db)
    asyncio.run(request_new_epoch(path, reason))
    if as_json:
        print(json.dumps({"database": str(path), "reason": reason, "requested": True}))
    else:
        print(f"{path}: the daemon is asked for a new epoch")


def database(config: Path | None, db: Path | None) -> Path:
    """Where the ledger is.

    Raises:
        ConfigurationError: the configuration has mistakes.
    """
    if (config is None) == (db is None):
        raise typer.BadParameter("give --config or --db", param_hint="--config")
    if db is not None:
        return db
    assert config is not None
    return load_config(config).site.state_dir / "site.db"


def _entries(book: StoredBook, audit: bool) -> Iterator[BookEntry]:
    return book.entries(audit=audit)


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[IO[str]]:
    if path is None:
        yield sys.stdout
        return
    with path.open("w", encoding="utf-8", newline="") as stream:
        yield stream


def _write_receipts(book: StoredBook, path: Path) -> int:
    lines = [f"{receipt}\n" for receipt in book.receipts()]
    path.write_text("".join(lines), encoding="ascii")
    return len(lines)


def _complain(command: str, text: str) -> None:
    print(f"quotawatt ledger {command}: {text}", file=sys.stderr)


def _report_json(report: Report) -> dict[str, object]:
    return {
        "ok": report.good,
        "site": report.site,
        "records": report.records,
        "epochs": [{"epoch": epoch, "last_seq": seq} for epoch, seq in report.epochs.items()],
        "first": report.first,
        "end": report.end,
        "wh": dict(report.wh),
        "corrections_wh": report.corrections_wh,
        "days": {"closed": report.days_closed, "open": list(report.days_open)},
        "receipted": None
        if report.receipted is None
        else [{"epoch": epoch, "through_seq": seq} for epoch, seq in sorted(report.receipted.items())],
        "findings": [
            {
                "flaw": each.flaw.value,
                "epoch": each.epoch,
                "seq": each.seq,
                "line": each.line,
                "wrong": each.wrong,
                "right": each.right,
            }
            for each in report.findings
        ],
        "finding_count": report.finding_count,
        "notes": list(report.notes),
    }


def _print_report(report: Report) -> None:
    for finding in report.findings[:_SHOWN]:
        print(finding)
    if report.finding_count > _SHOWN:
        print(f"… and {report.finding_count - min(_SHOWN, len(report.findings))} findings more")
    for note in report.notes:
        print(f"note: {note}")
    span = "no intervals" if report.first is None else f"{report.first} to {report.end}"
    print(f"site {report.site}: {report.records} records in {len(report.epochs)} epochs, {span}")
    energy = ", ".join(f"{point} {wh:,} Wh" for point, wh in report.wh.items())
    print(f"energy: {energy or 'none'}; corrections {report.corrections_wh:,} Wh")
    print(f"days: {report.days_closed} closed, {len(report.days_open)} open")
    if report.receipted is None:
        print("receipts: none given, so nothing shows whether the end was cut off")
    else:
        through = ", ".join(f"{epoch}/{seq}" for epoch, seq in sorted(report.receipted.items()))
        print(f"receipts: through {through or 'nothing'}")
    print("good: nothing was changed after signing" if report.good else f"{report.finding_count} findings")
