"""The ledger in a site's database, read beside the daemon that writes it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.errors import LedgerDamagedError, StoreError
from daemon.ledger.chain import payload_of
from daemon.signing import MalformedError

_RECORDS = """
SELECT records.epoch, records.seq, records.kind, records.day, records.jws, records.hash, acked, retired
FROM records JOIN (
    SELECT epoch, retired, coalesce(
        (SELECT max(through_seq) FROM receipts WHERE receipts.epoch = epochs.epoch), 0) AS acked
    FROM epochs
) AS each ON each.epoch = records.epoch
"""
_ORDER = " ORDER BY records.epoch, records.seq"


@dataclass(frozen=True, slots=True)
class BookEntry:
    """A record as it is stored."""

    epoch: int
    seq: int
    kind: str
    day: str | None
    """UTC day of an `interval` or `gap`."""
    jws: str
    hash: str
    receipted: bool
    counts: bool
    """`False`: a later epoch stands in its place; it is kept for audit."""

    @property
    def members(self) -> dict[str, Any]:
        """What it says, unverified.

        Raises:
            LedgerDamagedError: it cannot be read.
        """
        try:
            return payload_of(self.jws)
        except MalformedError as error:
            raise LedgerDamagedError(f"record {self.epoch}/{self.seq} cannot be read: {error}") from error


class StoredBook:
    """Reads; writes nothing. What the daemon commits meanwhile is not seen."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `open_book`."""
        self._connection = connection

    def entries(self, *, audit: bool = False) -> Iterator[BookEntry]:
        """All records that count, in their order; with `audit` those too that no longer do."""
        return (entry for entry in self._read(_RECORDS + _ORDER) if audit or entry.counts)

    def of_day(self, day: str) -> Iterator[BookEntry]:
        """The `interval` and `gap` records that count in a UTC day."""
        found = self._read(f"{_RECORDS} WHERE records.day = ?{_ORDER}", day)
        return (entry for entry in found if entry.counts)

    def of_kind(self, kind: str) -> Iterator[BookEntry]:
        """All records of a kind that count."""
        found = self._read(f"{_RECORDS} WHERE records.kind = ?{_ORDER}", kind)
        return (entry for entry in found if entry.counts)

    def days(self) -> list[str]:
        """The UTC days of which there are intervals, oldest first."""
        rows = self._connection.execute("SELECT DISTINCT day FROM records WHERE day IS NOT NULL ORDER BY day")
        return [str(day) for (day,) in rows]

    def receipts(self) -> Iterator[str]:
        """All receipts, oldest first."""
        for (jws,) in self._connection.execute("SELECT jws FROM receipts ORDER BY epoch, through_seq"):
            yield str(jws)

    def _read(self, sql: str, *parameters: object) -> Iterator[BookEntry]:
        for epoch, seq, kind, day, jws, digest, acked, retired in self._connection.execute(sql, parameters):
            receipted = seq <= acked
            yield BookEntry(epoch, seq, kind, day, jws, digest, receipted, receipted or not retired)


@contextmanager
def open_book(path: Path) -> Iterator[StoredBook]:
    """The ledger in `site.db`, as of one moment.

    Raises:
        StoreError: it is not there, is no ledger, or cannot be read.
    """
    if not path.is_file():
        raise StoreError(f"{path}: there is no ledger here; is this the site.state_dir?")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA busy_timeout=5000")
            connection.execute("BEGIN")
            yield StoredBook(connection)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read as a ledger: {error}") from error
