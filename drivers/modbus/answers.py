"""Whether a frame answers a request. Pure."""

from drivers.modbus.frames import check_read_answer, check_write_answer
from drivers.modbus.requests import TRANSACTION, Request


def registers_in(request: Request, frame: bytes) -> int:
    """Where the registers begin in a whole frame; they end with it. Its transaction is not looked at.

    Raises:
        AnswerError: it is no answer to that request.
        DeviceExceptionError: the device said no.
    """
    if request.words:
        check_write_answer(frame, 0, len(frame), request.unit, bytes(TRANSACTION) + request.body)
        return len(frame)
    return check_read_answer(frame, 0, len(frame), request.unit, request.function, request.count)
