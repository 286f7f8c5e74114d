"""What the devices of one kind show of the plant, by the names of their profile's points."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from drivers.profile import Role
from drivers.quantity import Quantity
from sim_devices.physics import PlantModel

NOMINAL_HZ = 50.0
REVERSION_LIMIT = "reversion_limit"
"""Point that takes and shows what a load falls back to when it hears no more."""
REVERSION_TIMER = "reversion_timer"
"""Point that takes and shows the time until then, s."""
REVERSION_LEFT = "reversion_left"
"""Point that shows what is left of it, s; 0 = the timer does not run."""
RISE_C = 45.0
"""A load at full power is so much warmer than its surroundings."""

Values = NDArray[np.float64]
Reader = Callable[[slice], Values]
"""The values of some rows now, in the point's unit; NaN = not available, of a set-point: no limit."""


class Instrument(Protocol):
    """Devices of one kind as their register maps or their messages see them, one row each."""

    count: int
    readers: Mapping[str, Reader]
    """By point name."""

    def write(self, row: int, point: str, value: float | None) -> bool:
        """Take a written value. `False` = this point cannot be written."""


class LoadInstrument:
    """Miners behind their gateways, or GPU racks."""

    def __init__(self, model: PlantModel, ids: Sequence[str]) -> None:
        fleet, reversions = model.fleet, model.reversions
        self._at = at = np.array([fleet.index[each] for each in ids], dtype=np.intp)
        serials = serials_of(ids)
        self.count = len(ids)
        self._model = model
        self._ids = tuple(ids)
        self.readers: Mapping[str, Reader] = {
            Quantity.POWER: lambda rows: fleet.reported_w(at[rows]),
            Quantity.ENERGY_IMPORT: lambda rows: np.floor(fleet.reported_wh(model.now_s, at[rows])),
            Quantity.HASHRATE: lambda rows: fleet.outputs(model.now_s, at[rows]),
            Quantity.GPU_ACTIVE: lambda rows: np.rint(fleet.outputs(model.now_s, at[rows])),
            Quantity.SETPOINT: lambda rows: fleet.ordered_w[at[rows]],
            Quantity.SERIAL: lambda rows: serials[rows],
            REVERSION_LIMIT: lambda rows: reversions.limit_w[at[rows]],
            REVERSION_TIMER: lambda rows: reversions.time_s[at[rows]],
            REVERSION_LEFT: lambda rows: reversions.left_s(model.now_s, at[rows]),
            "temperature": lambda rows: (
                model.weather.ambient_c(model.now_s)
                + RISE_C * fleet.draw_w[at[rows]] / fleet.rated.full_w[at[rows]]
            ),
        }

    def write(self, row: int, point: str, value: float | None) -> bool:
        reversions, at = self._model.reversions, int(self._at[row])
        if point == REVERSION_LIMIT:
            return reversions.set_limit(at, np.nan if value is None else value)
        if point == REVERSION_TIMER and value is not None:
            return reversions.set_time(at, value, self._model.now_s)
        if point != Quantity.SETPOINT:
            return False
        self._model.order(self._ids[row], value)
        return True


class PduInstrument:
    """PDUs with metered and switched outlets."""

    def __init__(self, model: PlantModel, ids: Sequence[str]) -> None:
        pdus = model.feeders
        at = np.array([pdus.index[each] for each in ids], dtype=np.intp)
        serials = serials_of(ids)
        self.count = len(ids)
        self._model = model
        self._ids = tuple(ids)
        self._switches = {f"outlet_{number}_switch": number for number in range(1, pdus.fed.shape[1] + 1)}
        self.readers: Mapping[str, Reader] = {
            Quantity.POWER: lambda rows: pdus.power_w[at[rows]] * pdus.reading_factor[at[rows]],
            Quantity.ENERGY_IMPORT: lambda rows: np.floor(pdus.energy_wh[at[rows]]),
            Quantity.SERIAL: lambda rows: serials[rows],
            **{
                f"outlet_{number}_power": self._power_reader(at, number) for number in self._switches.values()
            },
            **{name: self._switch_reader(at, number) for name, number in self._switches.items()},
        }

    def write(self, row: int, point: str, value: float | None) -> bool:
        if point not in self._switches or value not in {0.0, 1.0}:
            return False
        self._model.switch(self._ids[row], self._switches[point], on=value == 1.0)
        return True

    def _power_reader(self, at: NDArray[np.intp], outlet: int) -> Reader:
        pdus, fleet = self._model.feeders, self._model.fleet

        def read(rows: slice) -> Values:
            watts = pdus.outlet_w(fleet, at[rows], outlet)
            return watts * pdus.reading_factor[at[rows]]

        return read

    def _switch_reader(self, at: NDArray[np.intp], outlet: int) -> Reader:
        return lambda rows: self._model.feeders.switched_on(self._model.fleet, at[rows], outlet)


class MeterInstrument:
    """Meters of the site's connection. They take no orders."""

    def __init__(self, model: PlantModel, ids: Sequence[str]) -> None:
        meters = [model.meters[each] for each in ids]
        self.count = len(ids)
        self.readers: Mapping[str, Reader] = {
            Quantity.POWER: lambda rows: np.array([meter.power_w for meter in meters[rows]]),
            Quantity.ENERGY_IMPORT: lambda rows: np.array([float(each.register_wh) for each in meters[rows]]),
            Quantity.SERIAL: lambda rows: np.array([float(meter.serial) for meter in meters[rows]]),
            "frequency": lambda rows: np.full(len(meters[rows]), NOMINAL_HZ),
        }

    def write(self, row: int, point: str, value: float | None) -> bool:  # noqa: ARG002 - the port's signature
        return False


class CoolingInstrument:
    """The cooling's own meter. It takes no orders."""

    count = 1

    def __init__(self, model: PlantModel) -> None:
        cooling = model.cooling
        serial = serials_of(["cooling"])
        self.readers: Mapping[str, Reader] = {
            Quantity.POWER: lambda _: np.array([cooling.draw_w * cooling.reading_factor]),
            Quantity.ENERGY_IMPORT: lambda _: np.floor([cooling.energy_wh]),
            Quantity.SERIAL: lambda _: serial,
        }

    def write(self, row: int, point: str, value: float | None) -> bool:  # noqa: ARG002 - the port's signature
        return False


def instrument_for(role: Role, ids: Sequence[str], model: PlantModel) -> Instrument:
    """The instrument of the devices of a role and a profile."""
    match role:
        case Role.LOAD:
            return LoadInstrument(model, ids)
        case Role.PDU:
            return PduInstrument(model, ids)
        case Role.COOLING:
            return CoolingInstrument(model)
        case Role.SITE_METER | Role.CHECK_METER | Role.CIRCUIT_METER:
            return MeterInstrument(model, ids)


def serials_of(ids: Sequence[str]) -> Values:
    """Serial numbers that stay with the ids."""
    return np.array([float(crc32(each.encode())) for each in ids])
