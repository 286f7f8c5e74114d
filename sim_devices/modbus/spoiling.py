"""Wrong answers."""

from typing import assert_never

from sim_devices.faults import AnswerFault
from sim_devices.modbus.frames import Request, frame


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
