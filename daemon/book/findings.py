"""What is wrong with a book, record by record."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

MOST_KEPT = 1_000
"""Findings that are kept with their text; the rest is counted."""


class Flaw(StrEnum):
    """What sort of thing is wrong; the words of docs/ledger.md."""

    FORM = "form"
    SITE = "site"
    KEY = "key"
    SIGNATURE = "signature"
    SEQUENCE = "sequence"
    CHAIN = "chain"
    EPOCH = "epoch"
    GRID = "grid"
    REGISTER = "register"
    ENERGY = "energy"
    DAY = "day"
    SUM = "sum"
    ROOT = "root"
    REFERENCE = "reference"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw, of the record `epoch`/`seq` on a line of the file; 0 where there is no such thing."""

    flaw: Flaw
    epoch: int
    seq: int
    line: int
    wrong: str
    right: str
    """What would be right."""

    def __str__(self) -> str:
        if self.line:
            where = f"line {self.line}, record {self.epoch}/{self.seq}"
        else:
            where = f"record {self.epoch}/{self.seq}"
        return f"{where}: {self.flaw.value}: {self.wrong}; right would be: {self.right}"


@dataclass(slots=True)
class Findings:
    """All findings, in the order of the file."""

    kept: list[Finding] = field(default_factory=list)
    count: int = 0

    def add(self, found: Iterable[Finding]) -> None:
        """Keep findings as long as there is room."""
        for finding in found:
            self.count += 1
            if len(self.kept) < MOST_KEPT:
                self.kept.append(finding)
