"""What the answers to a unit's requests, or the lack of them, mean for it, its values and its orders."""

import logging
from collections.abc import Sequence

from drivers.modbus.errors import DeviceExceptionError
from drivers.modbus.reading import REFUSED_S, Reading, Sweep
from drivers.modbus.shared import Shared
from drivers.modbus.unit import Order, PolledUnit, SideWrite
from drivers.ports import Absence, WriteResult

Asker = Reading | Order | SideWrite
"""What a request was made for."""

_log = logging.getLogger(__name__)


class Outcomes:
    """Tells the sink, and says what is to be asked next: an order first, a reading in its turn.

    Args:
        shared: by the links of a fleet.
    """

    __slots__ = ("_shared", "_sink")

    def __init__(self, shared: Shared) -> None:
        self._shared, self._sink = shared, shared.sink

    def answered(self, asker: Asker) -> Sequence[Asker]:
        """A write was echoed, or the registers that a reading asked for have come and been taken."""
        if asker.unit.gone:
            return ()
        asker.unit.breaker.succeeded()
        if isinstance(asker, Order):
            self._sink.written(asker.unit.row, asker.watts, WriteResult.ACKNOWLEDGED, asker.started)
            return ()
        return () if isinstance(asker, SideWrite) else self._go_on(asker)

    def refused(self, asker: Asker, error: DeviceExceptionError, now: float) -> Sequence[Asker]:
        """The device answered with an exception."""
        unit = asker.unit
        if unit.gone:
            return ()
        if error.permanent:
            return self._refused_for_good(asker, error, now)
        if not error.busy:
            unit.breaker.failed(now)
        if error.off_line:
            self.end(asker, Absence.NOT_CONNECTED, WriteResult.NOT_CONNECTED, now)
        elif error.busy:
            self.end(asker, Absence.REFUSED, WriteResult.TIMED_OUT, now)
        else:
            self._tell(unit, Absence.REFUSED, error)
            self.end(asker, Absence.REFUSED, WriteResult.REFUSED, now)
        return ()

    def wrong(self, asker: Asker, error: Exception, now: float) -> None:
        """The answer was none."""
        if asker.unit.gone:
            return
        asker.unit.breaker.failed(now)
        self._tell(asker.unit, Absence.INVALID, error)
        # A write with a wrong answer may have been obeyed or not, as with none.
        self.end(asker, Absence.INVALID, WriteResult.TIMED_OUT, now)

    def end(self, asker: Asker, absence: Absence, result: WriteResult, now: float) -> None:
        """It failed: a write with `result`, a reading, and an order that waits for it, with either."""
        unit = asker.unit
        if unit.gone:
            return
        if isinstance(asker, Order):
            self._sink.written(unit.row, asker.watts, result, asker.started or now)
            return
        if isinstance(asker, SideWrite):
            return  # whoever asked for it looks at what is measured
        asker.waits = False
        if asker is unit.slow:
            return  # its values grow old
        self.absent(unit, absence)
        if unit.held and unit.order is not None:
            order, unit.order, unit.held = unit.order, None, False
            self._sink.written(unit.row, order.watts, result, now)

    def absent(self, unit: PolledUnit, absence: Absence) -> None:
        """A sweep failed."""
        self._shared.tally[absence] += 1
        self._sink.failed(unit.row, absence)

    def _refused_for_good(self, asker: Asker, error: DeviceExceptionError, now: float) -> Sequence[Asker]:
        unit = asker.unit
        unit.breaker.succeeded()  # it is well
        if isinstance(asker, Reading) and unit.walk is not None:
            return self._identified(asker, unit.walked(refused=True), now)
        self._tell(unit, Absence.REFUSED, error)
        if isinstance(asker, Sweep):
            asker.refuse(now)
            return self._go_on(asker)
        if isinstance(asker, Reading):
            unit.rest_until = now + REFUSED_S
        self.end(asker, Absence.REFUSED, WriteResult.REFUSED, now)
        return ()

    def _go_on(self, reading: Reading) -> Sequence[Asker]:
        if not reading.is_over:
            return (reading,)
        if isinstance(reading, Sweep):
            return self._swept(reading)
        return self._identified(reading, reading.unit.identify(), reading.started)

    def _swept(self, sweep: Sweep) -> Sequence[Asker]:
        unit, sweep.waits = sweep.unit, False
        if sweep.land():
            self._sink.refused(unit.row, unit.lost)
        if sweep is unit.slow:
            if not sweep.is_refused:
                self._sink.swept(unit.row, sweep.started, True)  # noqa: FBT003  FleetSink
            return ()
        if sweep.is_refused:
            self.absent(unit, Absence.REFUSED)
            return ()
        if not sweep.refused:
            unit.trouble = None
        self._shared.ok += 1
        self._sink.swept(unit.row, sweep.started, False)  # noqa: FBT003  FleetSink
        if unit.slow is None or unit.slow.waits or not unit.slow_due:
            return ()
        unit.slow_due = False
        unit.slow.begin(sweep.started)
        return () if unit.slow.is_over else (unit.slow,)

    def _identified(self, reading: Reading, problem: str | None, now: float) -> Sequence[Asker]:
        """Go on with the sweep, or with what is still to be checked; an order goes first."""
        unit = reading.unit
        if problem is not None:
            self._tell(unit, Absence.WRONG_DEVICE, problem)
            self.end(reading, Absence.WRONG_DEVICE, WriteResult.REFUSED, now)
            return ()
        reading.waits = False
        if unit.held and unit.identified and unit.order is not None:
            unit.held = False
            return (unit.order, unit.reading)
        return (unit.reading,)

    def _tell(self, unit: PolledUnit, trouble: Absence, error: Exception | str) -> None:
        """Say once what somebody has to look at."""
        level = logging.DEBUG if unit.trouble is trouble else logging.WARNING
        unit.trouble = trouble
        _log.log(level, "%s (%s): %s", unit.device.id, unit.device.address, error)
