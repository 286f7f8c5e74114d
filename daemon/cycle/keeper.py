"""One small value on disk that a restart resumes from."""

import asyncio

import structlog

from daemon.errors import StoreError
from daemon.store import Store

_RETRY_S = 5.0

_log = structlog.get_logger(__name__)


class Keeper:
    """Writes the newest value of a name, in the table `kept`."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._newest: str | None = None
        self._written: str | None = None
        self._changed = asyncio.Event()

    def offer(self, value: str) -> None:
        """This is the value now; it is written soon."""
        if value != self._newest:
            self._newest = value
            self._changed.set()

    async def run(self) -> None:
        """Write until cancelled; a disk that refuses is asked again."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.flush()
            except StoreError as error:
                _log.debug("not kept", name=self._name, error=str(error))
                await asyncio.sleep(_RETRY_S)
                self._changed.set()

    async def flush(self) -> None:
        """Write the newest value.

        Raises:
            StoreError: the disk refused.
        """
        newest = self._newest
        if newest is None or newest == self._written:
            return
        async with self._store.transaction() as tx:
            await tx.execute(
                "INSERT INTO kept (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (self._name, newest),
            )
        self._written = newest


async def kept_value(store: Store, name: str) -> str | None:
    """What was kept under a name; `None` = nothing."""
    row = await store.fetch_one("SELECT value FROM kept WHERE name = ?", (name,))
    return None if row is None else str(row[0])
