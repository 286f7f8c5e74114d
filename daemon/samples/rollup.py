"""From the columns of every cycle to one row a minute and one a quarter of an hour. Pure."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from drivers.quantity import Quantity

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MEANS = (Quantity.POWER, Quantity.HASHRATE, Quantity.GPU_ACTIVE)
"""Quantities of which the mean is kept, of the first the extremes too."""
QUANTITIES = (*MEANS, Quantity.ENERGY_IMPORT)
"""Rows of the values that `RollUp.take` takes; of the last one the end is kept."""
MOST_HELD_S = 2.0
"""A value counts for the time since the cycle before, at most this: what was in between is not known."""
_SAME_SWEEP_S = 1e-3
"""Two times of a request that differ by less are the same, up to rounding."""


class Width(IntEnum):
    """How long a row is, in seconds; a row begins at a multiple of it since the epoch."""

    MINUTE = 60
    QUARTER = 900


@dataclass(frozen=True, slots=True)
class Rolled:
    """One row for every series of which anything was known; NaN = that quantity was not."""

    width: Width
    start_s: int
    """Unix seconds."""
    series: Ints
    """(rows,): which series, ascending."""
    power_w: Floats
    """Mean over the time that it was known; so are hashrate and GPUs."""
    power_low_w: Floats
    power_high_w: Floats
    energy_wh: Floats
    """The register as last seen."""
    hash_ths: Floats
    gpus: Floats
    samples: Ints
    """Good sweeps."""
    coverage_s: Floats
    """How long any of the quantities was known."""


class Bucket:
    """Sums of one row of every series. Given away by `RollUp`, it changes no more."""

    def __init__(self, width: Width, start_s: int, series: int) -> None:
        self.width = width
        self.start_s = start_s
        """Unix seconds."""
        self.size = series
        self.seconds = np.zeros((len(MEANS), series))
        self.sums = np.zeros((len(MEANS), series))
        self.low, self.high = np.full(series, np.nan), np.full(series, np.nan)
        self.register = np.full(series, np.nan)
        self.samples = np.zeros(series, dtype=np.int64)
        self.covered_s = np.zeros(series)

    def add(self, values: Floats, new: npt.NDArray[np.bool_], held_s: float) -> None:
        """Values that held for `held_s`; NaN = not known."""
        present = values == values  # noqa: PLR0124 - false for NaN alone, in a third of `isnan`'s time
        means = present[:-1]
        self.seconds += means * held_s
        self.sums += np.where(means, values[:-1], 0.0) * held_s
        np.fmin(self.low, values[0], out=self.low)
        np.fmax(self.high, values[0], out=self.high)
        np.copyto(self.register, values[-1], where=present[-1])
        self.samples += new
        self.covered_s += np.logical_or.reduce(present) * held_s

    def absorb(self, other: "Bucket") -> None:
        """Everything of a shorter one."""
        self.seconds += other.seconds
        self.sums += other.sums
        np.fmin(self.low, other.low, out=self.low)
        np.fmax(self.high, other.high, out=self.high)
        np.copyto(self.register, other.register, where=~np.isnan(other.register))
        self.samples += other.samples
        self.covered_s += other.covered_s

    def rolled(self, first: int, last: int) -> Rolled:
        """The rows of the series from `first` to before `last`; nobody waits for all."""
        part = slice(first, last)
        seconds, sums = self.seconds[:, part], self.sums[:, part]
        means = np.divide(sums, seconds, out=np.full(seconds.shape, np.nan), where=seconds > 0)
        rows = np.flatnonzero(self.covered_s[part] > 0)
        return Rolled(
            width=self.width,
            start_s=self.start_s,
            series=rows + first,
            power_w=means[0, rows],
            power_low_w=self.low[part][rows],
            power_high_w=self.high[part][rows],
            energy_wh=self.register[part][rows],
            hash_ths=means[1, rows],
            gpus=means[2, rows],
            samples=self.samples[part][rows],
            coverage_s=self.covered_s[part][rows],
        )


class RollUp:
    """Adds up the cycles of a site.

    The wall clock says into which row a cycle falls, the monotonic one for how long its values count; so a
    step of the clock ends a row early or opens one again, and never counts a second twice.
    """

    def __init__(self, series: int) -> None:
        self._size = series
        self._minute: Bucket | None = None
        self._quarter: Bucket | None = None
        self._sampled_s = np.full(series, -np.inf)
        self._last_s: float | None = None

    def take(self, wall_s: float, monotonic_s: float, values: Floats, sampled_s: Floats) -> list[Bucket]:
        """One cycle; returns what it ends.

        Args:
            wall_s: Unix seconds.
            monotonic_s: never steps.
            values: (`QUANTITIES`, series): fresh values; NaN = not known. Kept by nobody.
            sampled_s: (series,): when what is shown was asked for (monotonic); -inf = never.
        """
        held_s = 0.0 if self._last_s is None else min(monotonic_s - self._last_s, MOST_HELD_S)
        self._last_s = monotonic_s
        if held_s <= 0:
            return []
        minute, ended = self._minute_of(wall_s)
        new = sampled_s > self._sampled_s + _SAME_SWEEP_S
        self._sampled_s[:] = sampled_s
        minute.add(values, new, held_s)
        return ended

    def flush(self) -> list[Bucket]:
        """What has begun, as far as it is; the next cycle begins anew."""
        ended = self._end_minute()
        if self._quarter is not None:
            ended.append(self._quarter)
            self._quarter = None
        return ended

    def _minute_of(self, wall_s: float) -> tuple[Bucket, list[Bucket]]:
        minute_s, quarter_s = _start(Width.MINUTE, wall_s), _start(Width.QUARTER, wall_s)
        if self._minute is not None and self._minute.start_s == minute_s:
            return self._minute, []
        same = self._quarter is not None and self._quarter.start_s == quarter_s
        ended = self._end_minute() if same else self.flush()
        if not same:
            self._quarter = Bucket(Width.QUARTER, quarter_s, self._size)
        self._minute = Bucket(Width.MINUTE, minute_s, self._size)
        return self._minute, ended

    def _end_minute(self) -> list[Bucket]:
        if self._minute is None or self._quarter is None:
            return []
        minute, self._minute = self._minute, None
        self._quarter.absorb(minute)
        return [minute]


def _start(width: Width, wall_s: float) -> int:
    return int(wall_s // width) * width
