"""The samples' file: opened, set aside when it is damaged, removed when the disk is full."""

import asyncio
import os
import sqlite3
from enum import Enum, auto
from pathlib import Path

from daemon.errors import StoreError
from daemon.samples.retention import Space

_BESIDE = ("-wal", "-shm")
_STEP = 256 << 20
"""Bytes cut off a file at once: removing 60 GB at one go would hold the event loop for seconds."""
_MASK = 0xFF
"""Of the primary code in an extended SQLite code."""
_OF_THE_DISK = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
}


class Remedy(Enum):
    """What helps against a refusal."""

    WAIT = auto()
    """The file may be well."""
    SET_ASIDE = auto()
    """The file is what is wrong."""
    REMOVE = auto()
    """The disk is full, and deleting rows takes space."""


def remedy_of(error: StoreError) -> Remedy:
    """What to do about it. An error that is not SQLite's own is about what is in the file."""
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None:
        # A connection that is gone says so without a code.
        return Remedy.WAIT if isinstance(cause, sqlite3.Error) else Remedy.SET_ASIDE
    if code & _MASK == sqlite3.SQLITE_FULL:
        return Remedy.REMOVE
    return Remedy.WAIT if code & _MASK in _OF_THE_DISK else Remedy.SET_ASIDE


def space_of(path: Path) -> Space:
    """The file system that a file is in, or would be.

    Raises:
        OSError: the folder cannot be looked at.
    """
    told = os.statvfs(path.parent)
    return Space(told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize)


def set_aside(path: Path) -> None:
    """Put a damaged file out of the way, for whoever wants to look at it; only the last one is kept.

    Raises:
        OSError: the folder cannot be written.
    """
    path.replace(_damaged(path))
    for ending in _BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)


async def remove(path: Path) -> None:
    """Remove the file and one that was set aside.

    Raises:
        OSError: the folder cannot be written.
    """
    for name in (_damaged(path), path):
        if not name.exists():
            continue
        while (size := name.stat().st_size) > _STEP:
            os.truncate(name, size - _STEP)
            await asyncio.sleep(0)
        name.unlink()
    for ending in _BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _damaged(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")
