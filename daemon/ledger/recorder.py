"""From the cycle to the disk: intervals are built at once and stored as soon as the disk takes them."""

import asyncio
from collections import deque

import structlog

from daemon.errors import StoreError
from daemon.ledger.intervals import Finished, IntervalBuilder
from daemon.ledger.ledger import Ledger
from daemon.ledger.observation import CycleObservation

RETRY_S = 5.0
"""Between attempts while the disk refuses."""

_log = structlog.get_logger(__name__)


class Recorder:
    """Keeps the control cycle off the disk: `observe` never waits and never fails."""

    def __init__(self, ledger: Ledger, builder: IntervalBuilder) -> None:
        self._ledger = ledger
        self._builder = builder
        self._waiting: deque[Finished] = deque()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._failing: str | None = None

    @property
    def failing(self) -> str | None:
        """Why records cannot be written now; the limit may not rise meanwhile. `None` = they can."""
        return self._failing

    def observe(self, seen: CycleObservation) -> None:
        """Take a cycle. What it finishes is stored by `run`, or by `flush`."""
        finished = self._builder.observe(seen)
        if finished:
            self._waiting.append(finished)
            self._wake.set()

    async def run(self) -> None:
        """Store what is finished until cancelled; what still waits then is for `flush`.

        Raises:
            RecordError: a record must not be signed, a mistake in this program. What is not stored becomes
                gaps at the next start, with its energy.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self.flush():
                self._wake.set()
                await asyncio.sleep(RETRY_S)

    async def flush(self) -> bool:
        """Store all that is finished, in its order; `False` if the disk refused some."""
        async with self._writing:
            while self._waiting:
                finished = self._waiting[0]
                try:
                    # One by one: interrupted after its commit it is tried again, and the ledger knows it
                    # by its baselines.
                    await self._ledger.append(finished.bodies, baselines=finished.baselines)
                except StoreError as error:
                    self._refused(error)
                    return False
                self._waiting.popleft()
            if self._failing is not None:
                _log.warning("records are written again")
                self._failing = None
            return True

    def _refused(self, error: StoreError) -> None:
        if self._failing is None:
            _log.error("records cannot be written; curtailment goes on", error=str(error))
        self._failing = str(error)
