"""Values in 16-bit registers: pure, and the same for the driver and for a simulated device."""

import math
import struct
from collections.abc import Mapping, Sequence

from drivers.profile import RegisterPoint, TextPoint, WordOrder, WordType

MOST_POWER = 10
"""A larger power of ten, or a broken one, is no scale factor (SunSpec allows -10 to 10)."""

_CODES = {
    WordType.U16: "H",
    WordType.S16: "h",
    WordType.U32: "I",
    WordType.S32: "i",
    WordType.U64: "Q",
    WordType.S64: "q",
    WordType.F32: "f",
    WordType.F64: "d",
}
_VALUE = {kind: struct.Struct(f">{code}") for kind, code in _CODES.items()}
_WORDS = {count: struct.Struct(f">{count}H") for count in (1, 2, 4)}
_FLOATS = frozenset({WordType.F32, WordType.F64})


def struct_code(kind: WordType) -> str:
    """The `struct` code of a big-endian value of that type."""
    return _CODES[kind]


def decode_words(point: RegisterPoint, words: Sequence[int]) -> float | None:
    """The value in the quantity's unit; `None` = the device says "not available".

    A NaN or an infinity is "not available" whether or not the profile names a sentinel.

    Args:
        point: where the words come from.
        words: exactly the point's registers, in wire order, each 0–65535.

    Raises:
        ValueError: not as many words as the point has, or a word out of range.
    """
    if len(words) != point.type.words:
        raise ValueError(f"{point.name}: {point.type} has {point.type.words} words, not {len(words)}")
    ordered = words if point.word_order is WordOrder.BIG else tuple(reversed(words))
    try:
        raw = _WORDS[len(words)].pack(*ordered)
    except struct.error as error:
        raise ValueError(f"{point.name}: {error}") from None
    if point.sentinel is not None and int.from_bytes(raw, "big") == point.sentinel:
        return None
    (value,) = _VALUE[point.type].unpack(raw)
    scaled = float(value * point.scale)
    return scaled if math.isfinite(scaled) else None


def combined(point: RegisterPoint, value: float | None, values: Mapping[str, float | None]) -> float | None:
    """A point's value after the points that it depends on; without one of them it is not available."""
    if value is None:
        return None
    factor = factor_of(point, values)
    addend = 0.0 if point.plus is None else values[point.plus]
    if factor is None or addend is None:
        return None
    whole: float = value * factor + addend
    return whole if math.isfinite(whole) else None


def factor_of(point: RegisterPoint, values: Mapping[str, float | None]) -> float | None:
    """What other points multiply a point's value by."""
    times = 1.0 if point.times is None else values[point.times]
    power = 0.0 if point.exponent is None else values[point.exponent]
    if times is None or power is None or abs(power) > MOST_POWER or power % 1:
        return None
    factor: float = times * 10.0**power
    return factor


def encode_value(point: RegisterPoint, value: float | None) -> tuple[int, ...]:
    """The registers of a value, in wire order; `None` = "not available" (sentinel, NaN).

    Integers are rounded to the nearest raw step.

    Raises:
        ValueError: the point cannot say this: out of range, not finite, the same as its sentinel,
            or `None` without a way to say so. It never wraps around.
    """
    raw = _absent(point) if value is None else _raw_bytes(point, value)
    words = _WORDS[point.type.words].unpack(raw)
    return words if point.word_order is WordOrder.BIG else tuple(reversed(words))


def encode_raw(point: RegisterPoint, raw: int) -> tuple[int, ...]:
    """The registers of a raw integer as it stands in the profile (`sleep_value`, `no_limit_value`).

    Raises:
        ValueError: it does not fit.
    """
    try:
        packed = raw.to_bytes(2 * point.type.words, "big")
    except OverflowError:
        raise ValueError(f"{point.name}: raw value {raw} does not fit into {point.type}") from None
    words = _WORDS[point.type.words].unpack(packed)
    return words if point.word_order is WordOrder.BIG else tuple(reversed(words))


def decode_text(words: Sequence[int]) -> str | None:
    """The characters of text registers, without what fills them up; `None` = there is none."""
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    text = raw.split(b"\0", 1)[0].decode("ascii", errors="replace").strip()
    return text if text and not set(raw) <= {0xFF} else None


def encode_text(point: TextPoint, text: str) -> tuple[int, ...]:
    """The registers of a text, filled up with zeros.

    Raises:
        ValueError: it is too long, or not ASCII.
    """
    raw = text.encode("ascii")
    if len(raw) > 2 * point.words:
        raise ValueError(f"{point.name}: {text!r} does not fit into {point.words} registers")
    return struct.unpack(f">{point.words}H", raw.ljust(2 * point.words, b"\0"))


def _absent(point: RegisterPoint) -> bytes:
    if point.sentinel is not None:
        return point.sentinel.to_bytes(2 * point.type.words, "big")
    if point.type in _FLOATS:
        return _VALUE[point.type].pack(math.nan)
    raise ValueError(f"{point.name}: {point.type} without a sentinel cannot say 'not available'")


def _raw_bytes(point: RegisterPoint, value: float) -> bytes:
    if not math.isfinite(value):
        raise ValueError(f"{point.name}: {value} is not a value; None says 'not available'")
    number = value / point.scale
    try:
        raw = _VALUE[point.type].pack(number if point.type in _FLOATS else round(number))
    except (struct.error, OverflowError):
        raise ValueError(f"{point.name}: {value} does not fit into {point.type}") from None
    if point.sentinel is not None and int.from_bytes(raw, "big") == point.sentinel:
        raise ValueError(f"{point.name}: {value} would read as 'not available'")
    return raw
