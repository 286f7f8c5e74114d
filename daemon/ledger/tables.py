"""The ledger's tables: rows in, rows out. What they mean is the ledger's business."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from daemon.ledger.chain import Head, StoredRecord
from daemon.ledger.register import Baseline
from daemon.store import Transaction

_BASELINE_COLUMNS = "point, next_start, register_wh, register_at, offset_wh, prompt, meter_sn"

_ACKED = "coalesce((SELECT max(through_seq) FROM receipts WHERE receipts.epoch = {table}.epoch), 0)"

_EPOCHS = f"""
SELECT epoch,
       coalesce((SELECT max(seq) FROM records WHERE records.epoch = epochs.epoch), 0),
       {_ACKED.format(table="epochs")},
       retired
FROM epochs ORDER BY epoch
"""  # noqa: S608 - made of constants

_DAY = f"""
SELECT records.epoch, seq, kind, jws, hash FROM records JOIN epochs ON epochs.epoch = records.epoch
WHERE day = ? AND (retired = 0 OR seq <= {_ACKED.format(table="records")})
ORDER BY records.epoch, seq
"""  # noqa: S608 - made of constants


class Rows(Protocol):
    """What reads: the store, or a transaction."""

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None: ...
    async def fetch_all(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True, slots=True)
class EpochState:
    """One epoch as the outbox sees it."""

    epoch: int
    last_seq: int
    acked_seq: int
    retired: bool
    """What has no receipt stays for audit and is never sent."""

    @property
    def sendable_seq(self) -> int:
        """Last record that the exchange may be sent."""
        return self.acked_seq if self.retired else self.last_seq


async def read_epochs(rows: Rows) -> tuple[EpochState, ...]:
    """All epochs, oldest first."""
    return tuple(
        EpochState(epoch, last_seq, acked_seq, bool(retired))
        for epoch, last_seq, acked_seq, retired in await rows.fetch_all(_EPOCHS)
    )


async def read_records(rows: Rows, epoch: int, first_seq: int, count: int = -1) -> list[StoredRecord]:
    """Up to `count` records of an epoch from `first_seq` on, all of them by default."""
    found = await rows.fetch_all(
        "SELECT epoch, seq, kind, jws, hash FROM records WHERE epoch = ? AND seq >= ? ORDER BY seq LIMIT ?",
        (epoch, first_seq, count),
    )
    return [StoredRecord(*row) for row in found]


async def read_receipted(rows: Rows, state: EpochState, count: int) -> list[StoredRecord]:
    """The last `count` receipted records of an epoch, in order."""
    return await read_records(
        rows, state.epoch, max(1, state.acked_seq - count + 1), min(count, state.acked_seq)
    )


async def read_day(rows: Rows, day: str) -> list[StoredRecord]:
    """The `interval` and `gap` records of a UTC day that count: of a retired epoch only the receipted."""
    return [StoredRecord(*row) for row in await rows.fetch_all(_DAY, (day,))]


async def read_head(rows: Rows) -> Head | None:
    """The newest record of the newest epoch."""
    row = await rows.fetch_one("SELECT epoch, seq, hash FROM records ORDER BY epoch DESC, seq DESC LIMIT 1")
    return None if row is None else Head(*row)


async def insert_record(tx: Transaction, record: StoredRecord, day: str | None) -> None:
    """Add a record; its identity must be new."""
    await tx.execute(
        "INSERT INTO records (epoch, seq, kind, day, jws, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (record.epoch, record.seq, record.kind, day, record.jws, record.hash),
    )


async def insert_epoch(tx: Transaction, epoch: int) -> None:
    """Add an epoch; its number must be new."""
    await tx.execute("INSERT INTO epochs (epoch) VALUES (?)", (epoch,))


async def retire_epoch(tx: Transaction, epoch: int) -> None:
    """Keep the epoch's unreceipted records for audit only."""
    await tx.execute("UPDATE epochs SET retired = 1 WHERE epoch = ?", (epoch,))


async def insert_receipt(tx: Transaction, epoch: int, through_seq: int, jws: str) -> None:
    """Keep a receipt; the first for a record stays."""
    await tx.execute(
        "INSERT OR IGNORE INTO receipts (epoch, through_seq, jws) VALUES (?, ?, ?)",
        (epoch, through_seq, jws),
    )


async def read_baselines(rows: Rows) -> dict[str, Baseline]:
    """Where every point continues, by point."""
    return {
        point: Baseline(point, next_start, register_wh, register_at, offset_wh, bool(prompt), meter_sn)
        for point, next_start, register_wh, register_at, offset_wh, prompt, meter_sn in await rows.fetch_all(
            f"SELECT {_BASELINE_COLUMNS} FROM baselines"  # noqa: S608 - made of constants
        )
    }


async def replace_baselines(tx: Transaction, baselines: Sequence[Baseline]) -> bool:
    """Keep exactly these; `False` if they were kept already."""
    if await read_baselines(tx) == {baseline.point: baseline for baseline in baselines}:
        return False
    await tx.execute("DELETE FROM baselines")
    await tx.executemany(
        f"INSERT INTO baselines ({_BASELINE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
        [
            (
                baseline.point,
                baseline.next_start,
                baseline.register_wh,
                baseline.register_at,
                baseline.offset_wh,
                int(baseline.prompt),
                baseline.meter_sn,
            )
            for baseline in baselines
        ],
    )
    return True


async def defer_bodies(tx: Transaction, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Keep bodies until they may be signed."""
    await tx.executemany(
        "INSERT INTO deferred (body) VALUES (?)", [(json.dumps(dict(body)),) for body in bodies]
    )


async def take_deferred(tx: Transaction) -> list[dict[str, Any]]:
    """All bodies that wait, in their order; they wait no longer."""
    rows = await tx.fetch_all("SELECT body FROM deferred ORDER BY number")
    await tx.execute("DELETE FROM deferred")
    return [json.loads(row[0]) for row in rows]
