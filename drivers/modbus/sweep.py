"""What one sweep over a device reads, and how the registers of many become values; once per profile. Pure."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from drivers.modbus.codec import MOST_POWER, struct_code
from drivers.modbus.planning import Block, plan_reads
from drivers.profile import ModbusMap, RegisterCommand, RegisterPoint, Setpoint, WordOrder
from drivers.quantity import Quantity

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_SURELY_FINITE = 1e250
"""Whole numbers of 64 bits times this are still finite."""
_POWERS = np.array([10.0**power for power in range(-MOST_POWER, MOST_POWER + 1)])


class SweepPlan:
    """The blocks of a profile's quantities, slow or not, and their decoding.

    The registers of all blocks lie one after the other in a row of `size` bytes; block `i` begins at
    `offsets[i]`.

    Args:
        register_map: of the profile.
        setpoint: of the profile.
        slow: whether this is the sweep of the slow points.
    """

    __slots__ = ("_decoded", "_finite", "_points", "blocks", "offsets", "quantities", "size")

    def __init__(self, register_map: ModbusMap, setpoint: Setpoint | None, *, slow: bool = False) -> None:
        wanted = [point for point in register_map.points if point.quantity is not None and point.slow is slow]
        others = {name for point in wanted for name in point.others}
        self._points = wanted + [p for p in register_map.points if p.name in others and p not in wanted]
        self.blocks = plan_reads(self._points, register_map.reads)
        self.offsets = tuple(
            sum(2 * block.length for block in self.blocks[:index]) for index in range(len(self.blocks))
        )
        self.size = sum(2 * block.length for block in self.blocks)
        # The points that are wanted come first in what is decoded.
        self.quantities = tuple(point.quantity for point in wanted if point.quantity is not None)
        self._decoded = tuple(_Column(point, self._place(point), setpoint) for point in self._points)
        # Then no point depends on others either.
        self._finite = all(column.finite for column in self._decoded)

    def _block(self, point: RegisterPoint) -> int:
        return next(index for index, block in enumerate(self.blocks) if block.holds(point))

    def _place(self, point: RegisterPoint) -> int:
        index = self._block(point)
        return self.offsets[index] + 2 * (point.address - self.blocks[index].address)

    def located(self, register_map: ModbusMap) -> tuple[Block, ...]:
        """The blocks where a device says that its points are; they are as long as the plan's.

        Args:
            register_map: the map that the plan was made from, all its points moved by as much.
        """
        moved = {point.name: point.address for point in register_map.points}
        by = moved[self._points[0].name] - self._points[0].address
        return tuple(block._replace(address=block.address + by) for block in self.blocks)

    def lost_with(self, block: int) -> frozenset[Quantity]:
        """The quantities that cannot be had without a block."""
        lost = {point.name for point in self._points if self._block(point) == block}
        return frozenset(
            point.quantity
            for point in self._points
            if point.quantity in self.quantities and lost & {point.name, *point.others}
        )

    def decode(self, rows: Bytes) -> dict[Quantity, Floats]:
        """The values of whole sweeps by row of `rows`, (devices, size); NaN = not available.

        A set-point read back as "no limit" is the ceiling, one read back as sleep is 0.
        """
        if self._finite:
            return {
                quantity: column.values(rows)
                for quantity, column in zip(self.quantities, self._decoded, strict=True)
            }
        with np.errstate(all="ignore"):  # what comes of a device's nonsense is not finite, and so absent
            plain = {column.point.name: column.values(rows) for column in self._decoded}
            found = {
                quantity: _combined(column.point, plain)
                for quantity, column in zip(self.quantities, self._decoded, strict=False)
            }
        return {quantity: np.where(np.isfinite(values), values, np.nan) for quantity, values in found.items()}


class _Column:
    """One point of all devices of a plan."""

    __slots__ = ("_big_endian", "_kind", "_reorder", "_special", "_unsigned", "_where", "finite", "point")

    def __init__(self, point: RegisterPoint, place: int, setpoint: Setpoint | None) -> None:
        self.point = point
        words = point.type.words
        self._where = slice(place, place + 2 * words)
        low_word_first = point.word_order is WordOrder.LITTLE and words > 1
        self._reorder = [2 * word + byte for word in reversed(range(words)) for byte in (0, 1)]
        if not low_word_first:
            self._reorder = []
        self._unsigned = np.dtype(f"u{2 * words}")
        self._big_endian = self._unsigned.newbyteorder(">")
        self._kind = np.dtype(struct_code(point.type)).newbyteorder("=")
        self._special = _special(point, setpoint)
        self.finite = (
            self._kind.kind in "iu"
            and abs(point.scale) <= _SURELY_FINITE
            and all(map(math.isfinite, self._special.values()))
            and not point.others
        )
        """Whatever the device says, its value is a number or absent."""

    def values(self, rows: Bytes) -> Floats:
        """Scaled; NaN where the device says that it has none."""
        raw_bytes = rows[:, self._where]
        if self._reorder:
            raw_bytes = np.ascontiguousarray(raw_bytes[:, self._reorder])
        raw = raw_bytes.view(self._big_endian)[:, 0].astype(self._unsigned)
        values: Floats = np.multiply(raw.view(self._kind), self.point.scale, dtype=np.float64)
        for special, watts in self._special.items():
            np.copyto(values, watts, where=raw == special)
        if self.point.sentinel is not None:
            np.copyto(values, np.nan, where=raw == self.point.sentinel)
        return values


def _combined(point: RegisterPoint, plain: Mapping[str, Floats]) -> Floats:
    """A point's values after the points that it depends on; as `codec.combined`."""
    values = plain[point.name]
    if point.times is not None and point.exponent is not None:
        values = values * (plain[point.times] * _power_of_ten(plain[point.exponent]))
    elif point.times is not None:
        values = values * plain[point.times]
    elif point.exponent is not None:
        values = values * _power_of_ten(plain[point.exponent])
    return values if point.plus is None else values + plain[point.plus]


def _power_of_ten(exponent: Floats) -> Floats:
    power = np.where(np.abs(exponent) <= MOST_POWER, exponent, np.nan)
    whole = np.nan_to_num(power).astype(np.int64)
    factor: Floats = np.where(power == whole, _POWERS[whole + MOST_POWER], np.nan)
    return factor


def _special(point: RegisterPoint, setpoint: Setpoint | None) -> dict[int, float]:
    """What raw values of the read-back mean that are no watts."""
    if point.name != Quantity.SETPOINT or setpoint is None:
        return {}
    command = setpoint.command
    if not isinstance(command, RegisterCommand) or command.point.address != point.address:
        return {}
    return {command.no_limit_value: setpoint.ceiling_w, command.sleep_value: 0.0}
