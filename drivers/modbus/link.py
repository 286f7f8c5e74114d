"""What is asked over one connection, in which order, and what becomes of the answers.

Everything happens in callbacks: a poll makes no task, no future and no timer; the fleet's tick looks after
deadlines (`expire`) and reconnects (`connect`).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from enum import StrEnum

from drivers.modbus.backoff import Backoff
from drivers.modbus.errors import DeviceExceptionError
from drivers.modbus.frames import Buffer
from drivers.modbus.lanes import Lane, Lanes
from drivers.modbus.line import Line, LineUser
from drivers.modbus.outcomes import Asker, Outcomes
from drivers.modbus.pace import Pace
from drivers.modbus.reading import Reading, Sweep
from drivers.modbus.requests import Request
from drivers.modbus.shared import NEVER, Shared
from drivers.modbus.unit import Order, PolledUnit
from drivers.ports import Absence, WriteResult

CONNECT_TIMEOUT_S = 3.0
TIMEOUTS_TO_RECONNECT = 2
_ROUNDING_S = 1e-6
"""A timer may fire this much early, by the rounding of its time."""
_log = logging.getLogger(__name__)


class LinkState(StrEnum):
    """How far the connection is."""

    DOWN = "down"
    CONNECTING = "connecting"
    UP = "up"
    RESTING = "resting"
    """Closed after a sweep, as a device wants it; opened again when there is something to ask."""


class Link:
    """A connection, made again and again, and the units behind it.

    Args:
        name: for the log.
        index: its place among the fleet's links.
        shared: with the other links of the fleet.
        outcomes: who judges what comes.
        make_line: what carries its requests.
    """

    __slots__ = (
        "_backoff",
        "_closed",
        "_current",
        "_deadlines",
        "_index",
        "_lanes",
        "_line",
        "_not_before",
        "_others",
        "_outcomes",
        "_pace",
        "_pausing",
        "_ready",
        "_shared",
        "_sink",
        "_solo",
        "_swept",
        "_timeouts",
        "name",
        "retry_at",
        "state",
        "units",
    )

    def __init__(
        self, name: str, index: int, shared: Shared, outcomes: Outcomes, make_line: Callable[[LineUser], Line]
    ) -> None:
        self.name = name
        self.units: list[PolledUnit] = []
        self.state = LinkState.DOWN
        self.retry_at = 0.0
        self._index, self._shared, self._sink, self._deadlines = index, shared, shared.sink, shared.deadlines
        self._outcomes = outcomes
        self._line = make_line(self)
        self._backoff = Backoff(shared.rng)
        self._closed = False
        self._lanes: Lanes[Reading | Order] = Lanes()
        self._current: Request | None = None
        """In flight; of several the last."""
        self._others: list[Request] = []
        """Also in flight, in the order in which they went out."""
        self._solo: Sweep | None = None
        """The one sweep of the usual link, while all is well: one unit, one request, nothing else to do."""
        self._ready: Request | None = None
        """That of `_solo`, while nothing is in flight."""
        self._timeouts = 0
        self._pace: Pace | None = None
        self._swept = False
        """A sweep has ended on this connection."""
        self._not_before = 0.0
        """No request goes out earlier, if there are pauses."""
        self._pausing = False

    # --- what the fleet asks for ----------------------------------------------------------------

    async def connect(self) -> None:
        """Try once to connect; the outcome shows in `state`."""
        self.state = LinkState.CONNECTING
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._line.open()
        except OSError as error:  # a TimeoutError is one
            self._down(f"cannot connect: {str(error) or 'no answer'}", Absence.NOT_CONNECTED)

    def poll(self, unit: PolledUnit, now: float) -> None:
        """Sweep a unit, unless its last sweep is still waiting."""
        request = self._ready
        if request is None:
            self._poll(unit, now)
            return
        self._ready = None
        sweep = request.asker
        sweep.waits, sweep.started = True, now
        self._current = request
        request.deadline = self._deadlines[self._index] = now + self._shared.timeout_s
        self._line.ask(request)

    def poll_slow(self, unit: PolledUnit) -> None:
        """Read its slow points after its next sweep."""
        unit.slow_due = True
        self._unsettle()

    def order(self, unit: PolledUnit, watts: float | None) -> None:
        """Write a set-point as soon as the request in flight is through."""
        now = self._shared.now()
        if unit.order is not None:
            unit.order.watts = watts
        else:
            unit.order = Order(unit, watts)
            self._lanes.put(Lane.WRITE, unit.order, now)
        self._unsettle()
        if self.state is not LinkState.DOWN:
            self._next(now)
        elif self._shared.loop is not None:
            # Not from here: whoever orders is not ready for the outcome yet.
            self._shared.loop.call_soon(self._refuse_orders)

    def expire(self, now: float) -> None:
        """A request in flight was not answered in time."""
        late = [request for request in self._in_flight() if request.deadline <= now]
        self._unsettle()
        for request in late:
            unit = request.asker.unit
            alone_silent = unit.breaker.is_open and not all(other.breaker.is_open for other in self.units)
            if not alone_silent:
                self._timeouts += 1
            self._line.abandon(request)
            self._arrived(request, now)
            unit.breaker.failed(now)
            self._forget(unit, now)
            self._outcomes.end(request.asker, Absence.TIMED_OUT, WriteResult.TIMED_OUT, now)
        if self._timeouts >= TIMEOUTS_TO_RECONNECT:
            self._down(f"{self._timeouts} requests without an answer", Absence.TIMED_OUT)
        else:
            self._next(now)

    def close(self) -> None:
        """End the connection for good."""
        self._closed = True
        self._down("closed", Absence.NOT_CONNECTED)

    # --- what the line tells ---------------------------------------------------------------------

    def opened(self) -> None:
        now = self._shared.now()
        if self._pace is None:
            self._pace = Pace.of((unit.map for unit in self.units), self._line.most_in_flight)
        self.state = LinkState.UP
        self._timeouts, self._swept = 0, False
        self._not_before = now + self._pace.pause_after_connect_s
        _log.debug("%s connected", self.name)
        self._next(now)

    def answered(self, request: Request, data: Buffer, start: int, end: int) -> None:
        sweep = request.asker
        if sweep is self._solo and sweep is not None:
            self._current = None
            self._deadlines[self._index] = NEVER
            sweep.row[:] = data[start:end]
            sweep.raw.changed = True
            sweep.waits = False
            self._ready = request
            self._shared.ok += 1
            self._sink.swept(sweep.unit.row, sweep.started, False)  # noqa: FBT003  FleetSink
            return
        now = self._heard(request)
        asker = request.asker
        if isinstance(asker, Reading):
            if not self._is_wanted(asker):
                asker.waits = False
                self._next(now)
                return
            asker.take(data, start, end)
        self._go_on(asker, self._outcomes.answered(asker), now)

    def failed(self, request: Request, error: Exception) -> None:
        now = self._heard(request)
        self._unsettle()
        follows: Sequence[Asker] = ()
        if not isinstance(error, DeviceExceptionError):
            self._outcomes.wrong(request.asker, error, now)
        else:
            if error.off_line:
                self._forget(request.asker.unit, now)
            follows = self._outcomes.refused(request.asker, error, now)
        self._go_on(request.asker, follows, now)

    def closed(self, why: str, *, desync: bool) -> None:
        self._down(why, Absence.INVALID if desync else Absence.NOT_CONNECTED)

    # --- what goes out next ----------------------------------------------------------------------

    def _poll(self, unit: PolledUnit, now: float) -> None:
        reading = unit.reading
        if reading.waits:
            self._shared.tally["missed"] += 1
        elif self.state is LinkState.DOWN:
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
        pace = self._pace
        while self._lanes:
            if self.state is LinkState.RESTING:
                self.state, self.retry_at = LinkState.CONNECTING, now
                self._shared.went_down(self._index)
            if self.state is not LinkState.UP or pace is None or self._is_full(pace):
                return
            if now + _ROUNDING_S < self._not_before:
                self._pause()
                return
            self._start(self._lanes.take(now), now)
        if self._current is not None or self._others or self.state is not LinkState.UP or pace is None:
            return
        if pace.close_after_sweep and self._swept:
            self.state = LinkState.RESTING
            self._line.close()
        elif len(self.units) == 1 and pace.is_free:
            self._settle(self.units[0])

    def _start(self, item: Asker, now: float) -> None:
        if isinstance(item, Reading):
            if item.is_new:
                item.started = now
            self._send(item.request, now)
        elif item.unit.identified:
            item.unit.order, item.started = None, now
            self._send(item.request(), now)
        else:
            self._identify_first(item.unit, now)

    def _identify_first(self, unit: PolledUnit, now: float) -> None:
        """Hold an order back until the device has shown what it is."""
        unit.held = True
        reading = unit.reading
        if reading.waits and not self._lanes.drop(reading):
            return  # it is on its way
        reading.begin(now)
        self._queue(reading, now)

    def _send(self, request: Request, now: float) -> None:
        if self._current is not None:
            self._others.append(self._current)
        self._current = request
        request.deadline = now + self._shared.timeout_s
        self._deadlines[self._index] = (self._others[0] if self._others else request).deadline
        self._line.ask(request)

    def _is_full(self, pace: Pace) -> bool:
        return self._current is not None and len(self._others) + 1 >= pace.in_flight

    def _in_flight(self) -> list[Request]:
        return self._others if self._current is None else [*self._others, self._current]

    def _settle(self, unit: PolledUnit) -> None:
        """Let the next poll take the short way, if all is well."""
        sweep = unit.sweep
        if (
            unit.identified
            and sweep.has_landed
            and len(sweep.requests) == 1
            and not (sweep.refused or unit.slow_due or sweep.waits or self._timeouts)
            and not unit.breaker.has_failed
        ):
            sweep.begin(0.0)  # it stays there
            self._solo, self._ready = sweep, sweep.requests[0]

    def _unsettle(self) -> None:
        """There is something to do that the short way does not know of."""
        self._solo = self._ready = None

    def _pause(self) -> None:
        assert self._shared.loop is not None
        if not self._pausing:
            self._pausing = True
            self._shared.loop.call_at(self._not_before, self._resume)

    def _resume(self) -> None:
        self._pausing = False
        self._next(self._shared.now())

    # --- what came, or did not -------------------------------------------------------------------

    def _heard(self, request: Request) -> float:
        """An answer came, good or not: the link is well. The time."""
        now = self._shared.now()
        self._timeouts = 0
        self._backoff.reset()
        self._arrived(request, now)
        return now

    def _arrived(self, request: Request, now: float) -> None:
        """It is no longer in flight."""
        if request is self._current:
            self._current = self._others.pop() if self._others else None
        else:
            self._others.remove(request)
        first = self._others[0] if self._others else self._current
        self._deadlines[self._index] = NEVER if first is None else first.deadline
        if self._pace is not None and self._pace.pause_between_requests_s:
            self._not_before = now + self._pace.pause_between_requests_s

    def _is_wanted(self, reading: Reading) -> bool:
        """Whether the unit has not been forgotten since it was asked."""
        unit = reading.unit
        return reading is unit.reading or (reading is unit.slow and unit.identified)

    def _go_on(self, asker: Asker, follows: Sequence[Asker], now: float) -> None:
        for item in follows:
            if isinstance(item, Order):
                self._lanes.put_first(Lane.WRITE, item, now)
            else:
                self._queue(item, now)
        if isinstance(asker, Reading) and not asker.waits:
            self._swept = True
        self._next(now)

    def _forget(self, unit: PolledUnit, now: float) -> None:
        """Identify the unit before it is used again."""
        before = unit.reading
        unit.forget()
        if unit.reading is before:
            return
        if unit.slow is not None and self._lanes.drop(unit.slow):
            unit.slow.waits, unit.slow_due = False, True
        if self._lanes.drop(before):
            before.waits = False
            self._queue(unit.reading, now)

    def _down(self, why: str, absence: Absence) -> None:
        """Close, tell everyone who waits, and set a time for the next attempt."""
        if self.state is LinkState.DOWN:
            return
        self.state = LinkState.DOWN
        self._line.close()
        self._unsettle()
        _log.debug("%s: %s", self.name, why)
        now = self._shared.now()
        if self._shared.loop is not None and not self._closed:
            self.retry_at = now + self._backoff.next_s()
            self._shared.went_down(self._index)
        for request in list(self._in_flight()):
            self._arrived(request, now)
            self._outcomes.end(request.asker, absence, WriteResult.TIMED_OUT, now)
        waiting = self._lanes.empty()
        for item in waiting:
            if isinstance(item, Order):
                item.unit.order = None
            self._outcomes.end(item, Absence.NOT_CONNECTED, WriteResult.NOT_CONNECTED, now)
        for unit in self.units:
            unit.forgive()
            unit.forget()
            unit.slow_due = unit.slow is not None

    def _refuse_orders(self) -> None:
        """Those that came while the link is down."""
        if self.state is LinkState.DOWN:
            now = self._shared.now()
            for item in self._lanes.empty():
                if isinstance(item, Order):
                    item.unit.order = None
                self._outcomes.end(item, Absence.NOT_CONNECTED, WriteResult.NOT_CONNECTED, now)
