"""A connection to a Modbus TCP server: what it sends is put together and checked, byte by byte."""

import asyncio
import logging
import struct
from collections.abc import Callable
from typing import cast

from drivers.errors import DesyncError
from drivers.modbus.answers import registers_in
from drivers.modbus.errors import AnswerError, DeviceExceptionError
from drivers.modbus.frames import MAX_FRAME, frame_end, transaction_of
from drivers.modbus.line import LineUser
from drivers.modbus.requests import TRANSACTION, Request
from drivers.modbus.sockets import set_options

MOST_IN_FLIGHT = 16
_pack = struct.Struct(">H").pack
_log = logging.getLogger(__name__)

# What has come is handled before the loop reads on: one buffer does for all connections.
_received = bytearray(2 * MAX_FRAME)
_view = memoryview(_received)


class TcpLine(asyncio.BufferedProtocol):
    """Implements `drivers.modbus.line.Line`.

    Args:
        host: where to.
        port: where to.
        user: who asks.
    """

    __slots__ = (
        "_host",
        "_kept",
        "_opening",
        "_others",
        "_port",
        "_prefix",
        "_request",
        "_transaction",
        "_transport",
        "_user",
        "_write",
    )

    def __init__(self, host: str, port: int, user: LineUser) -> None:
        self._host, self._port, self._user = host, port, user
        self._transport: asyncio.Transport | None = None
        self._write: Callable[[bytes], None] = _nowhere
        """The transport's, while there is one."""
        self._opening = False
        self._request: Request | None = None
        """In flight; of several the last."""
        self._others: dict[int, Request] = {}
        """Also in flight, by transaction."""
        self._transaction = 0
        self._prefix = b""
        """The last transaction as bytes."""
        self._kept = bytearray()
        """The beginning of a frame that has not come whole."""

    @property
    def most_in_flight(self) -> int:
        return MOST_IN_FLIGHT

    async def open(self) -> None:
        self._opening = True
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, self._host, self._port)
        finally:
            self._opening = False

    def ask(self, request: Request) -> None:
        if self._request is not None:
            self._others[self._transaction] = self._request
        # Never 0: what answers with 0 always is not answering to us.
        self._transaction = self._transaction % 0xFFFF + 1
        self._prefix = prefix = _pack(self._transaction)
        self._request = request
        self._write(prefix + request.body)

    def abandon(self, request: Request) -> None:
        if request is self._request:
            self._request = None
        else:
            self._others = {number: other for number, other in self._others.items() if other is not request}

    def close(self) -> None:
        self._opening = False
        self._request = None
        self._others.clear()
        self._kept.clear()
        transport, self._transport = self._transport, None
        self._write = _nowhere
        if transport is not None:
            # What it still says is about a connection that nobody has any more.
            transport.set_protocol(_Nobody())
            transport.abort()

    # --- what asyncio calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        if not self._opening:  # given up meanwhile
            self.close()
            return
        self._write = self._transport.write
        set_options(self._transport)
        self._user.opened()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(f"connection lost: {exc or 'closed by the device'}", desync=False)

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return _view

    def buffer_updated(self, nbytes: int) -> None:
        request = self._request
        # The usual answer: one whole frame, right in all but the registers.
        if (
            request is not None
            and nbytes == request.size
            and _received.startswith(self._prefix)
            and _received.startswith(request.head, TRANSACTION)
            and not self._kept
        ):
            self._request = None
            self._user.answered(request, _view, request.registers_at, nbytes)
        else:
            self._put_together(nbytes)

    # --- anything but the usual answer -----------------------------------------------------------

    def _put_together(self, nbytes: int) -> None:
        kept = self._kept
        kept += _view[:nbytes]
        start = 0
        try:
            while end := frame_end(kept, start, len(kept)):
                frame = bytes(kept[start:end])
                start = end
                self._take(frame)
                if self._transport is None:
                    return
        except DesyncError as error:
            self._lose(f"no Modbus: {error}", desync=True)
            return
        del kept[:start]

    def _take(self, frame: bytes) -> None:
        """Handle a whole frame."""
        number = transaction_of(frame, 0)
        if number == self._transaction:
            request, self._request = self._request, None
        else:
            request = self._others.pop(number, None)
        if request is None:
            # Late, after we gave up, or from nowhere: never the answer to what is asked now.
            _log.debug("%s:%d: an answer that nobody waits for", self._host, self._port)
            return
        try:
            start = registers_in(request, frame)
        except (AnswerError, DeviceExceptionError) as error:
            self._user.failed(request, error)
        else:
            self._user.answered(request, memoryview(frame), start, len(frame))

    def _lose(self, why: str, *, desync: bool) -> None:
        self.close()
        self._user.closed(why, desync=desync)


def _nowhere(data: bytes) -> None:
    raise AssertionError(data)  # asked only while it is open


class _Nobody(asyncio.BufferedProtocol):
    """Listens to a connection that is given up."""

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return _view
