"""Modbus TCP frames: requests out, answers in, every field of them checked. Pure.

A frame is: transaction (2), protocol 0 (2), length of what follows (2), unit (1), function (1), data.
"""

import struct

from drivers.errors import DesyncError
from drivers.modbus.errors import AnswerError, DeviceExceptionError

HEADER = 6
"""Bytes up to and with the length."""
MAX_FRAME = 260
"""Bytes of the longest frame."""
WRITE_ONE = 6
WRITE_MANY = 16
_READ = struct.Struct(">HHHBBHH")
_WRITE = struct.Struct(">HHHBBHHB")
_START = struct.Struct(">HHH")
_ECHO = struct.Struct(">HH")
_EXCEPTION_BIT = 0x80

Buffer = bytearray | memoryview | bytes


def read_request(transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
    """Ask for `count` registers."""
    return _READ.pack(transaction, 0, 6, unit, function, address, count)


def write_request(transaction: int, unit: int, address: int, words: tuple[int, ...]) -> bytes:
    """Write registers: function 6 for one, 16 for more."""
    if len(words) == 1:
        return _READ.pack(transaction, 0, 6, unit, WRITE_ONE, address, words[0])
    count = len(words)
    head = _WRITE.pack(transaction, 0, 7 + 2 * count, unit, WRITE_MANY, address, count, 2 * count)
    return head + struct.pack(f">{count}H", *words)


def frame_end(buffer: Buffer, start: int, end: int) -> int:
    """Where the frame that begins at `start` ends; 0 if not all of it is there yet.

    Raises:
        DesyncError: this is no frame, and where the next one begins nobody knows.
    """
    if end - start < HEADER:
        return 0
    _, protocol, length = _START.unpack_from(buffer, start)
    if protocol != 0:
        raise DesyncError(f"protocol id {protocol}, not 0")
    if not 3 <= length <= MAX_FRAME - HEADER:
        raise DesyncError(f"a frame of {length} bytes")
    stop: int = start + HEADER + length
    return stop if stop <= end else 0


def transaction_of(buffer: Buffer, start: int) -> int:
    """The transaction id of the frame that begins at `start`."""
    return buffer[start] << 8 | buffer[start + 1]


def check_read_answer(buffer: Buffer, start: int, end: int, unit: int, function: int, count: int) -> int:
    """Where the registers begin (they end at `end`) in a whole frame that answers a read.

    Raises:
        AnswerError: it is no answer to that request.
        DeviceExceptionError: the device said no.
    """
    _check_head(buffer, start, end, unit, function)
    if buffer[start + 8] != 2 * count or end - start != 9 + 2 * count:
        raise AnswerError(
            f"{count} registers asked for, byte count {buffer[start + 8]}, {end - start - 9} bytes there"
        )
    return start + 9


def check_write_answer(buffer: Buffer, start: int, end: int, unit: int, request: bytes) -> None:
    """Check a whole frame that answers a write: it must echo what was asked.

    Raises:
        AnswerError: it is no answer to that request.
        DeviceExceptionError: the device said no.
    """
    _check_head(buffer, start, end, unit, request[7])
    if end - start != 12:
        raise AnswerError(f"{end - start} bytes in answer to a write, not 12")
    # Function 6 echoes address and value, 16 address and count: bytes 8 to 11 in either request.
    if bytes(buffer[start + 8 : end]) != request[8:12]:
        where, what = _ECHO.unpack_from(buffer, start + 8)
        raise AnswerError(f"the answer to a write echoes {where} and {what}, which was not asked")


def _check_head(buffer: Buffer, start: int, end: int, unit: int, function: int) -> None:
    if buffer[start + 6] != unit:
        raise AnswerError(f"unit {buffer[start + 6]} answers for unit {unit}")
    answered = buffer[start + 7]
    if answered == function:
        return
    if answered != function | _EXCEPTION_BIT:
        raise AnswerError(f"function {answered} in answer to {function}")
    if end - start != 9:
        raise AnswerError(f"an exception of {end - start} bytes, not 9")
    raise DeviceExceptionError(buffer[start + 8])
