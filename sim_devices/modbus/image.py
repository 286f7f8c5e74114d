"""The registers of all devices of one profile, kept as the bytes that go out on the wire."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from drivers.modbus.codec import encode_raw, encode_text, encode_value
from drivers.profile import ModbusMap, Profile, RegisterCommand, RegisterPoint, TextPoint
from drivers.quantity import Quantity
from sim_devices.instruments import REVERSION_LIMIT, Instrument, Values
from sim_devices.modbus.column import FLOATS, Column
from sim_devices.modbus.frames import ExceptionCode, ModbusRefusal

READ_FUNCTIONS = (3, 4)
MAX_READ = 125
LIMITS = (Quantity.SETPOINT, REVERSION_LIMIT)
"""Points in which sleep and "no limit" have values of their own."""


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
        depended = {name for point in self.map.points for name in point.others}
        self._columns = [
            Column(point, reader, self._matrix, self._place(point), shown=point.name in depended)
            for point in sorted(self.map.points, key=lambda point: len(point.others))
            if (reader := instrument.readers.get(point.name)) is not None
        ]
        if self.command is not None:
            for column in self._columns:
                if column.name in LIMITS:
                    column.special(sleep=self.command.sleep_value, no_limit=self.command.no_limit_value)
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

    def refresh_row(self, row: int, point: str) -> None:
        """Bring one row up to date, after a write to a point of it.

        A set-point changes nothing else that is shown, not so soon.
        """
        if not self.stale:
            self._fill(slice(row, row + 1), only=point if point == Quantity.SETPOINT else None)

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
            if point.name != Quantity.SETPOINT and (point.sentinel is not None or point.type in FLOATS)
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

    def _fill(self, rows: slice, *, only: str | None = None) -> None:
        shown: dict[str, Values] = {}
        for column in self._columns:
            if only is None or column.name == only:
                column.fill(rows, shown)


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


def _bytes(words: tuple[int, ...]) -> bytes:
    return b"".join(word.to_bytes(2, "big") for word in words)
