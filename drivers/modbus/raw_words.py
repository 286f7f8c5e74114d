"""The registers of all devices of a profile in one matrix, decoded together. Pure."""

from collections.abc import Collection, Sequence

import numpy as np

from drivers.modbus.sweep import Floats, SweepPlan
from drivers.quantity import COLUMN

CHUNK = 2048
"""Devices decoded at a time: what is made for that stays in the cache."""


class RawWords:
    """One row of bytes for each device that is swept by a plan.

    Args:
        plan: what the bytes are.
        devices: the devices' rows in the site table.
    """

    __slots__ = ("_bytes", "_devices", "_empty", "_gone", "changed", "plan")

    def __init__(self, plan: SweepPlan, devices: Sequence[int]) -> None:
        self.plan = plan
        self.changed = False
        """Something was put into a row since the last decoding; whoever does so sets it."""
        self._devices = np.array(devices, dtype=np.intp)
        self._bytes = bytearray(len(devices) * plan.size)
        self._empty = set(range(len(devices)))
        self._gone: dict[int, np.ndarray[tuple[int], np.dtype[np.bool_]]] = {}
        """By column of the site table: rows that do not have the value, where there are any."""

    def number(self, devices: Sequence[int]) -> None:
        """The same devices have these rows in the site table from now on."""
        self._devices = np.array(devices, dtype=np.intp)

    def adopt(self, index: int, before: "RawWords", old: int) -> None:
        """A device goes on in a row here with what it has in a row of a matrix of the same plan."""
        self.row(index)[:] = before.row(old)
        if old not in before._empty:  # noqa: SLF001  of the same class
            self.filled(index)
        for column, flags in before._gone.items():  # noqa: SLF001  of the same class
            if flags[old]:
                self._flags(column)[index] = True

    def row(self, index: int) -> memoryview:
        """Where the registers of a device go, a whole sweep at a time."""
        size = self.plan.size
        return memoryview(self._bytes)[index * size : (index + 1) * size]

    def filled(self, index: int) -> None:
        """A row holds a sweep from now on; until then its values are absent."""
        self._empty.discard(index)
        self.changed = True

    def refuse(self, index: int, blocks: Collection[int]) -> None:
        """A device does not let itself be asked for these blocks; replaces what was said before."""
        gone = {COLUMN[quantity] for block in blocks for quantity in self.plan.lost_with(block)}
        for column in gone | self._gone.keys():
            self._flags(column)[index] = column in gone
        self.changed = True

    def _flags(self, column: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return self._gone.setdefault(column, np.zeros(len(self._devices), dtype=np.bool_))

    def decode_into(self, values: Floats) -> None:
        """Write all rows into (devices, quantities), if any has changed since the last call."""
        if not self.changed:
            return
        self.changed = False
        rows = np.frombuffer(self._bytes, dtype=np.uint8).reshape(-1, self.plan.size)
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            for quantity, found in self.plan.decode(rows[part]).items():
                column = COLUMN[quantity]
                if column in self._gone:
                    found[self._gone[column][part]] = np.nan
                values[:, column][self._devices[part]] = found
        if self._empty:
            columns = [COLUMN[quantity] for quantity in self.plan.quantities]
            values[self._devices[list(self._empty), np.newaxis], columns] = np.nan
