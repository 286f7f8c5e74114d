"""One SQLite file, one writer, transactions that are all or nothing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import aiosqlite

from daemon.errors import NewerStoreError, StoreError

Row = tuple[Any, ...]


class Cursor(Protocol):
    """The part of aiosqlite's cursor that is used."""

    async def fetchone(self) -> Any: ...
    async def fetchall(self) -> Iterable[Any]: ...
    async def close(self) -> None: ...


class Connection(Protocol):
    """The part of aiosqlite's connection that is used."""

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Cursor: ...
    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Cursor: ...
    async def executescript(self, sql_script: str) -> Cursor: ...
    async def close(self) -> None: ...


Connect = Callable[[Path], Awaitable[Connection]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What sort of database a file holds."""

    migrations: str
    """Package with the numbered SQL scripts."""
    pragmas: tuple[str, ...]
    commits_per_checkpoint: int | None = None
    """How often the log is brought into the file; `None` = SQLite's own way, which tells of no failure."""


LEDGER = Kind(
    "daemon.store.migrations",
    (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=5000",
        "wal_autocheckpoint=0",
    ),
    commits_per_checkpoint=50,
)
"""What is money: a commit is on the disk before it returns."""

_PRIMARY = 0xFF
"""Of the primary code in an extended SQLite code."""
_OF_THE_DISK = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
    }
)
"""After these a handle is not asked again."""


async def connect_file(path: Path) -> Connection:
    """Open a SQLite file on a thread of its own, without implicit transactions."""
    # What cannot be opened fails here: aiosqlite would leave its thread to a loop that may be gone by then.
    sqlite3.connect(path).close()
    connection: Connection = await aiosqlite.connect(path, isolation_level=None)
    return connection


class Transaction:
    """An open write transaction: everything in it becomes durable together, or nothing does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement."""
        cursor = await self._connection.execute(sql, parameters)
        await cursor.close()

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for every row."""
        cursor = await self._connection.executemany(sql, rows)
        await cursor.close()

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row, or `None`."""
        cursor = await self._connection.execute(sql, parameters)
        try:
            row = await cursor.fetchone()
        finally:
            await cursor.close()
        return None if row is None else tuple(row)

    async def fetch_all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows."""
        cursor = await self._connection.execute(sql, parameters)
        try:
            rows = await cursor.fetchall()
        finally:
            await cursor.close()
        return [tuple(row) for row in rows]


class Store:
    """The open database. Reads and writes share one connection, so a read sees every commit before it.

    After a failure of the disk the file is opened anew before anything else is done: a second fsync of the
    same handle may succeed although what the first one lost is not on the disk.
    """

    def __init__(self, connection: Connection, path: Path, connect: Connect, kind: Kind) -> None:
        """Use `Store.open`."""
        self._connection = connection
        self._connect = connect
        self._kind = kind
        self._lock = asyncio.Lock()
        self._suspect = False
        self._commits = 0
        self.path = path
        self.reopened = 0
        """How often the file was opened anew: whoever remembers what was in it looks again."""

    @classmethod
    async def open(cls, path: Path, connect: Connect = connect_file, kind: Kind = LEDGER) -> "Store":
        """Open or create the file and bring its schema up to date.

        Raises:
            NewerStoreError: the file was written by a newer version.
            StoreError: it cannot be opened.
        """
        try:
            connection = await connect(path)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be opened: {error}") from error
        store = cls(connection, path, connect, kind)
        try:
            for pragma in kind.pragmas:
                await store._execute(f"PRAGMA {pragma}")
            await store._migrate(kind.migrations)
        except BaseException:
            await connection.close()
            raise
        return store

    async def _execute(self, sql: str) -> Row | None:
        try:
            return await Transaction(self._connection).fetch_one(sql)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    async def _migrate(self, package: str) -> None:
        row = await self._execute("PRAGMA user_version")
        version = int(row[0]) if row else 0
        scripts = sorted(
            (entry for entry in resources.files(package).iterdir() if entry.name.endswith(".sql")),
            key=lambda entry: entry.name,
        )
        if version > len(scripts):
            problem = f"{self.path}: schema {version} was written by a newer quotawatt, this one knows up to "
            raise NewerStoreError([f"{problem}{len(scripts)}; install the newer one again"])
        for number, script in enumerate(scripts[version:], start=version + 1):
            async with self.transaction() as tx:
                for statement in _statements(script.read_text(encoding="utf-8")):
                    await tx.execute(statement)
                await tx.execute(f"PRAGMA user_version={number}")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A write transaction: committed durably on leaving, rolled back on any exception.

        Raises:
            StoreError: the disk or SQLite refused; nothing of the transaction is stored.
        """
        async with self._lock:
            await self._sound()
            tx = Transaction(self._connection)
            try:
                await tx.execute("BEGIN IMMEDIATE")
                yield tx
                await tx.execute("COMMIT")
            except sqlite3.Error as error:
                await self._roll_back()
                raise self._refusal(error) from error
            except BaseException:
                await self._roll_back()
                raise
            await self._checkpoint()

    async def _roll_back(self) -> None:
        """Leave no transaction open, wherever it was interrupted; a cancelled COMMIT may have been done."""
        # SQLite ends a transaction by itself on some errors (disk full); then there is none to roll back.
        with suppress(sqlite3.Error):
            await Transaction(self._connection).execute("ROLLBACK")

    def _refusal(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", None)
        # A connection that is gone says so without a code.
        if code is None or code & _PRIMARY in _OF_THE_DISK:
            self._suspect = True
        return StoreError(f"{self.path}: {error}")

    async def _sound(self) -> None:
        """Open the file anew if its handle has failed.

        Raises:
            StoreError: it cannot be opened; the next to come tries again.
        """
        if not self._suspect:
            return
        try:
            fresh = await self._connect(self.path)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be opened anew: {error}") from error
        try:
            for pragma in self._kind.pragmas:
                await Transaction(fresh).fetch_one(f"PRAGMA {pragma}")
            await Transaction(fresh).fetch_one("SELECT count(*) FROM sqlite_schema")
        except sqlite3.Error as error:
            await _closed(fresh)
            raise StoreError(f"{self.path}: cannot be opened anew: {error}") from error
        except BaseException:
            await _closed(fresh)
            raise
        # The old handle is closed after the new one has been opened: the last to be closed would bring the
        # log into the file, with an fsync of the handle that has failed.
        old, self._connection = self._connection, fresh
        self._suspect = False
        self.reopened += 1
        await _closed(old)

    async def _checkpoint(self) -> None:
        """Bring the log into the file now and then. What is committed stays so if that fails."""
        every = self._kind.commits_per_checkpoint
        self._commits += 1
        if every is None or self._commits % every:
            return
        try:
            await Transaction(self._connection).fetch_one("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            self._refusal(error)

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row of a query on what is committed, or `None`."""
        async with self._lock:
            await self._sound()
            try:
                return await Transaction(self._connection).fetch_one(sql, parameters)
            except sqlite3.Error as error:
                raise self._refusal(error) from error

    async def fetch_all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query on what is committed."""
        async with self._lock:
            await self._sound()
            try:
                return await Transaction(self._connection).fetch_all(sql, parameters)
            except sqlite3.Error as error:
                raise self._refusal(error) from error

    async def give_back(self) -> None:
        """Give the space of deleted rows back to the file system (of a kind with `auto_vacuum`).

        Raises:
            StoreError: the disk or SQLite refused.
        """
        async with self._lock:
            try:
                # As a script: Python steps a statement without columns once, which is one page here.
                cursor = await self._connection.executescript("PRAGMA incremental_vacuum")
                await cursor.close()
                await Transaction(self._connection).fetch_one("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: {error}") from error

    async def close(self) -> None:
        """Close the file; a transaction in progress is finished first."""
        async with self._lock:
            await _closed(self._connection)


async def _closed(connection: Connection) -> None:
    # Closing brings the log into the file; when that fails the log stays, and the next to open reads it.
    with suppress(sqlite3.Error):
        await connection.close()


def _statements(script: str) -> list[str]:
    """A migration's statements; `sqlite3.executescript` would commit the transaction it runs in."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
