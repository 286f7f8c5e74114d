"""What one sweep over a device reads, and how its registers become values; prepared once per profile."""

import functools
import math
import struct
from typing import cast

from drivers.modbus.codec import combined, sentinel_value, struct_code
from drivers.modbus.planning import plan_reads
from drivers.profile import ModbusMap, Profile, RegisterCommand, RegisterPoint, Setpoint, WordOrder
from drivers.quantity import Quantity


class SweepPlan:
    """The blocks of a profile's quantities and their decoding.

    The registers of all blocks lie one after the other in one buffer of `size` bytes; block `i` begins
    at `offsets[i]`.
    """

    __slots__ = ("_columns", "_combined", "_struct", "_swapped", "_unwanted", "blocks", "offsets", "size")

    def __init__(self, register_map: ModbusMap, setpoint: Setpoint | None) -> None:
        points = _needed(register_map)
        self.blocks = plan_reads(points, register_map.reads)
        self.offsets = tuple(
            sum(2 * block.length for block in self.blocks[:index]) for index in range(len(self.blocks))
        )
        self.size = sum(2 * block.length for block in self.blocks)
        placed = sorted(((self._place(point), point) for point in points), key=lambda pair: pair[0])
        self._struct = struct.Struct(_layout(placed, self.size))
        self._swapped = tuple(
            (place, place + 2 * point.type.words)
            for place, point in placed
            if point.word_order is WordOrder.LITTLE and point.type.words > 1
        )
        self._columns = tuple(
            (point.name, point.scale, sentinel_value(point), _special(point, setpoint)) for _, point in placed
        )
        self._combined = tuple((Quantity(point.name), point) for point in points if point.others)
        self._unwanted = tuple(point.name for point in points if point.quantity is None)

    def _place(self, point: RegisterPoint) -> int:
        for block, offset in zip(self.blocks, self.offsets, strict=True):
            if block.holds(point):
                return offset + 2 * (point.address - block.address)
        raise AssertionError(point)

    def decode(self, registers: bytearray) -> dict[Quantity, float | None]:
        """The values of a whole sweep; `None` = the device says "not available".

        A set-point read back as "no limit" is the ceiling, one read back as sleep is 0.
        May reorder `registers`.
        """
        for start, end in self._swapped:
            words = [registers[at : at + 2] for at in range(start, end, 2)]
            registers[start:end] = b"".join(reversed(words))
        values: dict[str, float | None] = {}
        for raw, (name, scale, sentinel, special) in zip(
            self._struct.unpack(registers), self._columns, strict=True
        ):
            if raw == sentinel:
                values[name] = None
            elif special is not None and raw in special:
                values[name] = special[raw]
            else:
                value = raw * scale
                values[name] = value if math.isfinite(value) else None
        for quantity, point in self._combined:
            values[quantity] = combined(point, values[quantity], values)
        for name in self._unwanted:
            del values[name]
        return cast("dict[Quantity, float | None]", values)  # a quantity is its name


@functools.cache
def sweep_plan(profile: Profile) -> SweepPlan:
    """The plan of a Modbus profile, made once."""
    assert isinstance(profile.map, ModbusMap)
    return SweepPlan(profile.map, profile.setpoint)


@functools.cache
def located_sweep(register_map: ModbusMap) -> SweepPlan:
    """The plan of a map whose addresses the device has told; the same for all that told the same."""
    return SweepPlan(register_map, None)


def _needed(register_map: ModbusMap) -> list[RegisterPoint]:
    """The points of the quantities, and those that their values depend on."""
    wanted = [point for point in register_map.points if point.quantity is not None]
    others = {name for point in wanted for name in point.others}
    return wanted + [p for p in register_map.points if p.name in others and p.quantity is None]


def _layout(placed: list[tuple[int, RegisterPoint]], size: int) -> str:
    layout, at = ">", 0
    for place, point in placed:
        layout += f"{place - at}x{struct_code(point.type)}"
        at = place + 2 * point.type.words
    return f"{layout}{size - at}x"


def _special(point: RegisterPoint, setpoint: Setpoint | None) -> dict[int, float] | None:
    """What raw values of the read-back mean that are no watts."""
    if point.name != Quantity.SETPOINT or setpoint is None:
        return None
    command = setpoint.command
    if not isinstance(command, RegisterCommand) or command.point.address != point.address:
        return None
    return {command.no_limit_value: setpoint.ceiling_w, command.sleep_value: 0.0}
