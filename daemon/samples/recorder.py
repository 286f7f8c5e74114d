"""From the cycle to the samples' file. Nothing that goes wrong here matters to control or to the ledger."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import structlog

from daemon.clock import Clock
from daemon.cycle.alarms import Alarm
from daemon.cycle.controller import CycleResult
from daemon.errors import StoreError
from daemon.samples.file import Remedy, remedy_of, remove, set_aside, space_of
from daemon.samples.retention import CYCLES_S, KEEP_S, Space
from daemon.samples.rollup import QUANTITIES, Bucket, Ints, RollUp, Width
from daemon.samples.seen import Seen, seen
from daemon.samples.tables import (
    BATCH,
    SAMPLES,
    CycleRow,
    numbers_of,
    prune,
    prune_cycles,
    write_cycles,
    write_rolled,
)
from daemon.store import Store
from daemon.store.database import Connect, connect_file

EVERY_S = 10.0
"""How often what waits is written; a chart lags by as much."""
RETRY_S = 60.0
"""After a refusal."""
_MOST_ROWS_WAITING = 4
"""Minutes and quarters that wait for a slow disk; 30,000 devices' minute takes 3 MB."""
_MOST_CYCLES_WAITING = 300
_PRUNED_AT_ONCE = 100
"""Batches of the oldest rows; three times what 30,000 devices bring in a minute."""
_OWN = ("@power", "@limit", "@expected")
"""Series of the site itself, after those of the devices; no device's id begins so."""

_log = structlog.get_logger(__name__)


class SampleRecorder:
    """Rolls up what the cycles see, and keeps it for charts.

    Args:
        devices: their ids, in the order of their rows.
        path: the file; made when it is not there.
        clock: both clocks are used.
        connect: opens SQLite files.
        space: what is left of a file's file system.
    """

    def __init__(
        self,
        devices: Sequence[str],
        path: Path,
        clock: Clock,
        connect: Connect = connect_file,
        space: Callable[[Path], Space] = space_of,
    ) -> None:
        self._path, self._clock, self._connect, self._space = path, clock, connect, space
        self._begin(devices)
        self._buckets: deque[tuple[tuple[str, ...], Bucket]] = deque(maxlen=_MOST_ROWS_WAITING)
        """With the names of their series."""
        self._cycles: deque[CycleRow] = deque(maxlen=_MOST_CYCLES_WAITING)
        self._store: Store | None = None
        self._numbers: tuple[tuple[str, ...], Ints] | None = None
        """Of the series with these names in the file that is open."""
        self._pruned_s = -np.inf
        self._retry_s = -np.inf
        self._trouble: str | None = None

    def _begin(self, devices: Sequence[str]) -> None:
        self._names = (*devices, *_OWN)
        self._rollup = RollUp(len(self._names))
        self._values = np.empty((len(QUANTITIES), len(self._names)))
        self._sampled_s = np.empty(len(self._names))

    def go_by(self, devices: Sequence[str]) -> None:
        """Other devices from the next cycle on; the minute under way is cut in two."""
        if (*devices, *_OWN) != self._names:
            self._wait_for_disk(self._rollup.flush())
            self._begin(devices)

    def take(self, result: CycleResult) -> None:
        """A cycle has ended."""
        self.observe(seen(result))

    def observe(self, cycle: Seen) -> None:
        """Take what a cycle saw: never waits, never fails."""
        devices = len(cycle.age_s)
        own = (cycle.power_w, cycle.limit_w, cycle.expected_w)
        for row, fresh in enumerate(cycle.fresh):
            self._values[row, :devices] = fresh
        self._values[:, devices:] = np.nan
        self._values[0, devices:] = [np.nan if watts is None else watts for watts in own]
        np.subtract(cycle.monotonic_s, cycle.age_s, out=self._sampled_s[:devices])
        self._sampled_s[devices:] = cycle.monotonic_s
        self._wait_for_disk(self._rollup.take(cycle.wall_s, cycle.monotonic_s, self._values, self._sampled_s))
        self._cycles.append((int(cycle.wall_s), cycle.limit_w, cycle.power_w, cycle.expected_w, cycle.state))

    def _wait_for_disk(self, ended: Iterable[Bucket]) -> None:
        self._buckets += [(self._names, bucket) for bucket in ended]

    def alarms(self) -> Mapping[str, Alarm]:
        """What is wrong with the samples now."""
        return {} if self._trouble is None else {"samples": Alarm("samples", self._trouble)}

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write what waits, and delete what is too old or in the ledger's way. Never fails."""
        if self._clock.monotonic() < self._retry_s:
            return
        try:
            try:
                await self._write()
            except StoreError as error:
                await self._refused(error)
        except OSError as error:
            self._wait(f"samples for charts cannot be written ({error}); the ledger goes on")

    async def close(self) -> None:
        """Write what has begun, as far as it is, and close the file."""
        self._wait_for_disk(self._rollup.flush())
        try:
            await self.write()
        finally:
            await self._close()

    async def _write(self) -> None:
        space = self._space(self._path)
        if space.reserved:
            self._say(
                f"only {space.free / 1e9:.1f} GB are free: samples for charts are not written, the rest is "
                "the ledger's; free the disk"
            )
            self._cycles.clear()
            self._buckets.clear()
        if self._store is None:
            if space.reserved and not self._path.exists():
                return
            self._store = await Store.open(self._path, self._connect, SAMPLES)
            self._numbers = None
            await self._numbers_of(self._store, self._names)
        store, wrote = self._store, False
        if self._cycles:
            await write_cycles(store, [self._cycles.popleft() for _ in range(len(self._cycles))])
        while self._buckets:
            names, bucket = self._buckets.popleft()
            await self._write_bucket(store, bucket, await self._numbers_of(store, names))
            wrote = True
        await self._prune(store, short=space.short)
        if wrote:
            self._say(None)

    async def _numbers_of(self, store: Store, names: tuple[str, ...]) -> Ints:
        if self._numbers is None or self._numbers[0] != names:
            self._numbers = (names, await numbers_of(store, names))
        return self._numbers[1]

    async def _write_bucket(self, store: Store, bucket: Bucket, numbers: Ints) -> None:
        for first in range(0, bucket.size, BATCH):
            rolled = bucket.rolled(first, first + BATCH)
            if len(rolled.series):
                await write_rolled(store, rolled, numbers)

    async def _prune(self, store: Store, *, short: bool) -> None:
        now_s = self._clock.wall()
        if short:
            for width in Width:
                await self._prune_rows(store, width, now_s)
            await store.give_back()
        elif self._clock.monotonic() - self._pruned_s >= Width.MINUTE:
            self._pruned_s = self._clock.monotonic()
            await prune_cycles(store, now_s - CYCLES_S)
            for width in Width:
                await self._prune_rows(store, width, now_s - KEEP_S[width])

    async def _prune_rows(self, store: Store, width: Width, before_s: float) -> None:
        for _ in range(_PRUNED_AT_ONCE):
            if not await prune(store, width, before_s):
                return

    async def _refused(self, error: StoreError) -> None:
        await self._close()
        match remedy_of(error):
            case Remedy.REMOVE:
                await remove(self._path)
                self._wait(f"the disk is full: the samples for charts were deleted ({error}); free the disk")
            case Remedy.SET_ASIDE:
                set_aside(self._path)
                self._say(
                    f"samples for charts were damaged and begin anew ({error}); see {self._path}.damaged"
                )
            case Remedy.WAIT:
                self._wait(f"samples for charts cannot be written ({error}); the ledger goes on")

    async def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    def _wait(self, trouble: str) -> None:
        self._retry_s = self._clock.monotonic() + RETRY_S
        self._say(trouble)

    def _say(self, trouble: str | None) -> None:
        """Said once; an alarm stands until samples are written again."""
        if trouble is not None and self._trouble is None:
            _log.warning("samples", trouble=trouble)
        elif trouble is None and self._trouble is not None:
            _log.warning("samples are written again")
        self._trouble = trouble
