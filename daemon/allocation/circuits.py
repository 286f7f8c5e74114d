"""The tree of circuits with a limit each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daemon.allocation.loads import Bools, Ints
from daemon.table.table import Floats


@dataclass(frozen=True, slots=True)
class Circuits:
    """Circuits by index; `parent` is −1 at the top. A limit binds the whole subtree."""

    max_w: Floats
    parent: Ints

    @classmethod
    def build(cls, max_w: Sequence[float], parent: Sequence[int]) -> "Circuits":
        """Columns; the configuration has refused cycles and unknown parents already."""
        return cls(np.array(max_w, dtype=np.float64), np.array(parent, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.max_w)

    def path(self, circuit: int) -> list[int]:
        """The circuit and all above it."""
        path = []
        while circuit >= 0:
            path.append(circuit)
            circuit = int(self.parent[circuit])
        return path

    def members(self, circuits: Ints) -> list[tuple[int, Bools]]:
        """Every circuit, the deepest first, with a mask of the loads in its subtree."""
        paths = [set(self.path(index)) for index in range(len(self))]
        order = sorted(range(len(self)), key=lambda index: (-len(paths[index]), index))
        below = {index: [other for other in range(len(self)) if index in paths[other]] for index in order}
        return [(index, np.isin(circuits, below[index])) for index in order]
