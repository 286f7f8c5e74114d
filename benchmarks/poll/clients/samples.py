"""Roll-ups to SQLite, as the daemon keeps them, without the control cycle that they otherwise come from."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from daemon.clock import SystemClock
from daemon.samples import SampleRecorder
from daemon.samples.rollup import QUANTITIES
from daemon.samples.seen import Seen
from daemon.table import Snapshot

LIMIT_W = 10**8


class Samples:
    """Takes the snapshot of every cycle."""

    def __init__(self, recorder: SampleRecorder, clock: SystemClock) -> None:
        self._recorder, self._clock = recorder, clock

    def take(self, snapshot: Snapshot) -> None:
        """What the daemon's recorder is given of a cycle."""
        self._recorder.observe(
            Seen(
                wall_s=self._clock.wall(),
                monotonic_s=snapshot.monotonic_s,
                fresh=tuple(snapshot.fresh(quantity) for quantity in QUANTITIES),
                age_s=snapshot.age_s,
                limit_w=LIMIT_W,
                power_w=0.0,
                expected_w=0.0,
                state="remote",
            )
        )


@contextlib.asynccontextmanager
async def keeping_samples(devices: Sequence[str]) -> AsyncIterator[Samples]:
    """Write them to a file that is deleted in the end."""
    clock = SystemClock()
    with TemporaryDirectory() as folder:
        recorder = SampleRecorder(devices, Path(folder) / "samples.db", clock)
        writing = asyncio.create_task(recorder.run())
        try:
            yield Samples(recorder, clock)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await recorder.close()
