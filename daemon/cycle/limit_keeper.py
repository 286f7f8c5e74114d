"""Keeps the limit in force on disk, so that a restart resumes it and never raises it."""

import asyncio
import json
from dataclasses import dataclass

import structlog

from daemon.authority.machine import Source
from daemon.cycle.controller import CycleResult
from daemon.errors import StoreError
from daemon.store import Store

_NAME = "limit_in_force"
_RETRY_S = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeptLimit:
    """The limit that was in force last."""

    limit_w: int
    source: Source


async def load_limit(store: Store) -> KeptLimit | None:
    """What was kept; `None` at the very first start."""
    row = await store.fetch_one("SELECT value FROM kept WHERE name = ?", (_NAME,))
    if row is None:
        return None
    value = json.loads(row[0])
    return KeptLimit(int(value["limit_w"]), Source(value["source"]))


class LimitKeeper:
    """Writes every change of the limit; the newest one counts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest: KeptLimit | None = None
        self._changed = asyncio.Event()

    def take(self, result: CycleResult) -> None:
        """A cycle has ended."""
        kept = KeptLimit(result.verdict.limit_w, result.verdict.source)
        if kept != self._newest:
            self._newest = kept
            self._changed.set()

    async def run(self) -> None:
        """Write until cancelled; a disk that refuses is asked again."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.flush()
            except StoreError as error:
                _log.debug("limit not kept", error=str(error))
                await asyncio.sleep(_RETRY_S)
                self._changed.set()

    async def flush(self) -> None:
        """Write the newest limit.

        Raises:
            StoreError: the disk refused.
        """
        if self._newest is None:
            return
        value = json.dumps({"limit_w": self._newest.limit_w, "source": self._newest.source.value})
        async with self._store.transaction() as tx:
            await tx.execute(
                "INSERT INTO kept (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (_NAME, value),
            )
