"""What can be asked of a unit: made once, asked any number of times. Pure.

Its bytes on Modbus TCP are prepared: of the frame everything but the transaction id is fixed, and so is
all of the right answer but the id and the registers.
"""

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
        frame = (
            write_request(0, unit, address, words)
            if words
            else read_request(0, unit, function, address, count)
        )
        self.body = frame[TRANSACTION:]
        """The frame after the transaction id."""
        length = 6 if words else 3 + 2 * count
        echo = frame[8:12] if words else bytes((2 * count,))
        self.head = bytes((0, 0, 0, length, unit, function)) + echo
        """How the right answer goes on after its transaction id: up to the registers of a read."""
        self.registers_at = TRANSACTION + len(self.head)
        """Where the registers begin in the right answer."""
        self.size = 6 + length
        """Bytes of the right answer."""

    @classmethod
    def read(cls, unit: int, block: Block) -> "Request":
        """Ask for registers."""
        return cls(unit, block.function, block.address, block.length, ())

    @classmethod
    def write(cls, unit: int, address: int, words: tuple[int, ...]) -> "Request":
        """Write registers: function 6 for one, 16 for more."""
        return cls(unit, WRITE_ONE if len(words) == 1 else WRITE_MANY, address, len(words), words)
