"""Finding the models of a SunSpec device: a walk over its registers that asks for what it needs. Pure.

The map begins with "SunS" at one of three addresses. Models follow one another: id, length of what
follows, values; id 0xFFFF ends it (SunSpec Device Information Model Specification, chapter 6).
"""

import functools
from collections.abc import Sequence
from dataclasses import replace

from drivers.modbus.planning import REGISTERS, Block
from drivers.profile import ModbusMap

BASES = (40000, 0, 50000)
SUNS = (0x5375, 0x6E53)
END = 0xFFFF
COMMON_MODEL = 1
MOST_MODELS = 64
"""More than any device has: a map that never ends must not hold us."""
FUNCTION = 3


class SunSpecWalk:
    """One walk. Ask for `want`, hand the words to `take`, until that says that it is over."""

    __slots__ = ("_bases", "_steps", "found", "problem", "want")

    def __init__(self) -> None:
        self._bases = list(BASES)
        self._steps = 0
        self.found: dict[int, int] = {}
        """Address of the id register, by model; of a model that is there twice the first."""
        self.problem: str | None = None
        """Why the walk ended without an end of the map."""
        self.want = Block(FUNCTION, self._bases.pop(0), 2)

    def take(self, words: Sequence[int] | None) -> bool:
        """Two registers, or `None` = the device refused. `True` = the walk is over."""
        if self._steps == 0:
            return self._take_start(words)
        if words is None:
            return self._end(f"the map cannot be read at {self.want.address}")
        model, length = words
        if model == END:
            return True
        if self._steps > MOST_MODELS:
            return self._end(f"more than {MOST_MODELS} models")
        following = self.want.address + 2 + length
        if length == 0 or following + 2 > REGISTERS:
            return self._end(f"model {model} at {self.want.address} has a length of {length}")
        self.found.setdefault(model, self.want.address)
        return self._go_on(following)

    def _take_start(self, words: Sequence[int] | None) -> bool:
        if words is not None and tuple(words) == SUNS:
            return self._go_on(self.want.address + 2)
        if self._bases:
            self.want = Block(FUNCTION, self._bases.pop(0), 2)
            return False
        return self._end(f"no SunSpec map at {', '.join(map(str, BASES))}")

    def _go_on(self, address: int) -> bool:
        self._steps += 1
        self.want = Block(FUNCTION, address, 2)
        return False

    def _end(self, problem: str) -> bool:
        self.problem = problem
        return True


def walk(registers: Sequence[int], first: int = 0) -> SunSpecWalk:
    """The walk over registers that are all there; `registers[0]` is at address `first`."""
    found = SunSpecWalk()
    while True:
        at = found.want.address - first
        inside = at >= 0 and at + 2 <= len(registers)
        if found.take(registers[at : at + 2] if inside else None):
            return found


def location_problem(register_map: ModbusMap, found: SunSpecWalk) -> str | None:
    """Why the map's model cannot be used; `None` = it was found."""
    wanted = register_map.sunspec_model
    if wanted in found.found:
        end = found.found[wanted] + max(point.address + point.type.words for point in register_map.points)
        return f"model {wanted} does not end before {end}" if end > REGISTERS else None
    if found.found:
        return f"SunSpec models {', '.join(map(str, found.found))} were found, not {wanted}"
    return found.problem or "an empty SunSpec map"


def located(register_map: ModbusMap, found: SunSpecWalk) -> ModbusMap:
    """The map with addresses of this device instead of offsets within its models.

    Texts of the common model are left out if the device has none.
    """
    assert register_map.sunspec_model is not None
    return _located(register_map, found.found[register_map.sunspec_model], found.found.get(COMMON_MODEL))


@functools.cache
def _located(register_map: ModbusMap, model: int, common: int | None) -> ModbusMap:
    points = tuple(replace(point, address=point.address + model) for point in register_map.points)
    texts = (
        ()
        if common is None
        else tuple(replace(text, address=text.address + common) for text in register_map.texts)
    )
    return replace(register_map, points=points, texts=texts, sunspec_model=None)
