"""A series of reads of one unit that count only together. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drivers.modbus.frames import Buffer
from drivers.modbus.planning import Block
from drivers.modbus.raw_words import RawWords
from drivers.modbus.requests import Request
from drivers.quantity import Quantity

if TYPE_CHECKING:
    from drivers.modbus.unit import PolledUnit

REFUSED_S = 600.0
"""What a device refuses for good is not asked for again for so long, or until it is connected to again."""


class Reading:
    """The registers of several blocks, gathered one after the other: what identifies a unit.

    Args:
        unit: whom to ask.
        blocks: what to read.
    """

    __slots__ = (
        "_at",
        "_offsets",
        "_steps",
        "queued_at",
        "refused",
        "registers",
        "requests",
        "simple",
        "started",
        "unit",
        "waits",
    )

    def __init__(self, unit: "PolledUnit", blocks: Sequence[Block]) -> None:
        self.unit = unit
        self.registers: bytearray | memoryview = bytearray(sum(2 * block.length for block in blocks))
        """Those of all blocks, one after the other."""
        self._offsets = tuple(sum(2 * each.length for each in blocks[:index]) for index in range(len(blocks)))
        self._ask_for(blocks)
        self.waits = False
        """It is queued or under way."""
        self.simple = False
        """All is well and it takes one request: it may take the short way. Its link looks after that."""
        self.queued_at = 0.0
        self.started = 0.0
        """When the first request went out."""
        self.refused: frozenset[int] = frozenset()
        """Blocks that the device does not let itself be asked for."""
        self._steps = tuple(range(len(blocks)))
        """Blocks to ask for."""
        self._at = 0

    def _ask_for(self, blocks: Sequence[Block]) -> None:
        self.requests = tuple(Request.read(self.unit.number, block) for block in blocks)
        for request in self.requests:
            request.asker = self

    def begin(self, now: float) -> None:
        """From the first block on."""
        del now
        self._at = 0

    @property
    def is_new(self) -> bool:
        """Nothing of it has been asked for yet."""
        return self._at == 0

    @property
    def is_over(self) -> bool:
        """Every block has been answered for."""
        return self._at >= len(self._steps)

    @property
    def request(self) -> Request:
        """What to ask next."""
        return self.requests[self._steps[self._at]]

    def take(self, data: Buffer, start: int, end: int) -> None:
        """The registers that the last request asked for."""
        offset = self._offsets[self._steps[self._at]]
        self.registers[offset : offset + end - start] = data[start:end]
        self._at += 1


class Sweep(Reading):
    """The registers whose values reach the site table: they land in a row of the matrix, all at once.

    Args:
        unit: whom to ask.
        raw: the matrix.
        index: the row in it.
    """

    __slots__ = ("_index", "_told", "ask_again_at", "has_landed", "raw", "row")

    def __init__(self, unit: "PolledUnit", raw: RawWords, index: int) -> None:
        super().__init__(unit, raw.plan.blocks)
        self.raw, self._index = raw, index
        self.row = raw.row(index)
        if len(self.requests) == 1:
            self.registers = self.row
        self.has_landed = False
        """On this connection."""
        self.ask_again_at = 0.0
        """When to ask again for what is refused, if anything is."""
        self._told: frozenset[int] = frozenset()
        """Of `refused`, what the matrix knows."""

    def move(self, raw: RawWords, index: int) -> None:
        """Go on in a row of another matrix of the same plan, with all that was swept."""
        raw.adopt(index, self.raw, self._index)
        row = raw.row(index)
        if self.registers is self.row:
            self.registers = row
        self.raw, self._index, self.row = raw, index, row

    def locate(self, blocks: Sequence[Block]) -> None:
        """The device has said where its registers are."""
        self._ask_for(blocks)

    def begin(self, now: float) -> None:
        super().begin(now)
        if self.refused and now >= self.ask_again_at:
            self.forgive()

    def forgive(self) -> None:
        """Ask for everything again."""
        self.has_landed = self.simple = False
        self.refused = frozenset()
        self._steps = tuple(range(len(self.requests)))

    def refuse(self, now: float) -> None:
        """What was asked last is refused for good."""
        self.refused |= {self._steps[self._at]}
        self._steps = tuple(index for index in range(len(self.requests)) if index not in self.refused)
        self.ask_again_at = now + REFUSED_S

    def land(self) -> bool:
        """Put what was gathered into the matrix. `True` = other blocks are refused than at the last time."""
        if not self.is_refused:
            if self.registers is not self.row:
                self.row[:] = self.registers
            self.raw.filled(self._index)
            self.has_landed = True
        if self.refused == self._told:
            return False
        self._told = self.refused
        self.raw.refuse(self._index, self.refused)
        return True

    @property
    def is_refused(self) -> bool:
        """Nothing is left that can be asked for."""
        return not self._steps

    @property
    def lost(self) -> frozenset[Quantity]:
        """The quantities that cannot be had."""
        return frozenset().union(*(self.raw.plan.lost_with(block) for block in self.refused))
