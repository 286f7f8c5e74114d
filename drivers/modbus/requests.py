"""What can be asked of a unit: made once, asked any number of times. Pure.

Its bytes on Modbus TCP are prepared: of the frame everything but the transaction id is fixed, and so is
all of the right answer but the id and the registers.
"""

import functools
from typing import Any

from drivers.modbus.frames import WRITE_MANY, WRITE_ONE, read_request, write_request
from drivers.modbus.planning import Block

TRANSACTION = 2
"""Bytes of the transaction id, at the start of every frame."""


class Request:
    """A read, or a write where there are `words`."""

    __slots__ = (
        "address",
        "asker",
        "body",
        "count",
        "deadline",
        "function",
        "head",
        "registers_at",
        "size",
        "unit",
        "words",
    )

    def __init__(self, unit: int, function: int, address: int, count: int, words: tuple[int, ...]) -> None:
        """Use `read` or `write`."""
        self.unit = unit
        """Unit id on the wire."""
        self.function = function
        self.address = address
        """Wire address, 0-based."""
        self.count = count
        """Registers."""
        self.words = words
        """What to write; empty = this is a read."""
        self.asker: Any = None
        """For whoever asks to find again what it was for; a line leaves it alone."""
        self.deadline = 0.0
        """As `asker`: when an answer is too late."""
        self.body, self.head = _frames(unit, function, address, count, words)
        """The frame after its transaction id; and how the right answer goes on after its own, up to the
        registers of a read."""
        self.registers_at = TRANSACTION + len(self.head)
        """Where the registers begin in the right answer."""
        self.size = self.registers_at + (0 if words else 2 * count)
        """Bytes of the right answer."""

    @classmethod
    def read(cls, unit: int, block: Block) -> "Request":
        """Ask for registers."""
        return cls(unit, block.function, block.address, block.length, ())

    @classmethod
    def write(cls, unit: int, address: int, words: tuple[int, ...]) -> "Request":
        """Write registers: function 6 for one, 16 for more."""
        return cls(unit, WRITE_ONE if len(words) == 1 else WRITE_MANY, address, len(words), words)


@functools.lru_cache(maxsize=4096)
def _frames(
    unit: int, function: int, address: int, count: int, words: tuple[int, ...]
) -> tuple[bytes, bytes]:
    """Made once for all devices that are asked the same."""
    if words:
        frame = write_request(0, unit, address, words)
        length, echo = 6, frame[8:12]
    else:
        frame = read_request(0, unit, function, address, count)
        length, echo = 3 + 2 * count, bytes((2 * count,))
    return frame[TRANSACTION:], bytes((0, 0, 0, length, unit, function)) + echo
