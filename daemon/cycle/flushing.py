"""Writing everything that waits, because somebody asked for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from daemon.errors import StoreError

_RETRY_S = 1.0

Job = Callable[[], Awaitable[object]]
"""Writes something; answers `False` or raises `StoreError` if the disk refuses."""


class Flusher:
    """Runs the jobs, in their order, for every wish; again while the disk refuses."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._wishes: list[str] = []
        self._done: set[str] = set()
        self._wake = asyncio.Event()

    def ask(self, wish: str) -> None:
        """Have everything written."""
        self._wishes.append(wish)
        self._wake.set()

    def done(self, wish: str) -> bool:
        """Whether it has been written since; said once."""
        if wish not in self._done:
            return False
        self._done.discard(wish)
        return True

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            wishes, self._wishes = self._wishes, []
            if await self._written():
                self._done.update(wishes)
            else:
                self._wishes = wishes + self._wishes
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _written(self) -> bool:
        try:
            for job in self._jobs:
                if await job() is False:
                    return False
        except StoreError:
            return False
        return True
