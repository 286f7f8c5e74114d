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
class Circuits:
    """All circuits, the deepest first."""

    deepest_first: tuple[Circuit, ...]
    max_w: Floats
    inside: Floats
    """(circuits, loads): 1 where a load is in the circuit's subtree."""

    def overloaded(self, counted: Floats) -> bool:
        """Whether any circuit is above its limit."""
        return bool((self.inside @ counted > self.max_w).any())

    @classmethod
    def build(cls, max_w: Sequence[float], parent: Sequence[int], of_load: Ints) -> "Circuits":
        """Masks from the tree; the configuration has refused cycles and unknown parents already.

        Args:
            max_w: by circuit.
            parent: by circuit, an index; −1 at the top.
            of_load: (loads,): the circuit that each load hangs on; −1 = none.
        """
        paths = [_path(index, parent) for index in range(len(max_w))]
        order = sorted(range(len(max_w)), key=lambda index: (-len(paths[index]), index))
        below = {index: [other for other in range(len(max_w)) if index in paths[other]] for index in order}
        circuits = tuple(Circuit(max_w[index], np.isin(of_load, below[index])) for index in order)
        inside = np.array([circuit.inside for circuit in circuits], dtype=np.float64)
        return cls(
            circuits,
            np.array([circuit.max_w for circuit in circuits], dtype=np.float64),
            inside.reshape(len(circuits), len(of_load)),
        )


def _path(circuit: int, parent: Sequence[int]) -> list[int]:
    """The circuit and all above it."""
    path = []
    while circuit >= 0:
        path.append(circuit)
        circuit = parent[circuit]
    return path
