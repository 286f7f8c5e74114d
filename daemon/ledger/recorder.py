"""From the cycle to the disk: intervals are built at once and stored as soon as the disk takes them."""

import asyncio
import math
from collections import deque
from typing import Protocol

import structlog

from daemon.errors import StoreError
from daemon.ledger.intervals import Finished, IntervalBuilder
from daemon.ledger.ledger import Ledger
from daemon.ledger.observation import CycleObservation

RETRY_S = 5.0
"""Between attempts while the disk refuses."""

PROGRESS_S = 10.0
"""How often the interval in progress is kept: what a power cut takes from its counts at most."""

PRUNE_EVERY_S = 3600.0
"""Between two looks for records that are old enough to be deleted."""

AUDIT_EVERY_S = 3600.0
"""From the end of an audit to the next: a small ledger is not verified again and again."""

TEND_S = 1.0
"""Between two looks at the ledger: the audit of 2 million records takes half a day."""

_log = structlog.get_logger(__name__)


class ProgressKeeper(Protocol):
    """Keeps a text on disk, some time soon."""

    def offer(self, value: str) -> None:
        """This is the text now."""


class Recorder:
    """Keeps the control cycle off the disk: `observe` never waits and never fails."""

    def __init__(
        self, ledger: Ledger, builder: IntervalBuilder, keeper: ProgressKeeper | None = None
    ) -> None:
        """`keeper`: keeps the interval in progress over a restart."""
        self._keeper = keeper
        self._kept_s = -math.inf
        self._pruned_ago_s = 0.0
        self._audited_ago_s = AUDIT_EVERY_S
        self._ledger = ledger
        self._builder = builder
        self._waiting: deque[Finished] = deque()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._failing: str | None = None

    @property
    def failing(self) -> str | None:
        """Why records cannot be written now; the limit may not rise meanwhile. `None` = they can."""
        return self._failing or self._ledger.damage

    def observe(self, seen: CycleObservation) -> None:
        """Take a cycle. What it finishes is stored by `run`, or by `flush`."""
        finished = self._builder.observe(seen)
        if finished:
            self._waiting.append(finished)
            self._wake.set()
        if seen.monotonic_s - self._kept_s >= PROGRESS_S:
            self._kept_s = seen.monotonic_s
            self.keep_progress()

    def keep_progress(self) -> None:
        """Offer the interval in progress to the keeper."""
        progress = None if self._keeper is None else self._builder.progress()
        if self._keeper is not None and progress is not None:
            self._keeper.offer(progress)

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

    async def tend(self) -> None:
        """Until cancelled: heed an operator, verify the ledger and prune it, bit by bit."""
        while True:
            try:
                await self._ledger.heed_operator()
                await self._audit()
                await self._prune()
            except StoreError as error:
                _log.debug("the ledger is not tended", error=str(error))
            await asyncio.sleep(TEND_S)

    async def _audit(self) -> None:
        """At the start and every hour, and on until it is through."""
        self._audited_ago_s += TEND_S
        if self._audited_ago_s >= AUDIT_EVERY_S and not await self._ledger.audit():
            self._audited_ago_s = 0.0

    async def _prune(self) -> None:
        """Every hour, and on while there is something to delete."""
        self._pruned_ago_s += TEND_S
        if self._pruned_ago_s >= PRUNE_EVERY_S and not await self._ledger.prune():
            self._pruned_ago_s = 0.0

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
