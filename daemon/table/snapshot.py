"""The site as one cycle sees it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from drivers.ports import Absence, WriteResult
from drivers.quantity import COLUMN, Quantity

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

STALE_POLLS = 3
STALE_S = 6.0
DOWN_S = 60.0

REASONS: tuple[Absence | None, ...] = (None, *Absence)
"""What a code in `Snapshot.reasons` means."""
REASON_CODE: dict[Absence, int] = {absence: code for code, absence in enumerate(Absence, start=1)}


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


class WriteOutcome(NamedTuple):
    """How a set-point write ended; times are monotonic seconds. A tuple: hundreds are made in a second."""

    row: int
    watts: float | None
    result: WriteResult
    started_s: float


@dataclass(frozen=True, slots=True)
class SlowAges:
    """Of the points that are read seldom."""

    points: Flags
    """(devices, quantities): which these are."""
    age_s: Floats
    """(devices,): since the request of the last good sweep over a device's slow points; inf = never."""
    stale_after_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The site as one cycle sees it. The arrays are read-only."""

    monotonic_s: float
    values: Floats
    """(devices, quantities); NaN = absent."""
    age_s: Floats
    """(devices,): since the request of the last good sweep went out; inf = never. Slow points apart."""
    stale_after_s: Floats
    slow: SlowAges | None
    """`None` = no device has slow points."""
    reasons: Codes
    """(devices,): why the last sweep failed, as an index of `REASONS`; 0 = it did not."""
    refused: Codes
    """(devices,): bit `COLUMN[quantity]` = the device does not let itself be asked for it."""
    outcomes: tuple[WriteOutcome, ...]
    """Writes that ended since the last snapshot."""
    complete: bool
    """Every device has answered or failed at least once."""
    watched_s: Floats
    """(devices,): how long each has been in the table."""

    # Asked for many times in every cycle:
    _stale: Indices = field(init=False, repr=False)
    """Whose values are not fresh, slow points apart."""
    _fresh: dict[Quantity, Floats] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_stale", (~self.ok).nonzero()[0])

    def fresh(self, quantity: Quantity) -> Floats:
        """(devices,): the values that are present and not stale; NaN elsewhere. Not to be written to."""
        found = self._fresh.get(quantity)
        if found is None:
            # Nearly all are fresh: it is the others that are looked for.
            found = self.values[:, COLUMN[quantity]].copy()
            found[self._stale_at(quantity)] = np.nan
            found.setflags(write=False)
            self._fresh[quantity] = found
        return found

    def _stale_at(self, quantity: Quantity) -> Indices:
        if self.slow is None:
            return self._stale
        fresh = np.where(
            self.slow.points[:, COLUMN[quantity]], self.slow.age_s <= self.slow.stale_after_s, self.ok
        )
        return (~fresh).nonzero()[0]

    def age_of(self, quantity: Quantity) -> Floats:
        """(devices,): age in s of the last value of that quantity; inf = never read."""
        if self.slow is None:
            return self.age_s
        return np.where(self.slow.points[:, COLUMN[quantity]], self.slow.age_s, self.age_s)

    def value(self, row: int, quantity: Quantity) -> float | None:
        """One device's last value, however old; `None` = absent."""
        value = float(self.values[row, COLUMN[quantity]])
        return None if np.isnan(value) else value

    def reason(self, row: int) -> Absence | None:
        """Why the device's last sweep failed; `None` = it did not."""
        return REASONS[int(self.reasons[row])]

    def absence(self, row: int, quantity: Quantity) -> Absence | None:
        """Why a value is not there; `None` = it is."""
        if not np.isnan(self.values[row, COLUMN[quantity]]):
            return None
        if self.refused[row] >> COLUMN[quantity] & 1:
            return Absence.REFUSED
        return self.reason(row) or Absence.NOT_AVAILABLE

    @property
    def ok(self) -> Flags:
        """(devices,): whose values are fresh."""
        ok: Flags = self.age_s <= self.stale_after_s
        return ok

    @property
    def down(self) -> Flags:
        """(devices,): that have said nothing for a minute."""
        down: Flags = ~self.ok & (np.minimum(self.age_s, self.watched_s) > DOWN_S)
        return down

    def status(self, row: int) -> DeviceStatus:
        """How the device answers."""
        if self.age_s[row] <= self.stale_after_s[row]:
            return DeviceStatus.OK
        silent_s = min(self.age_s[row], self.watched_s[row])
        return DeviceStatus.DOWN if silent_s > DOWN_S else DeviceStatus.SUSPECT
