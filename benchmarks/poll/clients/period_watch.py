"""When devices were swept, as the site table shows it."""

import asyncio
from collections.abc import Sequence

import numpy as np

from daemon.table import SiteTable

LOOK_S = 0.05


class PeriodWatch:
    """Looks at the table several times a period and notes every new sweep.

    Args:
        table: where the sweeps arrive.
        rows: the devices to watch.
    """

    def __init__(self, table: SiteTable, rows: Sequence[int]) -> None:
        self._table, self._rows = table, list(rows)
        self.longest_gap_s = 0.0
        """Between the starts of two sweeps of a device."""
        self.fewest_sweeps = 0
        """Of any of the devices."""

    async def watch(self, seconds: float) -> None:
        """Look for so long."""
        loop = asyncio.get_running_loop()
        until, seen = loop.time() + seconds, self._started()
        sweeps = np.zeros(len(self._rows), dtype=np.int64)
        while loop.time() < until:
            await asyncio.sleep(LOOK_S)
            started = self._started()
            # Half a millisecond: an age is a difference, and that rounds.
            new = started - seen > 0.0005
            sweeps += new
            self.longest_gap_s = max(self.longest_gap_s, float(np.max(started - seen)))
            seen = np.where(new, started, seen)
        self.longest_gap_s = max(self.longest_gap_s, float(loop.time() - seen.min()))
        self.fewest_sweeps = int(sweeps.min())

    def _started(self) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        snapshot = self._table.freeze(asyncio.get_running_loop().time())
        return snapshot.monotonic_s - snapshot.age_s[self._rows]
