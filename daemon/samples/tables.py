"""The samples' tables: rows in, the oldest rows out."""

from collections.abc import Iterator, Sequence

import numpy as np

from daemon.samples.rollup import Ints, Rolled, Width
from daemon.store import Store
from daemon.store.database import Kind

SAMPLES = Kind(
    migrations="daemon.samples.migrations",
    # The whole may be lost, so nothing waits for the disk but a checkpoint; space that is freed can be
    # given back (it must be said before the first table); the log does not stay at its largest.
    pragmas=(
        "auto_vacuum=INCREMENTAL",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "busy_timeout=5000",
        "journal_size_limit=4194304",
    ),
)
BATCH = 1_000
"""Rows at a time: the event loop is not held for longer than a millisecond."""
_SERIES_BITS = 20
_TABLE = {Width.MINUTE: "minutes", Width.QUARTER: "quarters"}
_CYCLE = "INSERT INTO cycles VALUES (?, ?, ?, ?, ?) ON CONFLICT (at_s) DO NOTHING"

CycleRow = tuple[int, int, float | None, float | None, str]
"""Unix seconds, limit, power, expected power, state."""


def _insert(table: str) -> str:
    def mean(name: str) -> str:
        return (
            f"{name} = (coalesce({name}, excluded.{name}) * coverage_s "
            f"+ coalesce(excluded.{name}, {name}) * excluded.coverage_s) / (coverage_s + excluded.coverage_s)"
        )

    def extreme(name: str, which: str) -> str:
        return f"{name} = {which}(coalesce({name}, excluded.{name}), coalesce(excluded.{name}, {name}))"

    # A minute that a restart or a step of the clock cut in two becomes one row.
    return (
        f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "  # noqa: S608 - our own names
        f"{mean('power_w')}, {extreme('power_low_w', 'min')}, {extreme('power_high_w', 'max')}, "
        f"energy_wh = coalesce(excluded.energy_wh, energy_wh), {mean('hash_ths')}, {mean('gpus')}, "
        "samples = samples + excluded.samples, coverage_s = coverage_s + excluded.coverage_s"
    )


_INSERT = {width: _insert(table) for width, table in _TABLE.items()}


async def numbers_of(store: Store, names: Sequence[str]) -> Ints:
    """The number of every series, new ones given one.

    Raises:
        StoreError: the disk or SQLite refused.
    """
    async with store.transaction() as tx:
        known = {name: number for number, name in await tx.fetch_all("SELECT number, name FROM series")}
        last = max(known.values(), default=0)
        fresh = [name for name in names if name not in known]
        rows = list(enumerate(fresh, start=last + 1))
        for start in range(0, len(rows), BATCH):
            await tx.executemany("INSERT INTO series VALUES (?, ?)", rows[start : start + BATCH])
    known.update((name, number) for number, name in rows)
    return np.array([known[name] for name in names], dtype=np.int64)


async def write_rolled(store: Store, rolled: Rolled, numbers: Ints) -> None:
    """Store rows of one start; what is there already is added to.

    Raises:
        StoreError: the disk or SQLite refused.
    """
    async with store.transaction() as tx:
        await tx.executemany(_INSERT[rolled.width], list(_rows(rolled, numbers)))


def _rows(rolled: Rolled, numbers: Ints) -> Iterator[tuple[float, ...]]:
    keys = numbers[rolled.series] + (rolled.start_s // rolled.width << _SERIES_BITS)
    # SQLite stores a NaN as NULL, and a REAL without a fraction in as few bytes as an integer: whole watts
    # take half the space.
    return zip(
        keys.tolist(),
        np.rint(rolled.power_w).tolist(),
        np.rint(rolled.power_low_w).tolist(),
        np.rint(rolled.power_high_w).tolist(),
        rolled.energy_wh.tolist(),
        rolled.hash_ths.round(2).tolist(),
        rolled.gpus.round(2).tolist(),
        rolled.samples.tolist(),
        np.maximum(rolled.coverage_s.round(1), 0.1).tolist(),
        strict=True,
    )


async def write_cycles(store: Store, rows: Sequence[CycleRow]) -> None:
    """Store what the cycles saw; of several in a second the first.

    Raises:
        StoreError: the disk or SQLite refused.
    """
    async with store.transaction() as tx:
        await tx.executemany(_CYCLE, rows)


async def prune_cycles(store: Store, before_s: float) -> None:
    """Delete what is older.

    Raises:
        StoreError: the disk or SQLite refused.
    """
    async with store.transaction() as tx:
        await tx.execute("DELETE FROM cycles WHERE at_s < ?", (int(before_s),))


async def prune(store: Store, width: Width, before_s: float) -> bool:
    """Delete a batch of the oldest rows that began earlier; `False` = there are no more.

    Raises:
        StoreError: the disk or SQLite refused.
    """
    table, key = _TABLE[width], int(before_s // width) << _SERIES_BITS
    oldest = f"SELECT key FROM {table} WHERE key < ? ORDER BY key LIMIT {BATCH}"  # noqa: S608 - our own names
    async with store.transaction() as tx:
        await tx.execute(f"DELETE FROM {table} WHERE key IN ({oldest})", (key,))  # noqa: S608 - our own names
        deleted = await tx.fetch_one("SELECT changes()")
    return deleted is not None and int(deleted[0]) == BATCH
