"""A client's connection to a simulated Modbus TCP address."""

import asyncio
from collections.abc import Callable
from typing import cast

from sim_devices.modbus.endpoint import Endpoint
from sim_devices.modbus.frames import (
    ExceptionCode,
    ModbusRefusal,
    NotModbusError,
    Request,
    frame,
    refusal,
    take_request,
)
from sim_devices.modbus.image import READ_FUNCTIONS
from sim_devices.modbus.spoiling import spoil
from sim_devices.modbus.unit import Unit


class Connection(asyncio.Protocol):
    """One client. Which endpoint it wants is known when it is connected: by the address that it dialled.

    A read that was asked for before, of a unit with which nothing is wrong, costs a look-up and a slice.
    """

    __slots__ = ("_buffer", "_endpoint", "_find", "_plans", "_transport", "_write", "dead")

    def __init__(self, find: Callable[[str], Endpoint | None]) -> None:
        self._find = find
        self._buffer = bytearray()
        self._endpoint: Endpoint | None = None
        self._transport: asyncio.Transport | None = None
        self.dead = False
        """Nothing is answered here any more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        endpoint = self._find(transport.get_extra_info("sockname")[0])
        self._plans = {} if endpoint is None else endpoint.plans
        self._write = self._transport.write
        if endpoint is None or endpoint.refuses:
            self._transport.abort()
            return
        self._endpoint = endpoint
        endpoint.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the base class' signature
        self._transport = None
        if self._endpoint is not None:
            self._endpoint.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        plan = self._plans.get(data[2:])
        if plan is None or self._buffer or self.dead:
            self._read_on(data)
            return
        image, head, start, stop = plan
        if image.stale:
            image.refresh()
        self._write(data[:2] + head + image.blob[start:stop])

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _read_on(self, data: bytes) -> None:
        if self.dead:
            return
        self._buffer += data
        try:
            while (request := take_request(self._buffer)) is not None:
                self._serve(request)
        except NotModbusError:
            self.abort()

    def _serve(self, request: Request) -> None:
        endpoint = self._endpoint
        if endpoint is None:
            return
        unit = endpoint.units.get(request.unit)
        if unit is None:
            pdu = refusal(request.function, ExceptionCode.TARGET_SILENT)
            self._send(frame(request.transaction, request.unit, pdu))
        elif not unit.faults.sound:
            self._serve_badly(unit, request)
        else:
            pdu = _answer(unit, request)
            if pdu[0] in READ_FUNCTIONS:
                endpoint.remember(frame(0, request.unit, request.pdu), unit, *unit.span(request))
            self._send(frame(request.transaction, request.unit, pdu))

    def _serve_badly(self, unit: Unit, request: Request) -> None:
        faults = unit.faults
        if faults.refuse or faults.silent:
            return
        lost = faults.drops()
        if lost and not faults.lose_answers:
            return
        pdu = _answer(unit, request)
        if lost:
            return
        data = frame(request.transaction, request.unit, pdu)
        if faults.answer is not None:
            data = spoil(faults.answer, request, pdu)
        if faults.latency_s > 0:
            asyncio.get_running_loop().call_later(faults.latency_s, self._send, data, faults.byte_pause_s)
        else:
            self._send(data, faults.byte_pause_s)

    def _send(self, data: bytes, byte_pause_s: float | None = None) -> None:
        """Send at once, or one byte at a time, the next one a pause later."""
        # An answer that comes late may find its client gone.
        if self._transport is None or self._transport.is_closing() or self.dead:
            return
        if byte_pause_s is None:
            self._transport.write(data)
            return
        self._transport.write(data[:1])
        if len(data) > 1:
            asyncio.get_running_loop().call_later(byte_pause_s, self._send, data[1:], byte_pause_s)


def _answer(unit: Unit, request: Request) -> bytes:
    try:
        return unit.answer(request)
    except ModbusRefusal as error:
        return refusal(request.function, error.code)
