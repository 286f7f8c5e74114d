"""SQLite without a thread, for virtual time: the same calls as aiosqlite, answered at once."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class _InlineCursor:
    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    async def fetchone(self) -> Any:
        return self._cursor.fetchone()

    async def fetchall(self) -> Iterable[Any]:
        return self._cursor.fetchall()

    async def close(self) -> None:
        self._cursor.close()


class _NoCursor(_InlineCursor):
    """Of a process that is no more: nothing is there."""

    def __init__(self) -> None: ...

    async def fetchone(self) -> Any:
        return None

    async def fetchall(self) -> Iterable[Any]:
        return []

    async def close(self) -> None: ...


class InlineConnection:
    """A connection whose every call runs on the loop's own thread."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._killed = False

    def kill(self) -> None:
        """Its process ends now: what is not committed is lost, and nothing is written any more."""
        self._killed = True
        self._connection.close()

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> _InlineCursor:
        if self._killed:
            return _NoCursor()
        if sql.startswith("PRAGMA synchronous="):
            sql = "PRAGMA synchronous=OFF"  # nothing loses power in virtual time
        return _InlineCursor(self._connection.execute(sql, tuple(parameters or ())))

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> _InlineCursor:
        if self._killed:
            return _NoCursor()
        return _InlineCursor(self._connection.executemany(sql, [tuple(row) for row in parameters]))

    async def executescript(self, sql_script: str) -> _InlineCursor:
        if self._killed:
            return _NoCursor()
        return _InlineCursor(self._connection.executescript(sql_script))

    async def close(self) -> None:
        self._connection.close()


async def connect_inline(path: Path) -> InlineConnection:
    """Open a file for `Store.open`."""
    return InlineConnection(path)
