"""What the exchange keeps: keys, records and receipts, in one SQLite database.

SQLite is called in line, on the loop's thread: transactions are short, and the endpoint must also
run on a loop whose time is simulated, where a thread would race with it.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sim_devices.exchange.encoding import FormError
from sim_devices.exchange.envelopes import open_envelope, public_key_of, thumbprint
from sim_devices.exchange.keyring import KeyRing, SiteKey
from sim_devices.exchange.receipts import Head
from sim_devices.exchange.records import (
    AnyRecord,
    Correction,
    DayClose,
    Entry,
    EpochOpen,
    Gap,
    Interval,
    Position,
    read_record,
)
from sim_devices.exchange.statement import DayRecords, Leaf, told_last

_SCHEMA = """
CREATE TABLE IF NOT EXISTS site_keys (
    site TEXT NOT NULL, kid TEXT NOT NULL, x TEXT NOT NULL,
    since_epoch INTEGER, since_seq INTEGER,     -- the key-change that registered it; NULL: out of band
    until_epoch INTEGER, until_seq INTEGER,     -- the key-change that replaced it
    PRIMARY KEY (site, kid)
) STRICT;
CREATE TABLE IF NOT EXISTS records (
    site TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    day TEXT,               -- the UTC day in which it counts
    wh INTEGER,             -- what it adds to the day's energy or corrections
    hash TEXT NOT NULL, jws BLOB NOT NULL,
    PRIMARY KEY (site, epoch, seq)
) STRICT;
CREATE INDEX IF NOT EXISTS records_by_day ON records (site, day) WHERE day IS NOT NULL;
CREATE TABLE IF NOT EXISTS receipts (
    site TEXT NOT NULL, epoch INTEGER NOT NULL, through_seq INTEGER NOT NULL,
    jws BLOB NOT NULL,
    PRIMARY KEY (site, epoch, through_seq)
) STRICT;
"""


class Book:
    """The exchange's memory. `path` is a file, or `:memory:`."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside becomes durable together, or nothing does."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def register_site(self, site: str, jwk: Mapping[str, Any], kid: str | None = None) -> str:
        """Register a site's key out of band and return its `kid`: as given, of the JWK, or thumbprint.

        Raises:
            FormError: not a public Ed25519 JWK, or another key has this `kid`.
        """
        public_key_of(dict(jwk))
        key = SiteKey(kid or jwk.get("kid") or thumbprint(jwk["x"]), jwk["x"])
        known = self.keyring(site).keys.get(key.kid)
        if known is not None and known.x != key.x:
            raise FormError(f"site {site} has another key {key.kid}")
        if known is None:
            self.save_keys(site, [key])
        return key.kid

    def keyring(self, site: str) -> KeyRing:
        """All keys of a site; empty for a site that is not known."""
        rows = self._db.execute("SELECT * FROM site_keys WHERE site = ?", (site,))
        return KeyRing(
            {
                kid: SiteKey(kid, x, since=_position(since_epoch, since), until=_position(until_epoch, until))
                for _, kid, x, since_epoch, since, until_epoch, until in rows
            }
        )

    def save_keys(self, site: str, keys: Sequence[SiteKey]) -> None:
        """Write keys in their present state."""
        self._db.executemany(
            "INSERT OR REPLACE INTO site_keys VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (site, key.kid, key.x, *(key.since or (None, None)), *(key.until or (None, None)))
                for key in keys
            ],
        )

    def head(self, site: str, epoch: int | None = None) -> Head | None:
        """The last record of an epoch, by default of the newest; `None` if there is none."""
        row = self._db.execute(
            "SELECT epoch, seq, hash, jws FROM records WHERE site = ?1 AND epoch = coalesce(?2, epoch) "
            "ORDER BY epoch DESC, seq DESC LIMIT 1",
            (site, epoch),
        ).fetchone()
        return None if row is None else Head(*row)

    def known(self, site: str, epoch: int, first: int, last: int) -> dict[int, bytes]:
        """The stored JWS bytes of a span, by seq."""
        rows = self._db.execute(
            "SELECT seq, jws FROM records WHERE site = ? AND epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            (site, epoch, first, last),
        )
        return dict(rows.fetchall())

    def openings(self, site: str) -> dict[int, EpochOpen]:
        """The first record of every epoch, in order of epochs."""
        rows = self._db.execute("SELECT jws FROM records WHERE site = ? AND seq = 1 ORDER BY epoch", (site,))
        records = [read_record(open_envelope(jws)) for (jws,) in rows]
        return {record.epoch: record for record in records if isinstance(record, EpochOpen)}

    def points(self, site: str, epoch: int) -> list[str] | None:
        """The metered points of an epoch, the site meter first; `None` if the epoch is not known."""
        jws = self.known(site, epoch, 1, 1).get(1)
        record = None if jws is None else read_record(open_envelope(jws))
        return record.points if isinstance(record, EpochOpen) else None

    def add(self, site: str, entries: Sequence[Entry], points: Sequence[str]) -> None:
        """Append records of one epoch, whose site meter is `points[0]`."""
        self._db.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    site,
                    *entry.record.position,
                    entry.record.kind,
                    *_counts_as(entry.record, site_meter=points[0]),
                    entry.envelope.hash,
                    entry.jws,
                )
                for entry in entries
            ],
        )

    def add_receipt(self, site: str, head: Head, jws: bytes) -> None:
        """Keep a receipt as it was sent."""
        self._db.execute("INSERT INTO receipts VALUES (?, ?, ?, ?)", (site, head.epoch, head.seq, jws))

    def receipt(self, site: str, epoch: int, seq: int) -> bytes | None:
        """The receipt with the smallest `through_seq` ≥ `seq`; `None` if a restored book has lost it."""
        row = self._db.execute(
            "SELECT jws FROM receipts WHERE site = ? AND epoch = ? AND through_seq >= ? "
            "ORDER BY through_seq LIMIT 1",
            (site, epoch, seq),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def day(self, site: str, day: str) -> DayRecords:
        """What is stored for a UTC day."""
        rows = self._db.execute(
            "SELECT epoch, seq, kind, wh, jws FROM records WHERE site = ? AND day = ? ORDER BY epoch, seq",
            (site, day),
        ).fetchall()
        closings = [read_record(open_envelope(jws)) for *_, kind, _, jws in rows if kind == "day_close"]
        leaves = [
            Leaf(Position(epoch, seq), wh, jws)
            for epoch, seq, kind, wh, jws in rows
            if kind in {"interval", "gap"}
        ]
        return DayRecords(
            leaves=told_last(leaves, self._beginnings(site, rows[0][0])) if rows else [],
            closing=next((record for record in reversed(closings) if isinstance(record, DayClose)), None),
            corrections_wh=sum(wh for _, _, kind, wh, _ in rows if kind == "correction"),
            through=Position(*rows[-1][:2]) if rows else None,
        )

    def _beginnings(self, site: str, epoch: int) -> dict[int, dict[str, str]]:
        """Of the epochs after `epoch` that may tell intervals again, where each point begins."""
        return {
            opening.epoch: self._first_starts(opening)
            for opening in self.openings(site).values()
            if opening.epoch > epoch and opening.reason != "interval-change"
        }

    def _first_starts(self, opening: EpochOpen) -> dict[str, str]:
        rows = self._db.execute(
            "SELECT jws FROM records WHERE site = ? AND epoch = ? AND kind IN ('interval', 'gap') "
            "ORDER BY seq",
            (opening.site, opening.epoch),
        )
        starts: dict[str, str] = {}
        for (jws,) in rows:
            record = read_record(open_envelope(jws))
            if isinstance(record, Interval | Gap):
                starts.setdefault(record.point, record.start)
            if len(starts) == len(opening.points):
                break
        return starts

    def lose_last_day(self, site: str) -> Position | None:
        """As `restore`, from a backup made before the first record of the newest day; the last one kept."""
        row = self._db.execute(
            "SELECT epoch, seq FROM records WHERE site = ?1 AND day = "
            "(SELECT max(day) FROM records WHERE site = ?1 AND kind IN ('interval', 'gap')) "
            "ORDER BY epoch, seq LIMIT 1",
            (site,),
        ).fetchone()
        if row is None:
            return None
        kept = Position(row[0], row[1] - 1)  # never 0: an epoch begins with a record of no day
        self.restore(site, kept)
        return kept

    def restore(self, site: str, through: tuple[int, int]) -> None:
        """Forget what came after `through` (epoch, seq): the book as an older backup has it."""
        with self.transaction():
            for table, seq in (("records", "seq"), ("receipts", "through_seq")):
                self._db.execute(
                    f"DELETE FROM {table} WHERE site = ? AND (epoch, {seq}) > (?, ?)",  # noqa: S608 – names from the line above
                    (site, *through),
                )
            self._db.execute(
                "DELETE FROM site_keys WHERE site = ? AND (since_epoch, since_seq) > (?, ?)", (site, *through)
            )
            self._db.execute(
                "UPDATE site_keys SET until_epoch = NULL, until_seq = NULL "
                "WHERE site = ? AND (until_epoch, until_seq) > (?, ?)",
                (site, *through),
            )


def _columns(position: Position | None) -> tuple[int | None, int | None]:
    return (None, None) if position is None else position


def _position(epoch: int | None, seq: int | None) -> Position | None:
    return None if epoch is None or seq is None else Position(epoch, seq)


def _counts_as(record: AnyRecord, *, site_meter: str) -> tuple[str | None, int | None]:
    """The day in which a record counts, and the energy that it adds there."""
    match record:
        case Interval() | Gap():
            return record.start[:10], record.wh if record.point == site_meter else None
        case Correction():
            return record.at[:10], record.wh
        case DayClose():
            return record.day, None
        case _:
            return None, None
