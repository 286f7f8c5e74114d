"""One TCP connection to a Modbus server and the units behind it.

One request is in flight at a time. Everything happens in callbacks: a poll makes no task, no future
and no timer; the fleet's tick looks after deadlines (`expire`) and reconnects (`connect`).
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import cast

from drivers.errors import DesyncError
from drivers.modbus.backoff import Backoff
from drivers.modbus.errors import AnswerError, DeviceExceptionError
from drivers.modbus.frames import (
    MAX_FRAME,
    check_read_answer,
    check_write_answer,
    frame_end,
    read_request,
    transaction_of,
    write_request,
)
from drivers.modbus.unit import PolledUnit
from drivers.ports import Absence, FleetSink, WriteResult

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


class Link(asyncio.BufferedProtocol):
    """A connection to one host and port, made again and again.

    Args:
        host: where to.
        port: where to.
        sink: who learns of values and of the outcome of writes.
        tally: counts of sweeps by result, shared by the fleet.
        busy: links with a request in flight, shared by the fleet.
        rng: for the jitter of the back-off.
        timeout_s: deadline of a request.
        went_down: called when `retry_at` has been set.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        sink: FleetSink,
        tally: dict[str, int],
        busy: "dict[Link, None]",
        rng: random.Random,
        timeout_s: float,
        went_down: "Callable[[Link], None]",
    ) -> None:
        self.host, self.port = host, port
        self.units: list[PolledUnit] = []
        self.state = LinkState.DOWN
        self.retry_at = 0.0
        self.deadline = 0.0
        """Of the request in flight."""
        self._sink, self._tally, self._busy = sink, tally, busy
        self._backoff = Backoff(rng)
        self._timeout_s = timeout_s
        self._went_down = went_down
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(2 * MAX_FRAME)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._writes: deque[PolledUnit] = deque()
        self._reads: deque[PolledUnit] = deque()
        self._current: PolledUnit | None = None
        self._write: bytes | None = None
        """The request in flight, if it is a write."""
        self._write_w: float | None = None
        self._write_started = 0.0
        self._transaction = 0
        self._timeouts = 0
        self._pause_s = 0.0
        self._close_after_sweep = False
        self._swept = False
        """A sweep has ended on this connection."""
        self._not_before = 0.0
        """No request goes out earlier, if there are pauses."""
        self._pausing = False

    # --- what the fleet asks for ----------------------------------------------------------------

    async def connect(self) -> None:
        """Try once to connect; the outcome shows in `state`."""
        self._loop = asyncio.get_running_loop()
        self.state = LinkState.CONNECTING
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._loop.create_connection(lambda: self, self.host, self.port)
        except OSError as error:  # a TimeoutError is one
            self._down(f"cannot connect: {str(error) or 'no answer'}", Absence.NOT_CONNECTED)

    def poll(self, unit: PolledUnit, now: float) -> None:
        """Sweep a unit, unless its last sweep is still waiting."""
        if unit.sweep_waits:
            self._tally["missed"] += 1
        elif self.state is LinkState.DOWN:
            self._count_failure(unit, Absence.NOT_CONNECTED)
        elif len(self.units) == 1 or unit.breaker.allows(now):
            unit.sweep_waits, unit.block = True, 0
            self._reads.append(unit)
            self._next()

    def order(self, unit: PolledUnit, watts: float | None) -> None:
        """Write a set-point as soon as the request in flight is through."""
        unit.order_w = watts
        if not unit.order_waits:
            unit.order_waits = True
            self._writes.append(unit)
        if self.state is not LinkState.DOWN:
            self._next()
        elif self._loop is not None:
            # Not from here: whoever orders is not ready for the outcome yet.
            self._loop.call_soon(self._refuse_orders)

    def expire(self, now: float) -> None:
        """The request in flight was not answered in time."""
        unit = self._current
        assert unit is not None
        alone_silent = unit.breaker.is_open and not all(other.breaker.is_open for other in self.units)
        if not alone_silent:
            self._timeouts += 1
        unit.breaker.failed(now)
        unit.forget()
        if self._timeouts >= TIMEOUTS_TO_RECONNECT:
            self._down(f"{self._timeouts} requests without an answer", Absence.TIMED_OUT)
        else:
            self._end(unit, Absence.TIMED_OUT, WriteResult.TIMED_OUT)
            self._next()

    def close(self) -> None:
        """End the connection for good."""
        self._closed = True
        self._down("closed", Absence.NOT_CONNECTED)

    # --- what asyncio calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.state = LinkState.UP
        self._filled, self._timeouts = 0, 0
        _log.debug("%s:%d connected", self.host, self.port)
        self._take_pace()
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:  # else we closed it
            self._down(f"connection lost: {exc or 'closed by the device'}", Absence.NOT_CONNECTED)

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        start = 0
        try:
            while end := frame_end(self._buffer, start, self._filled):
                self._take(start, end)
                if self._transport is None:
                    return
                start = end
        except DesyncError as error:
            self._down(f"no Modbus: {error}", Absence.INVALID)
            return
        if start:
            rest = self._filled - start
            self._buffer[:rest] = self._buffer[start : self._filled]
            self._filled = rest

    # --- requests and answers --------------------------------------------------------------------

    def _next(self) -> None:
        if self._current is not None or self._loop is None:
            return
        if self._transport is None:
            if self.state is LinkState.RESTING:
                self._wake()
            return
        now = self._loop.time()
        if now + _ROUNDING_S < self._not_before and (self._writes or self._reads):
            self._pause()
        elif self._writes:
            unit = self._writes.popleft()
            if unit.identified:
                self._start_write(unit, now)
            else:
                self._identify_first(unit, now)
        elif self._reads:
            self._start_read(self._reads.popleft(), now)
        elif self._close_after_sweep and self._swept:
            self._rest(self._transport)

    def _identify_first(self, unit: PolledUnit, now: float) -> None:
        """Hold an order back until the device has shown what it is."""
        unit.order_held = True
        if unit.sweep_waits:
            self._reads.remove(unit)
        unit.sweep_waits, unit.block = True, 0
        self._start_read(unit, now)

    def _start_read(self, unit: PolledUnit, now: float) -> None:
        if unit.block == 0:
            unit.started = now
        function, address, length = unit.blocks[unit.block]
        self._send(unit, read_request(self._new_transaction(), unit.number, function, address, length), now)

    def _start_write(self, unit: PolledUnit, now: float) -> None:
        address, words = unit.order_registers()
        unit.order_waits = False
        self._write = write_request(self._new_transaction(), unit.number, address, words)
        self._write_w, self._write_started = unit.order_w, now
        self._send(unit, self._write, now)

    def _new_transaction(self) -> int:
        # Never 0: what answers with 0 always is not answering to us.
        self._transaction = self._transaction % 0xFFFF + 1
        return self._transaction

    def _send(self, unit: PolledUnit, request: bytes, now: float) -> None:
        assert self._transport is not None
        self._current = unit
        self.deadline = now + self._timeout_s
        self._busy[self] = None
        self._transport.write(request)

    def _take(self, start: int, end: int) -> None:
        """Handle a whole frame."""
        unit = self._current
        if unit is None or transaction_of(self._buffer, start) != self._transaction:
            # Late, after we gave up, or from nowhere: never the answer to what is asked now.
            _log.debug("%s:%d: an answer that nobody waits for", self.host, self.port)
            return
        self._timeouts = 0
        self._backoff.reset()
        try:
            if self._write is not None:
                check_write_answer(self._buffer, start, end, unit.number, self._write)
            else:
                self._take_block(unit, start, end)
        except AnswerError as error:
            self._wrong(unit, error)
        except DeviceExceptionError as error:
            self._refused(unit, error)
        else:
            self._answered(unit)
        self._next()

    def _take_block(self, unit: PolledUnit, start: int, end: int) -> None:
        function, _, length = unit.blocks[unit.block]
        first = check_read_answer(self._buffer, start, end, unit.number, function, length)
        offset = unit.offsets[unit.block]
        unit.registers[offset : offset + 2 * length] = self._view[first:end]

    def _answered(self, unit: PolledUnit) -> None:
        unit.breaker.succeeded()
        if self._write is not None:
            self._end(unit, None, WriteResult.ACKNOWLEDGED)
            return
        unit.block += 1
        if unit.block < len(unit.blocks):
            self._idle()
            self._reads.appendleft(unit)
            return
        self._idle()
        if not unit.identified:
            self._identify(unit)
            return
        unit.sweep_waits, self._swept = False, True
        unit.trouble = None
        self._tally["ok"] += 1
        self._sink.sampled(unit.row, unit.plan.decode(unit.registers), unit.started)

    def _identify(self, unit: PolledUnit) -> None:
        """The registers that tell what the device is, or where its registers are, are there."""
        if unit.walk is not None:
            self._walked(unit, refused=False)
            return
        assert unit.identity is not None
        problem = unit.identity.problem(unit.registers)
        if problem is not None:
            self._tell(unit, Absence.WRONG_DEVICE, problem)
            self._fail_sweep(unit, Absence.WRONG_DEVICE, WriteResult.REFUSED)
            return
        unit.accept()
        self._identified(unit)

    def _walked(self, unit: PolledUnit, *, refused: bool) -> None:
        """A step on the way to where the device keeps its registers."""
        if unit.walked(refused=refused):
            self._reads.appendleft(unit)
            return
        problem = unit.locate()
        if problem is not None:
            self._tell(unit, Absence.WRONG_DEVICE, problem)
            self._fail_sweep(unit, Absence.WRONG_DEVICE, WriteResult.REFUSED)
        else:
            self._identified(unit)

    def _identified(self, unit: PolledUnit) -> None:
        """Go on with the sweep, or with what is still to be checked; an order goes first."""
        self._reads.appendleft(unit)
        if unit.order_held and unit.identified:
            unit.order_held = False
            self._writes.appendleft(unit)

    def _wrong(self, unit: PolledUnit, error: AnswerError) -> None:
        assert self._loop is not None
        unit.breaker.failed(self._loop.time())
        self._tell(unit, Absence.INVALID, error)
        # A write with a wrong answer may have been obeyed or not, as with none.
        self._end(unit, Absence.INVALID, WriteResult.TIMED_OUT)

    def _refused(self, unit: PolledUnit, error: DeviceExceptionError) -> None:
        assert self._loop is not None
        if unit.walk is not None and self._write is None and error.permanent:
            unit.breaker.succeeded()
            self._idle()
            self._walked(unit, refused=True)
            return
        if not error.busy:
            unit.breaker.failed(self._loop.time())
        if error.off_line:
            unit.forget()
            self._end(unit, Absence.NOT_CONNECTED, WriteResult.NOT_CONNECTED)
        elif error.busy:
            self._end(unit, Absence.REFUSED, WriteResult.TIMED_OUT)
        else:
            self._tell(unit, Absence.REFUSED, error)
            self._end(unit, Absence.REFUSED, WriteResult.REFUSED)

    # --- the pace that the devices want ----------------------------------------------------------

    def _take_pace(self) -> None:
        """The slowest unit's pace, at the start of a connection."""
        assert self._loop is not None
        paces = [unit.pacing for unit in self.units]
        self._swept = False
        self._pause_s = max(pace.pause_between_requests_s for pace in paces)
        self._close_after_sweep = any(pace.close_after_sweep for pace in paces)
        self._not_before = self._loop.time() + max(pace.pause_after_connect_s for pace in paces)

    def _pause(self) -> None:
        assert self._loop is not None
        if not self._pausing:
            self._pausing = True
            self._loop.call_at(self._not_before, self._resume)

    def _resume(self) -> None:
        self._pausing = False
        self._next()

    def _rest(self, transport: asyncio.Transport) -> None:
        self._transport = None
        self.state = LinkState.RESTING
        transport.close()

    def _wake(self) -> None:
        assert self._loop is not None
        if self._writes or self._reads:
            self.state = LinkState.CONNECTING
            self.retry_at = self._loop.time()
            self._went_down(self)

    # --- outcomes --------------------------------------------------------------------------------

    def _idle(self) -> None:
        self._current = self._write = None
        self._busy.pop(self, None)
        if self._pause_s and self._loop is not None:
            self._not_before = self._loop.time() + self._pause_s

    def _end(self, unit: PolledUnit, absence: Absence | None, result: WriteResult) -> None:
        """End what is in flight: as `result` if it is a write, else as a sweep that failed."""
        write, watts, started = self._write, self._write_w, self._write_started
        self._idle()
        if write is not None:
            self._sink.written(unit.row, watts, result, started)
        elif absence is not None:
            self._fail_sweep(unit, absence, result)

    def _fail_sweep(self, unit: PolledUnit, absence: Absence, result: WriteResult) -> None:
        """End a sweep, and with it an order that waited for the device to be identified."""
        unit.sweep_waits, self._swept = False, True
        self._count_failure(unit, absence)
        if unit.order_held:
            unit.order_held = unit.order_waits = False
            now = 0.0 if self._loop is None else self._loop.time()
            self._sink.written(unit.row, unit.order_w, result, now)

    def _count_failure(self, unit: PolledUnit, absence: Absence) -> None:
        self._tally[absence] += 1
        self._sink.failed(unit.row, absence)

    def _down(self, why: str, absence: Absence) -> None:
        """Close, tell everyone who waits, and set a time for the next attempt."""
        if self.state is LinkState.DOWN:
            return
        transport, self._transport = self._transport, None
        self.state = LinkState.DOWN
        if transport is not None:
            transport.abort()
        _log.debug("%s:%d %s", self.host, self.port, why)
        if self._loop is not None and not self._closed:
            self.retry_at = self._loop.time() + self._backoff.next_s()
            self._went_down(self)
        if self._current is not None:
            self._end(self._current, absence, WriteResult.TIMED_OUT)
        while self._reads:
            unit = self._reads.popleft()
            self._fail_sweep(unit, Absence.NOT_CONNECTED, WriteResult.NOT_CONNECTED)
        for unit in self.units:
            unit.forget()
        self._refuse_orders()

    def _refuse_orders(self) -> None:
        if self.state is not LinkState.DOWN:
            return
        now = 0.0 if self._loop is None else self._loop.time()
        while self._writes:
            unit = self._writes.popleft()
            unit.order_waits = False
            self._sink.written(unit.row, unit.order_w, WriteResult.NOT_CONNECTED, now)

    def _tell(self, unit: PolledUnit, trouble: Absence, error: Exception | str) -> None:
        """Say once what somebody has to look at."""
        level = logging.DEBUG if unit.trouble is trouble else logging.WARNING
        unit.trouble = trouble
        _log.log(level, "%s (%s:%d unit %d): %s", unit.device.id, self.host, self.port, unit.number, error)
