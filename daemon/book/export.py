"""A stored ledger as a file for others: the signed lines themselves, CSV, or JSON."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import IO, Any

from daemon.book.stored import BookEntry

_STATES = ("init", "controlled", "limited", "failsafe")
_SAME = (
    "point", "start", "dur_s", "wh", "reason", "reg_start_wh", "reg_end_wh", "meter_sn", "max_w", "samples",
    "coverage_s", "quality", "time_status", "limit_wh", "limit_ref", "floor_w", "over_s", "over_wh",
    "settle_s",
)  # fmt: skip

COLUMNS = (
    "epoch",
    "seq",
    "kind",
    *_SAME,
    *(f"{state}_s" for state in _STATES),
    "hashes_th",
    "gpu_s",
    "corrects",
    "receipted",
)
"""Of the CSV: `interval`, `gap` and `correction`, with the names of the contract. `corrects` = epoch/seq."""

_IN_CSV = frozenset({"interval", "gap", "correction"})


class ExportFormat(StrEnum):
    """What an export looks like."""

    JWS = "jws"
    """The signed records, one a line: all that `verify` needs."""
    CSV = "csv"
    """Energy, one interval a line."""
    JSON = "json"
    """Every record's members."""


def write_jws(entries: Iterable[BookEntry], out: IO[str]) -> int:
    """One record's JWS a line; returns how many."""
    count = 0
    for count, entry in enumerate(entries, start=1):  # noqa: B007 - the last is the sum
        out.write(entry.jws + "\n")
    return count


def write_csv(entries: Iterable[BookEntry], out: IO[str]) -> int:
    """One interval, gap or correction a line, after a line of names; an absent value is empty."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for entry in entries:
        if entry.kind in _IN_CSV:
            row = _row(entry, entry.members)
            writer.writerow(["" if row.get(name) is None else row[name] for name in COLUMNS])
            count += 1
    return count


def write_json(entries: Iterable[BookEntry], out: IO[str]) -> int:
    """`{"records": [{"record", "hash", "receipted"}, …]}`, one record a line."""
    out.write('{"records":[')
    count = 0
    for entry in entries:
        each = {"record": entry.members, "hash": entry.hash, "receipted": entry.receipted}
        out.write(",\n" if count else "\n")
        out.write(json.dumps(each, ensure_ascii=False, separators=(",", ":")))
        count += 1
    out.write("\n]}\n")
    return count


WRITERS: Mapping[ExportFormat, Callable[[Iterable[BookEntry], IO[str]], int]] = {
    ExportFormat.JWS: write_jws,
    ExportFormat.CSV: write_csv,
    ExportFormat.JSON: write_json,
}


def _row(entry: BookEntry, members: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: members.get(name) for name in _SAME}
    row |= {"epoch": entry.epoch, "seq": entry.seq, "kind": entry.kind, "receipted": int(entry.receipted)}
    if entry.kind == "correction":
        row |= {"start": members["at"], "corrects": f"{members['ref']['epoch']}/{members['ref']['seq']}"}
    states, output = members.get("state_s") or {}, members.get("output") or {}
    return row | {f"{state}_s": states.get(state) for state in _STATES} | output
