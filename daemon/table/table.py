"""The site table: columns of values with age and quality, frozen once per cycle."""

from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np

from daemon.table.carrying import BEGINS, Origin, carried
from daemon.table.snapshot import (
    REASON_CODE,
    DeviceStatus,
    Floats,
    SlowAges,
    Snapshot,
    WriteOutcome,
    stale_after_s,
)
from drivers.ports import Absence, WriteResult
from drivers.profile import SLOW_S
from drivers.quantity import COLUMN, QUANTITIES, Quantity

__all__ = ["DeviceStatus", "Floats", "SiteTable", "Snapshot", "WriteOutcome", "stale_after_s"]

SLOW_STALE_S = 3 * SLOW_S
"""Age from which a slow point is no longer fresh: 3 polls, for in between nothing is expected of it."""


class Decoder(Protocol):
    """Where the raw words of swept devices lie; a fleet is one."""

    def decode_into(self, values: Floats) -> None:
        """Write what was swept since the last call: (devices, quantities), NaN = not available."""


class SiteTable:
    """Takes what the fleet learns (`drivers.ports.FleetSink`) and freezes it once per cycle.

    Args:
        periods_s: polling period by row.
        slow: the slow points of a device, by row; a row without any need not be there.
    """

    def __init__(
        self, periods_s: Sequence[float], slow: Mapping[int, Collection[Quantity]] | None = None
    ) -> None:
        self._outcomes: list[WriteOutcome] = []
        self._decoder: Decoder | None = None
        self._lay(periods_s, slow or {})

    def _lay(self, periods_s: Sequence[float], slow: Mapping[int, Collection[Quantity]]) -> None:
        rows = len(periods_s)
        # By column: every reader takes one whole.
        self._values = np.full((rows, len(QUANTITIES)), np.nan, order="F")
        # Single items are put into arrays of the standard library: into numpy's it costs several times more.
        self._started = array("d", [-np.inf]) * rows
        self._slow_started = array("d", [-np.inf]) * rows
        self._reasons = bytearray([REASON_CODE[Absence.NEVER_READ]]) * rows
        self._refused = bytearray(rows)
        self._stale_after_s = np.array([stale_after_s(period) for period in periods_s])
        self._slow_points = np.zeros((rows, len(QUANTITIES)), dtype=np.bool_, order="F")
        for row, quantities in slow.items():
            self._slow_points[row, [COLUMN[quantity] for quantity in quantities]] = True
        self._has_slow = bool(self._slow_points.any())
        self._first_s = np.full(rows, np.inf)
        """When each was in a snapshot first."""

    def go_by(
        self, periods_s: Sequence[float], slow: Mapping[int, Collection[Quantity]], origin: Origin
    ) -> None:
        """Other rows from now on; `origin` says which of them go on from which, as they are."""
        values, first_s, outcomes = self._values, self._first_s, self._outcomes
        started, slow_started = self._started, self._slow_started
        reasons, refused = self._reasons, self._refused
        self._lay(periods_s, slow)
        self._values = np.asfortranarray(carried(values, origin, self._values))
        self._first_s = carried(first_s, origin, self._first_s)
        rows = {old: row for row, old in enumerate(origin.tolist()) if old != BEGINS}
        for old, row in rows.items():
            self._started[row], self._slow_started[row] = started[old], slow_started[old]
            self._reasons[row], self._refused[row] = reasons[old], refused[old]
        self._outcomes = [
            outcome._replace(row=rows[outcome.row]) for outcome in outcomes if outcome.row in rows
        ]

    def decode_with(self, decoder: Decoder) -> None:
        """Where `freeze` takes from what was only reported as swept."""
        self._decoder = decoder

    def swept(self, row: int, started: float, slow: bool) -> None:  # noqa: FBT001  FleetSink
        if slow:
            self._slow_started[row] = started
        else:
            self._started[row] = started
            self._reasons[row] = 0

    def sampled(self, row: int, values: Mapping[Quantity, float | None], started: float) -> None:
        for quantity, value in values.items():
            # NaN and infinity are a device's nonsense, not numbers to control by.
            present = value is not None and np.isfinite(value)
            self._values[row, COLUMN[quantity]] = value if present else np.nan
        self._started[row] = started
        self._reasons[row] = 0

    def failed(self, row: int, reason: Absence) -> None:
        self._reasons[row] = REASON_CODE[reason]

    def refused(self, row: int, quantities: Collection[Quantity]) -> None:
        self._refused[row] = sum(1 << COLUMN[quantity] for quantity in quantities)

    def written(self, row: int, watts: float | None, result: WriteResult, started: float) -> None:
        self._outcomes.append(WriteOutcome(row, watts, result, started))

    def freeze(self, monotonic_s: float) -> Snapshot:
        """The table as of now; the outcomes are handed over once."""
        np.minimum(self._first_s, monotonic_s, out=self._first_s)
        if self._decoder is not None:
            self._decoder.decode_into(self._values)
        values = self._values.copy(order="K")
        age_s = monotonic_s - np.frombuffer(self._started)
        # A copy: a snapshot stays as it is.
        reasons = np.frombuffer(bytes(self._reasons), dtype=np.uint8)
        for column in (values, age_s):
            column.setflags(write=False)
        outcomes, self._outcomes = tuple(self._outcomes), []
        return Snapshot(
            monotonic_s=monotonic_s,
            values=values,
            age_s=age_s,
            stale_after_s=self._stale_after_s,
            slow=self._slow_ages(monotonic_s),
            reasons=reasons,
            refused=np.frombuffer(bytes(self._refused), dtype=np.uint8),
            outcomes=outcomes,
            complete=not bool((reasons == REASON_CODE[Absence.NEVER_READ]).any()),
            watched_s=monotonic_s - self._first_s,
        )

    def _slow_ages(self, monotonic_s: float) -> SlowAges | None:
        if not self._has_slow:
            return None
        age_s = monotonic_s - np.frombuffer(self._slow_started)
        age_s.setflags(write=False)
        return SlowAges(self._slow_points, age_s, SLOW_STALE_S)
