"""The tree of circuits with a limit each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daemon.allocation.loads import Bools, Ints
from daemon.table.table import Floats


@dataclass(frozen=True, slots=True)
class Circuit:
    """A limit on a subtree of the site."""

    max_w: float
    inside: Bools
    """(loads,): the loads in its subtree."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Circuits of which none lies within another."""

    max_w: Floats
    of_load: Ints
    """(loads,): the circuit in whose subtree each load lies; the last index + 1 = in none."""

    def room_w(self, counted: Floats) -> Floats:
        """(circuits + 1,): what each has left, negative above its limit; without end for those in none."""
        sums_w = np.bincount(self.of_load, counted, minlength=len(self.max_w) + 1)
        room_w = np.append(self.max_w, np.inf)
        room_w -= sums_w
        return room_w


@dataclass(frozen=True, slots=True)
class Circuits:
    """All circuits, the deepest first."""

    deepest_first: tuple[Circuit, ...]
    depths: tuple[Depth, ...]
    """The same by their depth in the tree, the deepest first."""

    def overloaded(self, counted: Floats) -> bool:
        """Whether any circuit is above its limit."""
        return any(bool((depth.room_w(counted) < 0).any()) for depth in self.depths)

    def room_w(self, counted: Floats) -> Floats | None:
        """(loads,): what the circuits above each load have room for; `None` = there are none."""
        rooms = [depth.room_w(counted).take(depth.of_load) for depth in self.depths]
        return np.minimum.reduce(rooms) if rooms else None

    @classmethod
    def build(cls, max_w: Sequence[float], parent: Sequence[int], of_load: Ints) -> "Circuits":
        """From the tree; the configuration has refused cycles and unknown parents already.

        Args:
            max_w: by circuit.
            parent: by circuit, an index; −1 at the top.
            of_load: (loads,): the circuit that each load hangs on; −1 = none.
        """
        paths = [_path(index, parent) for index in range(len(max_w))]
        deepest = max((len(path) for path in paths), default=0)
        circuits: list[Circuit] = []
        depths: list[Depth] = []
        for length in range(deepest, 0, -1):
            mine = [index for index, path in enumerate(paths) if len(path) == length]
            # The ancestor at this depth of every circuit, and of no circuit.
            place = {index: position for position, index in enumerate(mine)}
            above = [place[path[-length]] if len(path) >= length else len(mine) for path in paths]
            at = np.array([*above, len(mine)], dtype=np.int64)[of_load]
            depths.append(Depth(np.array([max_w[index] for index in mine], dtype=np.float64), at))
            circuits += [Circuit(max_w[index], at == place[index]) for index in mine]
        return cls(tuple(circuits), tuple(depths))


def _path(circuit: int, parent: Sequence[int]) -> list[int]:
    """The circuit and all above it, from itself to the top."""
    path = []
    while circuit >= 0:
        path.append(circuit)
        circuit = parent[circuit]
    return path
