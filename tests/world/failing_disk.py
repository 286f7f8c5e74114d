"""SQLite on a disk whose calls fail on request, through a VFS of its own; and the settling of days on it."""

import asyncio
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import apsw

from daemon.errors import StoreError
from daemon.ledger import Ledger, Recorder
from daemon.store import Store
from tests.world.metered_site import MeteredSite

_CODES = {
    apsw.IOError: sqlite3.SQLITE_IOERR,
    apsw.FullError: sqlite3.SQLITE_FULL,
    apsw.ReadOnlyError: sqlite3.SQLITE_READONLY,
    apsw.CantOpenError: sqlite3.SQLITE_CANTOPEN,
    apsw.CorruptError: sqlite3.SQLITE_CORRUPT,
    apsw.NotADBError: sqlite3.SQLITE_NOTADB,
}


class Call(StrEnum):
    """What can fail."""

    WRITE = "write"
    SYNC = "sync"
    TRUNCATE = "truncate"
    READ = "read"


@dataclass
class Disk:
    """Counts calls, and fails the `fail_at`-th (from 1) of `fails`, and `lasting` - 1 calls after it."""

    fails: frozenset[Call] = frozenset()
    fail_at: int = 0
    lasting: int = 1
    error: type[apsw.Error] = apsw.IOError
    calls: int = 0
    failed: int = 0
    synced_again: int = 0
    """Synchronisations of a handle on which one had failed before: what they say is worth nothing."""
    bad_handles: set[int] = field(default_factory=set)

    def arm(self, fails: Iterable[Call], fail_at: int, lasting: int, error: type[apsw.Error]) -> None:
        self.fails, self.fail_at, self.lasting, self.error = frozenset(fails), fail_at, lasting, error
        self.calls = 0

    def disarm(self) -> None:
        self.fail_at = 0

    def called(self, call: Call) -> None:
        if call not in self.fails:
            return
        self.calls += 1
        if self.fail_at and self.fail_at <= self.calls < self.fail_at + self.lasting:
            self.failed += 1
            raise self.error(f"{call.value} {self.calls} fails")


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's name
        self._disk.called(Call.WRITE)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        self._disk.synced_again += id(self) in self._disk.bad_handles
        try:
            self._disk.called(Call.SYNC)
        except apsw.Error:
            self._disk.bad_handles.add(id(self))
            raise
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        self._disk.called(Call.TRUNCATE)
        super().xTruncate(newsize)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - apsw's name
        self._disk.called(Call.READ)
        return super().xRead(amount, offset)

    def xClose(self) -> None:  # noqa: N802 - apsw's name
        self._disk.bad_handles.discard(id(self))
        super().xClose()


class FailingVfs(apsw.VFS):
    """The machine's own file system, but for what `disk` fails."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.name = name
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802 - apsw's name
        return _File(self._disk, name, flags)


def _as_sqlite3(error: apsw.Error) -> sqlite3.Error:
    told = sqlite3.OperationalError(str(error))
    told.sqlite_errorcode = _CODES.get(type(error), sqlite3.SQLITE_ERROR)
    return told


class _Cursor:
    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    async def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    async def fetchall(self) -> Iterable[Any]:
        return self._rows

    async def close(self) -> None: ...


class ApswConnection:
    """What the store needs of a connection, answered at once by apsw."""

    def __init__(self, path: Path, vfs: str) -> None:
        try:
            self._connection = apsw.Connection(str(path), vfs=vfs)
        except apsw.Error as error:
            raise _as_sqlite3(error) from error

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> _Cursor:
        try:
            return _Cursor(list(self._connection.execute(sql, tuple(parameters or ()))))
        except apsw.Error as error:
            raise _as_sqlite3(error) from error

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> _Cursor:
        try:
            return _Cursor(list(self._connection.executemany(sql, [tuple(row) for row in parameters])))
        except apsw.Error as error:
            raise _as_sqlite3(error) from error

    async def executescript(self, sql_script: str) -> _Cursor:
        return await self.execute(sql_script)

    async def close(self) -> None:
        try:
            self._connection.close()
        except apsw.Error as error:
            raise _as_sqlite3(error) from error


async def settle_day(store: Store, ledger: Ledger, recorder: Recorder, site: MeteredSite) -> int:
    """One day of intervals, each stored when it ends, acknowledged an interval later; returns refusals."""
    refused = 0
    for _ in range(86_400 // site.interval_s):
        site.run(site.interval_s, cycle_s=site.interval_s)
        recorder.observe(site.observation())
        refused += not await recorder.flush()
        try:
            await ledger.refresh()
            newest = ledger.epochs[-1]
            if newest.last_seq > newest.acked_seq:
                await ledger.store_receipt(newest.epoch, newest.last_seq, "receipt")
            async with store.transaction() as tx:
                await tx.execute("INSERT OR REPLACE INTO kept VALUES ('progress', ?)", (str(site.true_s),))
        except StoreError:
            refused += 1
        await asyncio.sleep(0)
    return refused
