"""One point of many devices, in its place in their registers."""

from collections.abc import Mapping
from math import inf

import numpy as np
from numpy.typing import NDArray

from drivers.profile import RegisterPoint, WordOrder, WordType
from sim_devices.instruments import Reader, Values

FLOATS = {WordType.F32: ">f4", WordType.F64: ">f8"}

Bits = NDArray[np.unsignedinteger]
"""Raw values, big-endian."""
Matrix = NDArray[np.uint8]
"""A row of bytes for each device."""
_ALL = slice(None)


class Column:
    """Shows a point of every device.

    Args:
        point: which.
        reader: its values.
        matrix: the registers.
        place: of its first byte in a row.
        shown: whether other points depend on what it shows.
    """

    def __init__(
        self, point: RegisterPoint, reader: Reader, matrix: Matrix, place: int, *, shown: bool
    ) -> None:
        self.name = point.name
        self._point = point
        self._read = reader
        self._is_shown = shown
        self._sleep: int | None = None
        self._no_limit: int | None = None
        count, width = matrix.shape
        size = 2 * point.type.words
        self._bytes = matrix[:, place : place + size]
        kind = np.dtype(f">{_letter(point)}{size}")
        self._values = np.ndarray((count,), dtype=kind, buffer=matrix, offset=place, strides=(width,))
        self._plain = (
            point.type not in FLOATS and point.word_order is WordOrder.BIG and not point.others and not shown
        )
        """Integers that are written as they come."""
        self._alone = not point.others and not shown
        """No other point depends on it, and it depends on none."""
        self._written = b""
        """The values that stand in all rows; empty = not known."""
        self._least, self._most = _limits(point)

    def special(self, *, sleep: int, no_limit: int) -> None:
        """The point is a set-point: 0 and "no limit" have raw values of their own."""
        self._sleep, self._no_limit = sleep, no_limit

    def fill(self, rows: slice, shown: dict[str, Values]) -> None:
        """Write the values of some rows.

        Args:
            rows: which.
            shown: what other points show; this one adds itself if any depend on it.

        Raises:
            ValueError: see `packed`.
        """
        values = self._read(rows)
        # Most points hardly ever change. Those that others depend on have to be shown to them.
        now = values.tobytes() if self._alone and rows == _ALL else b""
        if now and now == self._written:
            return
        self._written = b""
        self._fill(rows, values, shown)
        self._written = now

    def _fill(self, rows: slice, values: Values, shown: dict[str, Values]) -> None:
        if self._no_limit is not None and self._sleep is not None:
            bits = _setpoints(self._point, values, self._sleep, self._no_limit)
        elif self._plain:
            raw = np.rint(values if self._point.scale == 1.0 else values / self._point.scale)
            # A NaN is in no range.
            if np.count_nonzero((raw >= self._least) & (raw <= self._most)) == len(raw):
                self._values[rows] = raw
                return
            bits = packed(self._point, values)
        else:
            bits = packed(self._point, _apart(self._point, values, shown))
        parts = bits.view(np.uint8).reshape(len(bits), self._point.type.words, 2)
        if self._point.word_order is WordOrder.LITTLE:
            parts = parts[:, ::-1]
        self._bytes[rows] = parts.reshape(len(bits), -1)
        if self._is_shown:
            shown[self.name] = _shown(self._point, bits)


def _letter(point: RegisterPoint) -> str:
    return {"f": "f", "s": "i", "u": "u"}[point.type[0]]


def _limits(point: RegisterPoint) -> tuple[float, float]:
    """Raw numbers between which nothing needs a second look."""
    if point.type in FLOATS:
        return inf, -inf
    size = 2 * point.type.words
    limits = np.iinfo(f"{_letter(point)}{size}")
    # As a float the greatest 64-bit number is one too many.
    least, most = float(limits.min), float(limits.max) if size < 8 else 2.0**53
    if point.sentinel is not None:
        sentinel = int.from_bytes(point.sentinel.to_bytes(size, "big"), "big", signed=limits.min < 0)
        if sentinel > 0:
            most = min(most, float(sentinel) - 1)
        else:
            least = max(least, float(sentinel) + 1)
    return least, most


def _setpoints(point: RegisterPoint, values: Values, sleep: int, no_limit: int) -> Bits:
    limited = values > 0
    if not limited.any():
        bits: Bits = np.empty(len(values), dtype=f">u{2 * point.type.words}")
        bits[:] = no_limit
        bits[values == 0] = sleep
        return bits
    bits = packed(point, np.where(limited, values, point.scale))
    bits[np.isnan(values)] = no_limit
    bits[values == 0] = sleep
    return bits


def _apart(point: RegisterPoint, values: Values, shown: Mapping[str, Values]) -> Values:
    """What is left to show when other points have shown their part."""
    if not point.others:
        return values
    nothing = np.zeros(len(values))
    factor = np.ones(len(values))
    if point.times is not None:
        factor = factor * shown.get(point.times, nothing)
    if point.exponent is not None:
        factor = factor * 10.0 ** shown.get(point.exponent, nothing)
    if point.plus is not None:
        values = values - shown.get(point.plus, nothing)
    left = np.full(len(values), np.nan)
    np.divide(values, factor, out=left, where=factor != 0)
    return left


def packed(point: RegisterPoint, values: Values) -> Bits:
    """The raw values, rounded to the nearest step; NaN = not available."""
    size = 2 * point.type.words
    absent = np.isnan(values)
    any_absent = bool(absent.any())
    numbers = values / point.scale
    bits: Bits
    if point.type in FLOATS:
        with np.errstate(over="ignore"):
            floats = numbers.astype(FLOATS[point.type])
        if np.isinf(floats).any():
            raise ValueError(f"{point.name}: {values} do not fit into {point.type}")
        bits = floats.view(f">u{size}")
    else:
        if any_absent:
            numbers = np.where(absent, 0.0, numbers)
        kind = np.dtype(f"{_letter(point)}{size}")
        least, most = float(np.iinfo(kind).min), float(np.iinfo(kind).max)
        raw = np.rint(numbers)
        # As a float the greatest 64-bit number is one too many.
        if len(raw) and not (least <= raw.min() and (raw.max() < most if size == 8 else raw.max() <= most)):
            raise ValueError(f"{point.name}: {values} do not fit into {point.type}")
        bits = raw.astype(kind).astype(kind.newbyteorder(">")).view(f">u{size}")
    if point.sentinel is not None:
        if ((bits == point.sentinel) & ~absent).any():
            raise ValueError(f"{point.name}: a value would read as 'not available'")
        if any_absent:
            bits[absent] = point.sentinel
    elif any_absent and point.type not in FLOATS:
        raise ValueError(f"{point.name}: {point.type} without a sentinel cannot say 'not available'")
    return bits


def _shown(point: RegisterPoint, bits: Bits) -> Values:
    """What raw values say, as whoever reads them sees it."""
    values: Values = bits.view(f">{_letter(point)}{bits.dtype.itemsize}").astype(np.float64) * point.scale
    if point.sentinel is not None:
        values[bits == point.sentinel] = np.nan
    return values
