"""Frames: what goes out byte by byte, and every wrong answer refused."""

import struct

import pytest

from drivers.errors import DesyncError
from drivers.modbus.errors import AnswerError, DeviceExceptionError
from drivers.modbus.frames import (
    check_read_answer,
    check_write_answer,
    frame_end,
    read_request,
    transaction_of,
    write_request,
)


def answer(*data: int, transaction: int = 7, protocol: int = 0, unit: int = 1, function: int = 3) -> bytes:
    return struct.pack(">HHHBB", transaction, protocol, 2 + len(data), unit, function) + bytes(data)


def test_requests_byte_by_byte() -> None:
    assert read_request(0x1234, 1, 3, 0x6B, 3).hex(" ") == "12 34 00 00 00 06 01 03 00 6b 00 03"
    assert write_request(1, 17, 1, (3,)).hex(" ") == "00 01 00 00 00 06 11 06 00 01 00 03"
    assert write_request(2, 17, 1, (10, 258)).hex(" ") == "00 02 00 00 00 0b 11 10 00 01 00 02 04 00 0a 01 02"


def test_a_frame_in_pieces_is_waited_for() -> None:
    frame = answer(4, 0, 1, 0, 2)
    for length in range(len(frame)):
        assert frame_end(frame, 0, length) == 0
    assert frame_end(frame + frame, 0, 2 * len(frame)) == len(frame)
    assert frame_end(frame + frame, len(frame), 2 * len(frame)) == 2 * len(frame)
    assert transaction_of(frame, 0) == 7


@pytest.mark.parametrize(
    "head", [(7, 1, 6), (7, 0, 0), (7, 0, 2), (7, 0, 255), (7, 0, 65535), (7, 0x4854, 6)]
)
def test_what_is_no_frame_ends_the_connection(head: tuple[int, int, int]) -> None:
    with pytest.raises(DesyncError):
        frame_end(struct.pack(">HHH", *head) + bytes(20), 0, 26)


def test_a_good_answer() -> None:
    frame = answer(4, 0, 1, 0, 2)
    assert check_read_answer(frame, 0, len(frame), 1, 3, 2) == 9


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(answer(2, 0, 1), id="fewer registers than asked"),
        pytest.param(answer(6, 0, 1, 0, 2, 0, 3), id="more registers than asked"),
        pytest.param(answer(4, 0, 1, 0, 2, function=4), id="another function code"),
        pytest.param(answer(4, 0, 1, 0, 2, function=0x2B), id="unknown function code"),
        pytest.param(answer(4, 0, 1, 0, 2, unit=2), id="wrong unit"),
        pytest.param(answer(5, 0, 1, 0, 2), id="byte count that lies"),
        pytest.param(answer(4, 0, 1, 0), id="byte count beyond the frame"),
        pytest.param(answer(4, 0, 1, 0, 2, 0, 0), id="bytes after the registers"),
        pytest.param(answer(0), id="no registers at all"),
        pytest.param(answer(2, 0, function=0x83), id="exception that is too long"),
        pytest.param(answer(2, function=0x84), id="exception to another function"),
    ],
)
def test_no_answer_to_the_request_is_refused(frame: bytes) -> None:
    with pytest.raises(AnswerError):
        check_read_answer(frame, 0, len(frame), 1, 3, 2)


@pytest.mark.parametrize(
    ("code", "permanent", "busy", "off_line"),
    [
        (1, True, False, False),
        (2, True, False, False),
        (3, True, False, False),
        (4, False, False, False),
        (5, False, True, False),
        (6, False, True, False),
        (0x0A, False, False, True),
        (0x0B, False, False, True),
    ],
)
def test_an_exception_says_what_to_do(code: int, permanent: bool, busy: bool, off_line: bool) -> None:  # noqa: FBT001  a table's columns
    frame = answer(code, function=0x83)
    with pytest.raises(DeviceExceptionError) as caught:
        check_read_answer(frame, 0, len(frame), 1, 3, 2)
    error = caught.value
    assert (error.code, error.permanent, error.busy, error.off_line) == (code, permanent, busy, off_line)


def test_a_write_is_acknowledged_only_by_its_own_echo() -> None:
    one, many = write_request(7, 1, 16, (42,)), write_request(7, 1, 16, (1, 2))
    check_write_answer(one, 0, len(one), 1, one)
    good = answer(0, 16, 0, 2, function=16)
    check_write_answer(good, 0, len(good), 1, many)
    for wrong in (
        answer(0, 17, 0, 2, function=16),
        answer(0, 16, 0, 1, function=16),
        answer(0, 16, 0, 2, function=6),
        answer(0, 16, 0, 2, 0, function=16),
        answer(0, 16, 0, 2, unit=2, function=16),
    ):
        with pytest.raises(AnswerError):
            check_write_answer(wrong, 0, len(wrong), 1, many)
    refused = answer(3, function=0x90)
    with pytest.raises(DeviceExceptionError):
        check_write_answer(refused, 0, len(refused), 1, many)
