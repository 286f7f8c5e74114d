"""The site table: columns of values with age and quality, and the frozen snapshot of a cycle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from drivers.ports import Absence, WriteResult
from drivers.quantity import COLUMN, QUANTITIES, Quantity

Floats = npt.NDArray[np.float64]

STALE_POLLS = 3
STALE_S = 6.0
DOWN_S = 60.0


def stale_after_s(period_s: float) -> float:
    """Age from which a value polled every `period_s` is no longer fresh: 3 polls or 6 s."""
    return max(min(STALE_POLLS * period_s, STALE_S), period_s + 1.0)


class DeviceStatus(StrEnum):
    """How a device answers."""

    OK = "ok"
    SUSPECT = "suspect"
    """Its values are stale or absent."""
    DOWN = "down"
    """Nothing for a minute."""


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """How a set-point write ended; times are monotonic seconds."""

    row: int
    watts: float | None
    result: WriteResult
    started_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The site as one cycle sees it. The arrays are read-only."""

    monotonic_s: float
    values: Floats
    """(devices, quantities); NaN = absent."""
    age_s: Floats
    """(devices,): since the request of the last good sweep went out; inf = never."""
    stale_after_s: Floats
    reasons: tuple[Absence | None, ...]
    outcomes: tuple[WriteOutcome, ...]
    """Writes that ended since the last snapshot."""
    complete: bool
    """Every device has answered or failed at least once."""
    watched_s: float
    """How long the table has been filled."""

    def fresh(self, quantity: Quantity) -> Floats:
        """(devices,): the values that are present and not stale; NaN elsewhere."""
        column = self.values[:, COLUMN[quantity]]
        return np.where(self.age_s <= self.stale_after_s, column, np.nan)

    def value(self, row: int, quantity: Quantity) -> float | None:
        """One device's last value, however old; `None` = absent."""
        value = float(self.values[row, COLUMN[quantity]])
        return None if np.isnan(value) else value

    def status(self, row: int) -> DeviceStatus:
        """How the device answers."""
        if self.age_s[row] <= self.stale_after_s[row]:
            return DeviceStatus.OK
        silent_s = min(self.age_s[row], self.watched_s)
        return DeviceStatus.DOWN if silent_s > DOWN_S else DeviceStatus.SUSPECT


class SiteTable:
    """Takes what the fleet learns (`drivers.ports.FleetSink`) and freezes it once per cycle."""

    def __init__(self, periods_s: Sequence[float]) -> None:
        rows = len(periods_s)
        self._values = np.full((rows, len(QUANTITIES)), np.nan)
        self._started_s = np.full(rows, -np.inf)
        self._stale_after_s = np.array([stale_after_s(period) for period in periods_s])
        self._reasons: list[Absence | None] = [Absence.NEVER_READ] * rows
        self._outcomes: list[WriteOutcome] = []
        self._first_s: float | None = None

    def sampled(self, row: int, values: Mapping[Quantity, float | None], started: float) -> None:
        for quantity, value in values.items():
            # NaN and infinity are a device's nonsense, not numbers to control by.
            present = value is not None and np.isfinite(value)
            self._values[row, COLUMN[quantity]] = value if present else np.nan
        self._started_s[row] = started
        self._reasons[row] = None

    def failed(self, row: int, reason: Absence) -> None:
        self._reasons[row] = reason

    def written(self, row: int, watts: float | None, result: WriteResult, started: float) -> None:
        self._outcomes.append(WriteOutcome(row, watts, result, started))

    def freeze(self, monotonic_s: float) -> Snapshot:
        """The table as of now; the outcomes are handed over once."""
        if self._first_s is None:
            self._first_s = monotonic_s
        values = self._values.copy()
        values.setflags(write=False)
        age_s = monotonic_s - self._started_s
        age_s.setflags(write=False)
        outcomes, self._outcomes = tuple(self._outcomes), []
        return Snapshot(
            monotonic_s=monotonic_s,
            values=values,
            age_s=age_s,
            stale_after_s=self._stale_after_s,
            reasons=tuple(self._reasons),
            outcomes=outcomes,
            complete=Absence.NEVER_READ not in self._reasons,
            watched_s=monotonic_s - self._first_s,
        )
