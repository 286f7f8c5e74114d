"""The registers of all devices of one profile, kept as the bytes that go out on the wire."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.modbus.codec import encode_raw, encode_text, encode_value
from drivers.profile import ModbusMap, Profile, RegisterCommand, RegisterPoint, TextPoint, WordOrder, WordType
from drivers.quantity import Quantity
from sim_devices.instruments import Instrument, Reader, Values
from sim_devices.modbus.frames import ExceptionCode, ModbusRefusal

READ_FUNCTIONS = (3, 4)
MAX_READ = 125
_FLOATS = {WordType.F32: ">f4", WordType.F64: ">f8"}

Bits = NDArray[np.unsignedinteger]
"""Raw values, big-endian."""


class _Segment(NamedTuple):
    """The registers that one function reads: a part of each row."""

    first: int
    last: int
    """One beyond the last address that can be read."""
    offset: int
    """Where it starts in a row, bytes."""

    def place(self, address: int) -> int:
        """Where an address is in a row, bytes."""
        return self.offset + 2 * (address - self.first)


class Image:
    """One row of bytes for each device. Holes within the map read as 0, as in most devices.

    Args:
        profile: the register map.
        instrument: what is shown in it.
        texts: what the text registers of every device say, by name.

    Raises:
        TypeError: the profile has no registers.
    """

    def __init__(
        self, profile: Profile, instrument: Instrument, texts: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        if not isinstance(profile.map, ModbusMap):
            raise TypeError(f"{profile.name} is no Modbus profile")
        self.map = profile.map
        self.instrument = instrument
        self.stale = True
        """What is shown has changed: `refresh` before reading."""
        command = profile.setpoint.command if profile.setpoint else None
        self.command = command if isinstance(command, RegisterCommand) else None
        self._segments: dict[int, _Segment] = {}
        width = 0
        for function in READ_FUNCTIONS:
            segment = _segment(self.map, function, width)
            if segment is not None:
                self._segments[function] = segment
                width += 2 * (segment.last - segment.first)
        self.width = width
        """Bytes of a row."""
        self.blob = bytearray(width * instrument.count)
        """The rows, one after another."""
        self._matrix = np.frombuffer(self.blob, dtype=np.uint8).reshape(instrument.count, width)
        self._points = {point.name: point for point in self.map.points}
        self.starts = {point.address: point for point in self.map.points}
        """The points by their addresses."""
        self._columns = [
            (point, reader)
            for point in sorted(self.map.points, key=lambda point: len(point.others))
            if (reader := instrument.readers.get(point.name)) is not None
        ]
        self._depended = {name for point in self.map.points for name in point.others}
        for text in self.map.texts:
            self._write_text(text, texts.get(text.name, ""))

    def span(self, function: int, address: int, count: int) -> tuple[int, int]:
        """Where the bytes of these registers begin and end in a row.

        Raises:
            ModbusRefusal: too many registers, outside the map, or across a barrier.
        """
        if not 1 <= count <= MAX_READ:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        segment = self._segments.get(function)
        if segment is None:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_FUNCTION)
        end, rules = address + count, self.map.reads
        if address % rules.start_multiple or count % rules.length_multiple or count > rules.max_span:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_VALUE)
        if address < segment.first or end > segment.last:
            raise ModbusRefusal(ExceptionCode.ILLEGAL_ADDRESS)
        if any(address < barrier < end for barrier in rules.barriers):
            raise ModbusRefusal(ExceptionCode.ILLEGAL_ADDRESS)
        return segment.place(address), segment.place(end)

    def refresh(self) -> None:
        """Bring every row up to date.

        Raises:
            ValueError: a point cannot say its value: out of range, not finite, the same as its
                sentinel, or not available without a way to say so. It never wraps around.
        """
        self._fill(slice(None))
        self.stale = False

    def refresh_row(self, row: int) -> None:
        """Bring one row up to date, after a write to it."""
        if not self.stale:
            self._fill(slice(row, row + 1))

    def row(self, row: int) -> bytearray:
        """A copy of a row as it is now."""
        if self.stale:
            self.refresh()
        return self.blob[row * self.width : (row + 1) * self.width]

    def absences(self) -> list[tuple[int, bytes]]:
        """Where in a row what stands that says "not available", for every point that can say so."""
        return [
            (self._place(point), _bytes(encode_value(point, None)))
            for point in self.map.points
            if point.name != Quantity.SETPOINT and (point.sentinel is not None or point.type in _FLOATS)
        ]

    def setpoint(self, watts: float | None) -> tuple[int, bytes] | None:
        """Where in a row what stands for a set-point; `None` = this profile shows none."""
        point = self._points.get(Quantity.SETPOINT)
        if point is None or self.command is None:
            return None
        if watts is None:
            words = encode_raw(point, self.command.no_limit_value)
        elif watts == 0:
            words = encode_raw(point, self.command.sleep_value)
        else:
            words = encode_value(point, watts)
        return self._place(point), _bytes(words)

    def _place(self, point: RegisterPoint | TextPoint) -> int:
        return self._segments[point.function].place(point.address)

    def _write_text(self, text: TextPoint, shown: str) -> None:
        raw = _bytes(encode_text(text, shown))
        place = self._place(text)
        self._matrix[:, place : place + len(raw)] = np.frombuffer(raw, dtype=np.uint8)

    def _fill(self, rows: slice) -> None:
        shown: dict[str, Values] = {}
        for point, reader in self._columns:
            bits = self._bits(point, reader, rows, shown)
            place, size = self._place(point), 2 * point.type.words
            parts = bits.view(np.uint8).reshape(len(bits), point.type.words, 2)
            if point.word_order is WordOrder.LITTLE:
                parts = parts[:, ::-1]
            self._matrix[rows, place : place + size] = parts.reshape(len(bits), size)
            if point.name in self._depended:
                shown[point.name] = _shown(point, bits)

    def _bits(self, point: RegisterPoint, reader: Reader, rows: slice, shown: Mapping[str, Values]) -> Bits:
        values = reader(rows)
        if point.name == Quantity.SETPOINT and self.command is not None:
            limited = values > 0
            bits = _packed(point, np.where(limited, values, point.scale))
            special = np.where(np.isnan(values), self.command.no_limit_value, self.command.sleep_value)
            return np.where(limited, bits, special.astype(bits.dtype)).astype(bits.dtype)
        if point.others:
            nothing = np.zeros(len(values))
            factor = np.ones(len(values))
            if point.times is not None:
                factor = factor * shown.get(point.times, nothing)
            if point.exponent is not None:
                factor = factor * 10.0 ** shown.get(point.exponent, nothing)
            if point.plus is not None:
                values = values - shown.get(point.plus, nothing)
            values = np.divide(values, factor, out=np.full(len(values), np.nan), where=factor != 0)
        return _packed(point, values)


def _segment(shown: ModbusMap, function: int, offset: int) -> _Segment | None:
    spans = [
        (point.address, point.address + point.type.words)
        for point in shown.points
        if point.function == function
    ]
    spans += [(text.address, text.address + text.words) for text in shown.texts if text.function == function]
    if not spans:
        return None
    # Whoever must read in multiples reads a little more than there is.
    first = min(start for start, _ in spans) - shown.reads.start_multiple + 1
    last = max(stop for _, stop in spans) + shown.reads.length_multiple - 1
    return _Segment(first, last, offset)


def _packed(point: RegisterPoint, values: Values) -> Bits:
    """The raw values, rounded to the nearest step; NaN = not available."""
    size = 2 * point.type.words
    absent = np.isnan(values)
    any_absent = bool(absent.any())
    numbers = values / point.scale
    bits: Bits
    if point.type in _FLOATS:
        with np.errstate(over="ignore"):
            floats = numbers.astype(_FLOATS[point.type])
        if np.isinf(floats).any():
            raise ValueError(f"{point.name}: {values} do not fit into {point.type}")
        bits = floats.view(f">u{size}")
    else:
        if any_absent:
            numbers = np.where(absent, 0.0, numbers)
        kind = np.dtype(f"{'i' if point.type.startswith('s') else 'u'}{size}")
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
    elif any_absent and point.type not in _FLOATS:
        raise ValueError(f"{point.name}: {point.type} without a sentinel cannot say 'not available'")
    return bits


def _shown(point: RegisterPoint, bits: Bits) -> Values:
    """What raw values say, as whoever reads them sees it."""
    kind = {"f": "f", "s": "i", "u": "u"}[point.type[0]]
    values: Values = bits.view(f">{kind}{bits.dtype.itemsize}").astype(np.float64) * point.scale
    if point.sentinel is not None:
        values[bits == point.sentinel] = np.nan
    return values


def _bytes(words: tuple[int, ...]) -> bytes:
    return b"".join(word.to_bytes(2, "big") for word in words)
