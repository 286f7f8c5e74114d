"""Whatever bytes arrive, the codec neither crashes nor takes a value that was not answered."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import DesyncError
from drivers.modbus.codec import decode_words, encode_value
from drivers.modbus.errors import AnswerError, DeviceExceptionError
from drivers.modbus.frames import (
    check_read_answer,
    check_write_answer,
    frame_end,
    transaction_of,
    write_request,
)
from drivers.profile import RegisterPoint, WordOrder, WordType

UNIT, FUNCTION, COUNT = 1, 3, 2


def taken(frame: bytes) -> bytes | None:
    """The registers that a reader takes from these bytes, if any."""
    try:
        end = frame_end(frame, 0, len(frame))
        if end == 0 or transaction_of(frame, 0) != 7:
            return None
        start = check_read_answer(frame, 0, end, UNIT, FUNCTION, COUNT)
    except (DesyncError, AnswerError, DeviceExceptionError):
        return None
    return frame[start:end]


@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    registers = taken(data)
    if registers is not None:
        assert data[:13] == struct.pack(">HHHBBB", 7, 0, 7, UNIT, FUNCTION, 4) + registers


@given(st.binary(min_size=4, max_size=4), st.integers(0, 8), st.integers(0, 255))
def test_one_wrong_byte_in_the_head_of_a_good_answer_is_enough(
    registers: bytes, index: int, wrong: int
) -> None:
    good = bytearray(struct.pack(">HHHBBB", 7, 0, 7, UNIT, FUNCTION, 4) + registers)
    assert taken(bytes(good)) == registers
    changed = good[index] != wrong
    good[index] = wrong
    assert (taken(bytes(good)) is None) == changed


@given(st.binary(max_size=300))
def test_random_bytes_never_acknowledge_a_write(data: bytes) -> None:
    request = write_request(7, UNIT, 16, (1, 2))
    try:
        end = frame_end(data, 0, len(data))
        if end == 0 or transaction_of(data, 0) != 7:
            return
        check_write_answer(data, 0, end, UNIT, request)
    except (DesyncError, AnswerError, DeviceExceptionError):
        return
    assert data[:12] == struct.pack(">HHHBBHH", 7, 0, 6, UNIT, 16, 16, 2)


@given(st.sampled_from(WordType), st.sampled_from(WordOrder), st.data())
def test_any_words_decode_to_a_number_or_to_nothing(
    kind: WordType, order: WordOrder, data: st.DataObject
) -> None:
    where = RegisterPoint("power", 0, kind, 3, order, 10.0, 0)
    words = data.draw(st.tuples(*[st.integers(0, 0xFFFF)] * kind.words))
    value = decode_words(where, words)
    assert value is None or math.isfinite(value)


@given(st.sampled_from(WordType), st.sampled_from(WordOrder), st.floats(allow_nan=True, allow_infinity=True))
def test_what_can_be_said_is_read_back_and_the_rest_is_refused(
    kind: WordType, order: WordOrder, value: float
) -> None:
    where = RegisterPoint("power", 0, kind, 3, order)
    try:
        words = encode_value(where, value)
    except ValueError:
        return
    decoded = decode_words(where, words)
    assert decoded is not None
    tolerance = 1e-38 if kind is WordType.F32 else 0 if kind is WordType.F64 else 0.5
    assert decoded == pytest.approx(value, rel=1e-6, abs=tolerance)
