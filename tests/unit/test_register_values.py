"""Values in registers: word order, sentinels, and what a point refuses to say."""

import math

import pytest

from drivers.modbus.codec import decode_words, encode_raw, encode_value
from drivers.profile import RegisterPoint, WordOrder, WordType


def point(kind: str, *, order: str = "big", scale: float = 1.0, sentinel: int | None = None) -> RegisterPoint:
    return RegisterPoint("power", 0, WordType(kind), 3, WordOrder(order), scale, sentinel)


@pytest.mark.parametrize(
    ("kind", "order", "words", "value"),
    [
        ("u16", "big", (0xFFFF,), 65535.0),
        ("s16", "big", (0xFFFF,), -1.0),
        ("u32", "big", (0x0001, 0x0002), 65538.0),
        ("u32", "little", (0x0002, 0x0001), 65538.0),
        ("s32", "big", (0xFFFF, 0xFFFE), -2.0),
        ("s32", "little", (0xFFFE, 0xFFFF), -2.0),
        ("u64", "big", (0, 0, 1, 0), 65536.0),
        ("u64", "little", (0, 1, 0, 0), 65536.0),
        ("s64", "big", (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF), -1.0),
        ("f32", "big", (0x3FC0, 0x0000), 1.5),
        ("f32", "little", (0x0000, 0x3FC0), 1.5),
        ("f64", "big", (0x3FF8, 0, 0, 0), 1.5),
    ],
)
def test_decodes_and_encodes(kind: str, order: str, words: tuple[int, ...], value: float) -> None:
    assert decode_words(point(kind, order=order), words) == value
    assert encode_value(point(kind, order=order), value) == words


@pytest.mark.parametrize(
    ("kind", "sentinel", "words"),
    [
        ("u16", 0xFFFF, (0xFFFF,)),
        ("s16", 0x8000, (0x8000,)),
        ("s32", 0x80000000, (0x8000, 0)),
        ("f32", None, (0x7FC0, 0)),
        ("f32", None, (0xFFC0, 0)),
        ("f32", None, (0x7F80, 0)),
        ("f64", None, (0xFFF0, 0, 0, 0)),
    ],
)
def test_not_available_is_absent_never_zero_or_huge(
    kind: str, sentinel: int | None, words: tuple[int, ...]
) -> None:
    assert decode_words(point(kind, sentinel=sentinel), words) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("u16", 65536),
        ("u16", -1),
        ("s16", 32768),
        ("u32", 2**32),
        ("f32", 1e39),
        ("u16", math.nan),
        ("f64", math.inf),
    ],
)
def test_never_wraps_around(kind: str, value: float) -> None:
    with pytest.raises(ValueError):
        encode_value(point(kind), value)


def test_a_value_never_disguises_itself_as_absent() -> None:
    with pytest.raises(ValueError, match="not available"):
        encode_value(point("u16", sentinel=0xFFFF), 65535)


@pytest.mark.parametrize("words", [(), (1,), (1, 2, 3), (1, 65536), (-1, 0)])
def test_torn_or_impossible_words_are_refused(words: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        decode_words(point("u32"), words)


def test_a_raw_value_of_the_profile_goes_out_as_it_stands() -> None:
    assert encode_raw(point("u32"), 0xFFFFFFFF) == (0xFFFF, 0xFFFF)
    assert encode_raw(point("u32", order="little"), 1) == (1, 0)
    with pytest.raises(ValueError):
        encode_raw(point("u16"), 0x10000)
