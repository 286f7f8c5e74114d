"""Reading the configuration anew while the site is held: validated as a whole, then taken in one step."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from daemon.clock import Clock
from daemon.errors import ConfigurationError
from daemon.service.liveness import Liveness
from daemon.site_draft import SiteDraft

_log = structlog.get_logger(__name__)

_KEPT = 32
"""Outcomes that can be asked for."""


class Reloader:
    """Takes the wish for a reload from a signal or a command; one at a time.

    Args:
        draft: reads and validates the files, off the event loop, or raises `ConfigurationError`.
        take: goes by what they say from the next cycle on, or raises `ConfigurationError`: nothing changed.
    """

    def __init__(
        self,
        draft: Callable[[], Awaitable[SiteDraft]],
        take: Callable[[SiteDraft], None],
        liveness: Liveness,
        clock: Clock,
    ) -> None:
        self._draft = draft
        self._take = take
        self._liveness = liveness
        self._clock = clock
        self._wishes: list[str] = []
        self._outcomes: dict[str, list[str]] = {}
        self._wake = asyncio.Event()

    def ask(self, wish: str = "") -> None:
        """Have the configuration read anew; `wish` names who asks for the outcome."""
        self._outcomes.pop(wish, None)
        self._wishes.append(wish)
        self._wake.set()

    def outcome(self, wish: str) -> list[str] | None:
        """`None` = not yet; no lines = taken; else why not, a line each."""
        return self._outcomes.get(wish)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            wishes, self._wishes = self._wishes, []
            problems = await self._reload()
            for wish in wishes:
                if wish:
                    self._outcomes[wish] = problems
            for wish in list(self._outcomes)[:-_KEPT]:
                del self._outcomes[wish]

    async def _reload(self) -> list[str]:
        self._liveness.reloading(self._clock.monotonic())
        try:
            draft = await self._draft()
            self._take(draft)
        except ConfigurationError as error:
            _log.error("reload refused; the configuration stays as it was", problems=error.problems)
            self._liveness.refused(error.problems)
            return error.problems
        _log.info("configuration reloaded", news=draft.news)
        self._liveness.reloaded(self._clock.monotonic(), draft.news)
        return []
