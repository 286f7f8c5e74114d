"""One Modbus TCP address: a device, or a gateway with several units behind it."""

import asyncio
from collections.abc import Mapping
from typing import assert_never, cast

from sim_devices.faults import AnswerFault
from sim_devices.modbus.bank import RegisterBank
from sim_devices.modbus.frames import (
    ExceptionCode,
    ModbusRefusal,
    NotModbusError,
    Request,
    frame,
    refusal,
    take_request,
)


class Endpoint:
    """Listens at `host` for its units. It refuses connections while every unit of it does."""

    def __init__(self, host: str, units: Mapping[int, RegisterBank]) -> None:
        self.host = host
        self.port = 0
        self.units = units
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    async def open(self, port: int) -> int:
        """Listen; 0 takes any free port. Gives the port.

        Raises:
            OSError: somebody else listens there.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), self.host, port)
        self.port = port or int(self._server.sockets[0].getsockname()[1])
        return self.port

    def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self._connections):
            connection.abort()

    async def apply_faults(self) -> None:
        """Stop or resume listening as the faults ask for."""
        refuse = all(bank.faults.refuse for bank in self.units.values())
        if refuse and self._server is not None:
            self.close()
        elif not refuse and self._server is None:
            await self.open(self.port)

    def connected(self, connection: "Connection") -> None:
        """Count a connection."""
        self._connections.add(connection)

    def disconnected(self, connection: "Connection") -> None:
        """Forget a connection."""
        self._connections.discard(connection)


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._endpoint.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the base class' signature
        self._transport = None
        self._endpoint.disconnected(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while (request := take_request(self._buffer)) is not None:
                self._serve(request)
        except NotModbusError:
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _serve(self, request: Request) -> None:
        bank = self._endpoint.units.get(request.unit)
        if bank is None:
            pdu = refusal(request.function, ExceptionCode.TARGET_SILENT)
            self._send(frame(request.transaction, request.unit, pdu))
            return
        faults = bank.faults
        if faults.refuse or faults.silent:
            return
        try:
            pdu = bank.answer(request)
        except ModbusRefusal as error:
            pdu = refusal(request.function, error.code)
        data = frame(request.transaction, request.unit, pdu)
        if faults.answer is not None:
            data = spoil(faults.answer, request, pdu)
        if faults.latency_s > 0:
            asyncio.get_running_loop().call_later(faults.latency_s, self._send, data)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        # An answer that comes late may find its client gone.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def spoil(fault: AnswerFault, request: Request, pdu: bytes) -> bytes:
    """The wrong answer instead of the right one; an exception has nothing to shorten or lengthen."""
    transaction, unit = request.transaction, request.unit
    function, body = pdu[0], pdu[2:]
    match fault:
        case AnswerFault.SHORT:
            pdu = _with_count(function, len(body) - 2, body[:-2]) if body else pdu
        case AnswerFault.LONG:
            pdu = _with_count(function, len(body) + 2, body + b"\0\0") if body else pdu
        case AnswerFault.LYING_COUNT:
            pdu = _with_count(function, len(body) + 2, body) if body else pdu
        case AnswerFault.GARBAGE:
            return b"\xff" * 16
        case AnswerFault.WRONG_TRANSACTION:
            transaction ^= 0x5555
        case AnswerFault.WRONG_UNIT:
            unit ^= 0x55
        case AnswerFault.WRONG_FUNCTION:
            pdu = bytes((function ^ 0x07,)) + pdu[1:]
        case _:
            assert_never(fault)
    return frame(transaction, unit, pdu)


def _with_count(function: int, count: int, body: bytes) -> bytes:
    return bytes((function, count & 0xFF)) + body
