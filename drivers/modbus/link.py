"""What is asked over a connection, in which order, and what follows from the answers.

Everything happens in callbacks: a poll makes no task, no future and no timer; the fleet's tick looks after
deadlines (`expire`) and reconnects (`connect`).
"""

from collections.abc import Callable, Collection, Sequence

from drivers.modbus.backoff import MOST_S, SHARED_MOST_S
from drivers.modbus.connection import Connection, LinkState
from drivers.modbus.errors import DeviceExceptionError
from drivers.modbus.frames import Buffer
from drivers.modbus.lanes import Lane, Lanes
from drivers.modbus.line import Line, LineUser
from drivers.modbus.outcomes import Asker, Outcomes
from drivers.modbus.pace import Pace
from drivers.modbus.reading import Reading
from drivers.modbus.requests import Request
from drivers.modbus.shared import NEVER, PROBE_S, Shared
from drivers.modbus.unit import Order, PolledUnit, SideWrite
from drivers.ports import Absence, WriteResult

TIMEOUTS_TO_RECONNECT = 2


class Link(Connection):
    """A connection and the units behind it.

    Args:
        name: for the log.
        index: its place among the fleet's links.
        shared: with the other links of the fleet.
        outcomes: who judges what comes.
        make_line: what carries its requests.
    """

    __slots__ = ("_lanes", "_outcomes", "_sink", "_swept", "_takes_several", "_was_down", "units")

    def __init__(
        self, name: str, index: int, shared: Shared, outcomes: Outcomes, make_line: Callable[[LineUser], Line]
    ) -> None:
        super().__init__(name, index, shared, make_line)
        self.units: list[PolledUnit] = []
        self._outcomes, self._sink = outcomes, shared.sink
        self._lanes: Lanes[Asker] = Lanes()
        self._takes_several = False
        """More than one request may be in flight."""
        self._swept = False
        """A sweep has ended since the last pause."""
        self._was_down = False
        """Nobody has answered since the connection was lost."""

    # --- who is behind it ------------------------------------------------------------------------

    def settle(self, gone: Collection[PolledUnit], new: Sequence[PolledUnit]) -> None:
        """Other units from now on; those that stay notice nothing."""
        if gone:
            for unit in gone:
                unit.leave()
            self.units = [unit for unit in self.units if unit not in gone]
            self._lanes.drop_all(lambda asker: asker.unit in gone)
        self.units += new
        self.look_anew()

    def end(self) -> None:
        """Nobody is behind it any more."""
        for unit in self.units:
            unit.leave()
        self.close()

    # --- what the fleet asks for ----------------------------------------------------------------

    def poll(self, unit: PolledUnit, now: float) -> None:
        """Sweep a unit, unless its last sweep is still waiting."""
        sweep = unit.reading
        if sweep.waits:
            self._shared.missed += 1
        elif not sweep.simple:
            self._poll(unit, now)
        elif self._current is None:
            # The short way: connected, nothing in flight, so nothing that waits either.
            sweep.waits, sweep.started = True, now
            self._current = request = sweep.requests[0]
            request.deadline = self._deadlines[self._index] = now + self._shared.timeout_s
            self._line.ask(request)
        else:
            sweep.waits = True
            self._lanes.put(Lane.CONTROL, sweep, now)
            if self._takes_several:
                self._next(now)

    def poll_slow(self, unit: PolledUnit) -> None:
        """Read its slow points after its next sweep."""
        unit.slow_due = True
        unit.sweep.simple = False

    def order(self, unit: PolledUnit, watts: float | None) -> None:
        """Write a set-point as soon as the request in flight is through."""
        now = self._shared.now()
        if unit.order is not None:
            unit.order.watts = watts
        else:
            unit.order = Order(unit, watts)
            self._lanes.put(Lane.WRITE, unit.order, now)
        if self.state is not LinkState.DOWN:
            self._next(now)
        elif self._shared.loop is not None:
            # Not from here: whoever orders is not ready for the outcome yet.
            self._shared.loop.call_soon(self._refuse_orders)

    def write(self, write: SideWrite) -> None:
        """Write beside the set-point as soon as the request in flight is through; never to a stranger."""
        if self.state not in {LinkState.UP, LinkState.RESTING} or not write.unit.identified:
            return
        now = self._shared.now()
        self._lanes.put(Lane.WRITE, write, now)
        self._next(now)

    def expire(self, now: float) -> None:
        """A request in flight was not answered in time."""
        late = [request for request in self._in_flight() if request.deadline <= now]
        for request in late:
            unit = request.asker.unit
            alone_silent = unit.breaker.is_open and not all(other.breaker.is_open for other in self.units)
            if not alone_silent:
                self._timeouts += 1
            self._line.abandon(request)
            self._arrived(request, now)
            unit.breaker.failed(now)
            if len(self.units) > 1:
                # What its neighbours could not be asked meanwhile is made up for first.
                unit.rest_until = now + unit.device.period_s
            self._forget(unit, now)
            self._outcomes.end(request.asker, Absence.TIMED_OUT, WriteResult.TIMED_OUT, now)
        if self._timeouts >= TIMEOUTS_TO_RECONNECT:
            self._down(f"{self._timeouts} requests without an answer", Absence.TIMED_OUT)
        else:
            self._next(now)

    # --- what the line tells ---------------------------------------------------------------------

    def answered(self, request: Request, data: Buffer, start: int, end: int) -> None:
        sweep = request.asker
        if sweep.simple and request is self._current and not self._others:
            # The short way: nothing is to be set right again, and there is nothing more to this sweep.
            self._current = None
            self._deadlines[self._index] = NEVER
            self._timeouts = 0
            sweep.row[:] = data[start:end]
            sweep.raw.changed = True
            sweep.waits = False
            self._shared.ok += 1
            self._sink.swept(sweep.unit.row, sweep.started, False)  # noqa: FBT003  FleetSink
            if self._lanes.waiting:
                self._next(self._shared.now())
            return
        now = self._heard(request)
        asker = request.asker
        if isinstance(asker, Reading):
            if not self._is_wanted(asker):
                asker.waits = False
                self._next(now)
                return
            asker.take(data, start, end)
        if self._was_down:
            self._was_down = False
            for unit in self.units:
                unit.breaker.probe_now()
        self._go_on(asker, self._outcomes.answered(asker), now)

    def failed(self, request: Request, error: Exception) -> None:
        now = self._heard(request)
        request.asker.unit.sweep.simple = False
        follows: Sequence[Asker] = ()
        if not isinstance(error, DeviceExceptionError):
            self._outcomes.wrong(request.asker, error, now)
        else:
            if error.off_line:
                self._forget(request.asker.unit, now)
            follows = self._outcomes.refused(request.asker, error, now)
        self._go_on(request.asker, follows, now)

    # --- what goes out next ----------------------------------------------------------------------

    def _pace_for(self, most_in_flight: int) -> Pace:
        pace = Pace.of((unit.map for unit in self.units), most_in_flight)
        self._takes_several = pace.in_flight > 1
        return pace

    def _longest_pause_s(self) -> float:
        return SHARED_MOST_S if len(self.units) > 1 else MOST_S

    def _poll(self, unit: PolledUnit, now: float) -> None:
        reading = unit.reading
        if self.state is LinkState.DOWN:
            self._outcomes.absent(unit, Absence.NOT_CONNECTED)
        elif now >= unit.rest_until and (len(self.units) == 1 or unit.breaker.allows(now)):
            reading.begin(now)
            if not reading.is_over:
                self._queue(reading, now)
                self._next(now)

    def _queue(self, reading: Reading, now: float) -> None:
        """Let its next request wait for its turn, behind those of the other units."""
        reading.waits = True
        if reading.unit.held and not reading.unit.identified:
            self._lanes.put_first(Lane.WRITE, reading, now)
        else:
            slow = reading is reading.unit.slow
            self._lanes.put(Lane.SLOW if slow else Lane.CONTROL, reading, now)

    def _next(self, now: float) -> None:
        while self._lanes.waiting:
            if self.state is LinkState.RESTING:
                self._wake(now)
            if not self._may_send(now):
                return
            self._start(self._lanes.take(now), now)
        if self._swept and self._current is None and self.state is LinkState.UP:
            self._swept = False
            if self._pace is not None and self._pace.close_after_sweep:
                self._rest()

    def _start(self, item: Asker, now: float) -> None:
        if isinstance(item, Reading):
            if item.is_new:
                item.started = now
            self._send(item.request, now, self._patience_s(item.unit))
        elif isinstance(item, SideWrite):
            self._send(item.request(), now, self._shared.timeout_s)
        elif item.unit.identified:
            item.unit.order, item.started = None, now
            self._send(item.request(), now, self._shared.timeout_s)
        else:
            self._identify_first(item.unit, now)

    def _patience_s(self, unit: PolledUnit) -> float:
        """How long to wait for a read: who is most likely dead must not cost its neighbours a sweep."""
        timeout_s = self._shared.timeout_s
        holds_the_line = len(self.units) > 1 and not self._takes_several
        # Where a late answer cannot be told from the next one, nobody is cut short.
        if not unit.breaker.is_open or not holds_the_line or self._line.most_in_flight == 1:
            return timeout_s
        return min(timeout_s, max(PROBE_S, 2 * unit.device.period_s / len(self.units)))

    def _identify_first(self, unit: PolledUnit, now: float) -> None:
        """Hold an order back until the device has shown what it is."""
        unit.held = True
        reading = unit.reading
        if reading.waits and not self._lanes.drop(reading):
            return  # it is on its way
        reading.begin(now)
        self._queue(reading, now)

    # --- what came, or did not -------------------------------------------------------------------

    def _is_wanted(self, reading: Reading) -> bool:
        """Whether the unit has not been forgotten since it was asked."""
        unit = reading.unit
        return reading is unit.reading or (reading is unit.slow and unit.identified)

    def _go_on(self, asker: Asker, follows: Sequence[Asker], now: float) -> None:
        for item in follows:
            if not isinstance(item, Reading):
                self._lanes.put_first(Lane.WRITE, item, now)
            else:
                self._queue(item, now)
        if isinstance(asker, Reading) and not asker.waits:
            self._swept = True
            self._simplify(asker.unit)
        self._next(now)

    def _simplify(self, unit: PolledUnit) -> None:
        """Let the next sweep take the short way, if all is well."""
        sweep, pace = unit.sweep, self._pace
        sweep.simple = (
            unit.identified
            and sweep.has_landed
            and len(sweep.requests) == 1
            and not (sweep.refused or unit.slow_due or unit.breaker.has_failed)
            and pace is not None
            and pace.is_free
        )
        if sweep.simple:
            sweep.begin(0.0)  # it stays there

    def _forget(self, unit: PolledUnit, now: float) -> None:
        """Identify the unit before it is used again."""
        before = unit.reading
        unit.sweep.simple = False
        unit.forget()
        if unit.reading is before:
            return
        if unit.slow is not None and self._lanes.drop(unit.slow):
            unit.slow.waits, unit.slow_due = False, True
        if self._lanes.drop(before):
            before.waits = False
            self._queue(unit.reading, now)

    def _lost(self, in_flight: Sequence[Request], absence: Absence, now: float) -> None:
        for request in in_flight:
            self._outcomes.end(request.asker, absence, WriteResult.TIMED_OUT, now)
        self._give_up(now)
        self._was_down = True
        for unit in self.units:
            unit.forgive()
            unit.forget()
            unit.slow_due = unit.slow is not None

    def _give_up(self, now: float) -> None:
        """What waits will not be asked."""
        for item in self._lanes.empty():
            if isinstance(item, Order):
                item.unit.order = None
            self._outcomes.end(item, Absence.NOT_CONNECTED, WriteResult.NOT_CONNECTED, now)

    def _refuse_orders(self) -> None:
        """Those that came while the link is down."""
        if self.state is LinkState.DOWN:
            self._give_up(self._shared.now())
