"""Modbus TCP frames as a server sees them (Modbus Messaging on TCP/IP V1.0b, chapter 3)."""

import struct
from dataclasses import dataclass
from enum import IntEnum

HEADER = struct.Struct(">HHHB")
MAX_LENGTH = 254
"""Unit identifier and PDU: 1 + 253 bytes."""


class ExceptionCode(IntEnum):
    """Why a server refuses."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    TARGET_SILENT = 0x0B
    """A gateway knows no such unit."""


class ModbusRefusal(Exception):  # noqa: N818 - not an error of ours: the answer that the client gets
    """The request is answered with an exception."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class NotModbusError(Exception):
    """What arrived is no Modbus TCP: the connection must be closed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `pdu` starts with the function code."""

    transaction: int
    unit: int
    pdu: bytes

    @property
    def function(self) -> int:
        """Function code."""
        return self.pdu[0]


def take_request(buffer: bytearray) -> Request | None:
    """Take the first whole request off the buffer; `None` = more bytes are needed.

    Raises:
        NotModbusError: the header is none.
    """
    if len(buffer) < HEADER.size:
        return None
    transaction, protocol, length, unit = HEADER.unpack_from(buffer)
    if protocol != 0 or not 2 <= length <= MAX_LENGTH:
        raise NotModbusError(f"protocol {protocol}, length {length}")
    end = HEADER.size - 1 + length
    if len(buffer) < end:
        return None
    pdu = bytes(buffer[HEADER.size : end])
    del buffer[:end]
    return Request(transaction, unit, pdu)


def frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """An answer on the wire."""
    return HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu


def refusal(function: int, code: int) -> bytes:
    """The PDU of an exception answer."""
    return bytes((function | 0x80, code))


def registers(function: int, words: tuple[int, ...]) -> bytes:
    """The PDU of an answer to a read."""
    return struct.pack(f">BB{len(words)}H", function, 2 * len(words), *words)
