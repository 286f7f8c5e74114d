"""Whether a device is what its profile says, from registers that only such a device shows. Pure."""

import functools
from collections.abc import Sequence

from drivers.modbus.codec import combined, decode_text, decode_words
from drivers.modbus.frames import Buffer
from drivers.modbus.planning import Block, fitted, plan_reads
from drivers.profile import IdentityCheck, ModbusMap, RegisterPoint, TextPoint


class IdentityPlan:
    """The blocks that the checks of a register map need, and the verdict.

    The registers of all blocks lie one after the other in one buffer of `size` bytes; block `i` begins
    at `offsets[i]`.
    """

    __slots__ = ("_checks", "_points", "_texts", "blocks", "offsets", "size")

    def __init__(self, register_map: ModbusMap) -> None:
        self._checks = register_map.identity
        named = {check.point for check in self._checks}
        points = [point for point in register_map.points if point.name in named]
        named |= {name for point in points for name in point.others}
        self._points = [point for point in register_map.points if point.name in named]
        self._texts = [text for text in register_map.texts if text.name in named]
        blocks = list(plan_reads(self._points, register_map.reads))
        for text in self._texts:
            place = fitted(text.address, text.address + text.words, register_map.reads)
            assert place is not None  # checked when the profile was read
            blocks.append(Block(text.function, *place))
        self.blocks = tuple(blocks)
        self.offsets = tuple(
            sum(2 * block.length for block in self.blocks[:index]) for index in range(len(self.blocks))
        )
        self.size = sum(2 * block.length for block in self.blocks)

    def problem(self, registers: Buffer) -> str | None:
        """Why the device is not what it should be; `None` = it is."""
        values = {point.name: decode_words(point, self._words(point, registers)) for point in self._points}
        texts = {text.name: decode_text(self._words(text, registers)) for text in self._texts}
        for point in self._points:
            values[point.name] = combined(point, values[point.name], values)
        problems = (
            text_problem(check, texts[check.point])
            if check.point in texts
            else value_problem(check, values[check.point])
            for check in self._checks
        )
        return next((problem for problem in problems if problem is not None), None)

    def _words(self, point: RegisterPoint | TextPoint, registers: Buffer) -> Sequence[int]:
        count = point.words if isinstance(point, TextPoint) else point.type.words
        for block, offset in zip(self.blocks, self.offsets, strict=True):
            end = block.address + block.length
            if block.function == point.function and block.address <= point.address <= end - count:
                at = offset + 2 * (point.address - block.address)
                return [registers[i] << 8 | registers[i + 1] for i in range(at, at + 2 * count, 2)]
        raise AssertionError(point)


def value_problem(check: IdentityCheck, value: float | None) -> str | None:
    """What is wrong with the value of a checked point."""
    if value is None:
        return f"{check.point} is not available"
    if check.values and value not in check.values:
        return f"{check.point} is {value:g}, not {' or '.join(f'{each:g}' for each in check.values)}"
    low, high = check.minimum, check.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = [f"{word} {bound:g}" for word, bound in (("from", low), ("to", high)) if bound is not None]
        return f"{check.point} is {value:g}, not {' '.join(bounds)}"
    return None


def text_problem(check: IdentityCheck, text: str | None) -> str | None:
    """What is wrong with a checked text."""
    if text is not None and text.startswith(check.texts):
        return None
    return f"{check.point} is {text!r}, not {' or '.join(repr(each) for each in check.texts)}"


@functools.cache
def identity_plan(register_map: ModbusMap) -> IdentityPlan | None:
    """The plan of a map, made once for all that have it; `None` = nothing identifies the device."""
    return IdentityPlan(register_map) if register_map.identity else None
