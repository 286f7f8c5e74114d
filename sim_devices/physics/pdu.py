"""Power distribution units: they feed loads through outlets that they can switch."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.load import Load
from sim_devices.physics.loads import Loads
from sim_devices.physics.ratings import Column

OWN_W = 12.0
"""Draw of a unit itself."""
NOTHING = -1
"""Plugged into an outlet."""


@dataclass(frozen=True, slots=True)
class PduSpec:
    """A PDU to be."""

    id: str
    outlets: tuple[str | None, ...]
    """The load behind each outlet, `None` = nothing plugged in. Outlets are numbered from 1."""


class Pdus:
    """All PDUs of a plant, one row each, in the order of `specs`. Each sums what its outlets feed."""

    def __init__(self, specs: Sequence[PduSpec], loads: Loads) -> None:
        widest = max((len(spec.outlets) for spec in specs), default=0)
        self.index: Mapping[str, int] = {spec.id: row for row, spec in enumerate(specs)}
        """Row by id."""
        self.specs = tuple(specs)
        self.fed: NDArray[np.intp] = np.full((len(specs), widest), NOTHING, dtype=np.intp)
        """Row of the load behind each outlet, or `NOTHING`."""
        for row, spec in enumerate(specs):
            for place, load_id in enumerate(spec.outlets):
                if load_id is not None:
                    self.fed[row, place] = loads.index[load_id]
        self._plugged = self.fed != NOTHING
        self.power_w: Column = OWN_W + self.outlets_w(loads).sum(axis=1)
        """True, its own included."""
        self.reading_factor: Column = np.ones(len(specs))
        """What each shows of the power."""
        self.energy_wh: Column = np.zeros(len(specs))
        """What each has counted."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pdus":
        """A twin: what never changes is shared."""
        twin = copy.copy(self)
        for name in ("power_w", "reading_factor", "energy_wh"):
            setattr(twin, name, getattr(self, name).copy())
        memo[id(self)] = twin
        return twin

    def __len__(self) -> int:
        return len(self.specs)

    def outlets_w(self, loads: Loads) -> Column:
        """True W through each outlet, a row for each PDU."""
        if not len(loads):
            return np.zeros(self.fed.shape)
        return np.where(self._plugged, loads.draw_w[self.fed], 0.0)

    def outlet_w(self, loads: Loads, rows: NDArray[np.intp], outlet: int) -> Column:
        """True W through one outlet of each of some PDUs."""
        fed = self.fed[rows, outlet - 1]
        return np.where(fed == NOTHING, 0.0, loads.draw_w[fed]) if len(loads) else np.zeros(len(fed))

    def switched_on(self, loads: Loads, rows: NDArray[np.intp], outlet: int) -> Column:
        """1 = on, 0 = off: one outlet of each of some PDUs."""
        fed = self.fed[rows, outlet - 1]
        return np.where(fed == NOTHING, 1.0, loads.powered[fed]) if len(loads) else np.ones(len(fed))

    def step(self, loads: Loads, dt_s: float) -> None:
        """Advance by `dt_s`, after the loads."""
        if len(self.specs):
            self.power_w = OWN_W + self.outlets_w(loads).sum(axis=1)
            self.energy_wh += self.power_w * self.reading_factor * dt_s / 3600


class Pdu:
    """One PDU, as a handle on its row."""

    __slots__ = ("_loads", "_pdus", "row")

    def __init__(self, pdus: Pdus, loads: Loads, row: int) -> None:
        self._pdus = pdus
        self._loads = loads
        self.row = row

    @property
    def id(self) -> str:
        """Its id."""
        return self._pdus.specs[self.row].id

    @property
    def power_w(self) -> float:
        """True W, its own included."""
        return float(self._pdus.power_w[self.row])

    @property
    def outlets(self) -> tuple[Load | None, ...]:
        """The load behind each outlet."""
        fed = self._pdus.fed[self.row, : len(self._pdus.specs[self.row].outlets)]
        return tuple(None if row == NOTHING else Load(self._loads, int(row)) for row in fed)

    def outlet_w(self, outlet: int) -> float:
        """True W through an outlet."""
        load = self.outlets[outlet - 1]
        return load.draw_w if load is not None else 0.0

    def switch(self, outlet: int, *, on: bool, now_s: float) -> None:
        """Switch an outlet; what hangs on it loses its supply or boots."""
        load = self.outlets[outlet - 1]
        if load is not None:
            self._loads.set_powered(load.row, on, now_s)


class PdusById(Mapping[str, Pdu]):
    """The PDUs by their ids."""

    def __init__(self, pdus: Pdus, loads: Loads) -> None:
        self._pdus = pdus
        self._loads = loads

    def __getitem__(self, pdu_id: str) -> Pdu:
        return Pdu(self._pdus, self._loads, self._pdus.index[pdu_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._pdus.index)

    def __len__(self) -> int:
        return len(self._pdus)
