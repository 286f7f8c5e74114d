"""A connection over pymodbus: serial RTU, RTU over TCP, Modbus/TCP Security.

pymodbus opens the connection and finds the frames in what comes; whether they answer what was asked is
decided here. Its client stays out of it: that one takes transaction 0 for anybody's answer, less or more
registers than asked for a success, drops the connection of a whole gateway for one bad answer, does not say
why it could not connect, and lets its TLS client frame in a way that puts no pieces together.
"""

import asyncio
import logging
import ssl
import termios
from dataclasses import dataclass
from typing import cast

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu import register_message as registers
from pymodbus.transport import CommParams, CommType, ModbusProtocol

from drivers.errors import DesyncError
from drivers.modbus.answers import registers_in
from drivers.modbus.errors import AnswerError, DeviceExceptionError
from drivers.modbus.frames import frame_end, transaction_of
from drivers.modbus.line import LineUser
from drivers.modbus.requests import Request
from drivers.modbus.sockets import set_options
from drivers.tls import tls_trouble

RESYNC_S = 1.0
"""After a wrong answer without transaction id its unit is left alone: the right one may follow."""
LATE_SHARE = 0.5
"""On a wire an answer may be late by this share of the time that it was given; later ones there are none."""
_BITS = 11
"""Of a character on the wire, at most."""
_LEAST_SILENCE_S = 0.00175
"""Between two RTU frames, from 19200 baud on; below it is 3.5 characters."""
_ROUNDING_S = 0.001
"""uvloop counts whole milliseconds."""
_PDU = 5
"""Where it begins in the body of a request."""
_log = logging.getLogger(__name__)

# It writes 20 frames into the log at every error. What there is to say is said here.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class _Way:
    """How a peer is reached."""

    name: str
    """For the log."""
    comm: CommParams
    rtu: bool
    """Frames carry a check sum and no transaction id."""
    silence_s: float = 0.0
    """To be kept between two frames."""

    @property
    def is_serial(self) -> bool:
        """Whether there is a wire that all its units share, and nothing to connect to."""
        return self.comm.comm_type is CommType.SERIAL

    @property
    def is_tls(self) -> bool:
        """Whether certificates decide."""
        return self.comm.sslctx is not None


class PymodbusLine:
    """Implements `drivers.modbus.line.Line`. Use `serial`, `rtu_over_tcp`, `tls` or `tcp`."""

    def __init__(self, way: _Way, user: LineUser) -> None:
        self._way, self._user = way, user
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: _Connection | None = None
        self._request: Request | None = None
        """In flight, or waiting for the wire to be silent."""
        self._sent_at: float | None = None
        self._timer: asyncio.Handle | None = None
        """Sends the request, or closes."""
        self._transaction = 0
        self._heard_at = 0.0
        self._rest_until: dict[int, float] = {}
        """By unit: what it sends until then could be a late answer to something else."""
        self._told: str | None = None
        """The last trouble that was logged aloud."""

    @classmethod
    def serial(cls, path: str, baud: int, parity: str, stop_bits: int, user: LineUser) -> "PymodbusLine":
        """RTU on a serial device: `parity` is N, E or O."""
        comm = _comm(CommType.SERIAL, path, 0)
        comm.baudrate, comm.bytesize, comm.parity, comm.stopbits = baud, 8, parity, stop_bits
        silence_s = max(3.5 * _BITS / baud, _LEAST_SILENCE_S) + _ROUNDING_S
        return cls(_Way(path, comm, rtu=True, silence_s=silence_s), user)

    @classmethod
    def rtu_over_tcp(cls, host: str, port: int, user: LineUser) -> "PymodbusLine":
        """RTU frames through a gateway that passes bytes on."""
        return cls(_Way(f"{host}:{port}", _comm(CommType.TCP, host, port), rtu=True), user)

    @classmethod
    def tls(cls, host: str, port: int, context: ssl.SSLContext, user: LineUser) -> "PymodbusLine":
        """Modbus/TCP Security."""
        comm = _comm(CommType.TLS, host, port)
        comm.sslctx = context
        return cls(_Way(f"{host}:{port}", comm, rtu=False), user)

    @classmethod
    def tcp(cls, host: str, port: int, user: LineUser) -> "PymodbusLine":
        """Modbus TCP, for comparison: `tcp_line` does it at a fraction of the cost."""
        return cls(_Way(f"{host}:{port}", _comm(CommType.TCP, host, port), rtu=False), user)

    @property
    def most_in_flight(self) -> int:
        return 1

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection = _Connection(self._way, self)
        try:
            # Not its `connect`, which turns every reason into a False.
            await connection.call_create()
        except (OSError, ValueError, termios.error) as error:  # the last two are pyserial's, of settings
            raise OSError(self._trouble(error, heard=False)) from error

    def ask(self, request: Request) -> None:
        assert self._loop is not None
        self._request, self._sent_at = request, None
        now = self._loop.time()
        due = max(self._heard_at + self._way.silence_s, self._rest_until.get(request.unit, 0.0))
        if due > now:
            self._timer = self._loop.call_at(due, self._send)
        else:
            self._send()

    def abandon(self, request: Request) -> None:
        if request is not self._request or self._loop is None:
            return
        sent_at = self._sent_at
        self._drop()
        if sent_at is None or not self._way.rtu:
            return
        if self._way.is_serial:
            # Its answer carries nothing but the unit: let it pass before the unit is asked again.
            now = self._loop.time()
            self._rest_until[request.unit] = now + LATE_SHARE * (now - sent_at)
        else:
            # How late an answer may be nobody knows; on the next connection it will not come.
            why = "an answer is late, and could not be told from the next"
            self._timer = self._loop.call_soon(self._lose, why)

    def close(self) -> None:
        self._drop()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    # --- what the connection tells -----------------------------------------------------------------

    def made(self, connection: "_Connection") -> None:
        """It is there."""
        if connection is not self._connection:  # given up meanwhile
            connection.abort()
            return
        self._user.opened()

    def lost(self, connection: "_Connection", error: Exception | None) -> None:
        """It is gone, not by us."""
        if connection is not self._connection:
            return
        self._lose(f"connection lost: {self._trouble(error, heard=connection.heard)}")

    def take(self, connection: "_Connection", data: bytes) -> int:
        """Handle the whole frames in what has come; how many bytes they were."""
        assert self._loop is not None
        self._heard_at = self._loop.time()
        used = 0
        while connection is self._connection:
            try:
                length, frame = self._cut(connection, data[used:])
            except DesyncError as error:
                self._lose(f"no Modbus: {error}", desync=True)
                break
            used += length
            if frame:
                self._take_frame(connection, frame)
            if not length:
                break
        return used

    # --- frames ------------------------------------------------------------------------------------

    def _send(self) -> None:
        assert self._loop is not None
        assert self._request is not None
        assert self._connection is not None
        self._timer = None
        self._sent_at = self._loop.time()
        if not self._way.rtu:
            # Never 0: what answers with 0 always is not answering to us.
            self._transaction = self._transaction % 0xFFFF + 1
        self._connection.ask(self._request, self._transaction)

    def _cut(self, connection: "_Connection", data: bytes) -> tuple[int, bytes]:
        """The first frame, as one of Modbus TCP, and how many bytes it took; empty = there is none whole."""
        if not self._way.rtu:
            end = frame_end(data, 0, len(data))
            return end, data[:end]
        used, unit, _, pdu = connection.framer.decode(data)
        return used, connection.stream.encode(pdu, unit, self._transaction) if pdu else b""

    def _take_frame(self, connection: "_Connection", frame: bytes) -> None:
        request = self._request
        if (
            request is None
            or self._sent_at is None
            or transaction_of(frame, 0) != self._transaction
            or (self._way.rtu and frame[6] != request.unit)
        ):
            # Late, after we gave up, or from nowhere: never the answer to what is asked now.
            _log.debug("%s: an answer that nobody waits for", self._way.name)
            return
        self._request = None
        connection.heard, self._told = True, None
        try:
            start = registers_in(request, frame)
        except AnswerError as error:
            if self._way.rtu:
                self._rest_until[request.unit] = self._heard_at + RESYNC_S
            self._user.failed(request, error)
        except DeviceExceptionError as error:
            self._user.failed(request, error)
        else:
            self._user.answered(request, frame, start, len(frame))

    # --- the end of it -----------------------------------------------------------------------------

    def _drop(self) -> None:
        self._request = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lose(self, why: str, *, desync: bool = False) -> None:
        self.close()
        self._user.closed(why, desync=desync)

    def _trouble(self, error: Exception | None, *, heard: bool) -> str:
        """Why there is no connection; aloud, once, if somebody has to look at it here.

        Args:
            error: what was raised; `None` = it was closed in good order.
            heard: an answer had come over it.
        """
        if isinstance(error, ssl.SSLError):
            why = tls_trouble(error)
        elif self._way.is_serial and isinstance(error, ValueError | termios.error):
            why = f"its speed, parity or stop bits are not possible there: {error}"
        else:
            why = "closed by the device" if error is None else str(error) or type(error).__name__
            if not self._way.is_serial and (heard or not self._hung_up(error)):
                return why
            if not self._way.is_serial:
                why += "; so does a device that misses our certificate, or does not accept it"
        _log.log(logging.DEBUG if why == self._told else logging.WARNING, "%s: %s", self._way.name, why)
        self._told = why
        return why

    def _hung_up(self, error: Exception | None) -> bool:
        """It took the connection, and then ended it: some devices do not say what is wrong with TLS."""
        refused = isinstance(error, ConnectionRefusedError)
        return self._way.is_tls and not refused and (error is None or isinstance(error, ConnectionError))


class _Connection(ModbusProtocol):
    """One connection of pymodbus, from its opening to its end."""

    def __init__(self, way: _Way, line: PymodbusLine) -> None:
        super().__init__(way.comm, is_server=False)
        decoder = DecodePDU(is_server=False)
        self.stream = FramerSocket(decoder)
        self.framer = FramerRTU(_few(decoder)) if way.rtu else self.stream
        self.heard = False
        """An answer has come."""
        self._rtu, self._line = way.rtu, line
        self._alive: asyncio.Transport | None = None
        if not way.rtu:
            self.max_buffer_size = 1 << 16  # what is longer is thrown away, wherever frames begin

    def ask(self, request: Request, transaction: int) -> None:
        """Send it."""
        rest = self.recv_buffer
        self.send(self.framer.encode(request.body[_PDU:], request.unit, transaction))
        if not self._rtu:
            self.recv_buffer = rest  # sending forgot what had come of the next frame

    def abort(self) -> None:
        """End it without a word."""
        self.is_closing = True
        alive, self._alive = self._alive, None
        self.transport = None  # type: ignore[assignment]  # so it does itself
        if alive is not None:
            alive.abort()

    def callback_new_connection(self) -> ModbusProtocol:
        return self

    def callback_connected(self) -> None:
        # pymodbus' own serial transport derives from asyncio's, uvloop's does not.
        self._alive = cast("asyncio.Transport", self.transport)
        set_options(self._alive)
        self._line.made(self)

    def callback_disconnected(self, exc: Exception | None) -> None:
        self._alive = None
        self._line.lost(self, exc)

    def callback_data(self, data: bytes, addr: tuple[str, int] | None = None) -> int:
        del addr
        return self._line.take(self, data)


def _comm(kind: CommType, host: str, port: int) -> CommParams:
    """Without time-outs and reconnects of its own: both are the link's."""
    return CommParams(comm_type=kind, host=host, port=port, reconnect_delay=0.0)


def _few(decoder: DecodePDU) -> DecodePDU:
    """Let it know no answers but those to what is asked: it looks for them in noise."""
    for answer in (
        registers.ReadHoldingRegistersResponse,
        registers.ReadInputRegistersResponse,
        registers.WriteSingleRegisterResponse,
        registers.WriteMultipleRegistersResponse,
    ):
        decoder.register(answer)
    decoder.pdu_table = {code: decoder.pdu_table[code] for code in (3, 4, 6, 16)}
    return decoder
