"""What each kind of device shows of the plant, by the names of its profile's points."""

from collections.abc import Callable, Mapping
from typing import Protocol
from zlib import crc32

from drivers.profile import Role
from drivers.quantity import Quantity
from sim_devices.layout import Spec
from sim_devices.physics import Load, Meter, Pdu, PlantModel

NOMINAL_HZ = 50.0
AMBIENT_C = 25.0
RISE_C = 45.0
"""A load at full power is so much warmer than its surroundings."""

Reader = Callable[[], float | None]


class Instrument(Protocol):
    """A device as its register map or its messages see it."""

    readers: Mapping[str, Reader]
    """By point name: the value now, in the point's unit; `None` = not available."""

    def write(self, point: str, value: float | None) -> bool:
        """Take a written value. `False` = this point cannot be written."""


class LoadInstrument:
    """A miner behind its gateway, or a GPU rack."""

    def __init__(self, model: PlantModel, load: Load) -> None:
        self._model = model
        self._load = load
        self.readers: Mapping[str, Reader] = {
            Quantity.POWER: lambda: load.reported_w,
            Quantity.ENERGY_IMPORT: lambda: float(int(model.fleet.reported_wh(model.now_s)[load.row])),
            Quantity.HASHRATE: lambda: load.output(model.now_s),
            Quantity.GPU_ACTIVE: lambda: float(round(load.output(model.now_s))),
            Quantity.SETPOINT: lambda: load.ordered_w,
            Quantity.SERIAL: lambda: serial_of(load.id),
            "temperature": lambda: AMBIENT_C + RISE_C * load.draw_w / load.behaviour.full_w,
        }

    def write(self, point: str, value: float | None) -> bool:
        if point != Quantity.SETPOINT:
            return False
        self._model.order(self._load.id, value)
        return True


class PduInstrument:
    """A PDU with metered and switched outlets."""

    def __init__(self, model: PlantModel, pdu: Pdu) -> None:
        self._model = model
        self._pdu = pdu
        self._switches = {f"outlet_{number}_switch": number for number in range(1, len(pdu.outlets) + 1)}
        self.readers: Mapping[str, Reader] = {
            Quantity.POWER: lambda: pdu.power_w,
            Quantity.ENERGY_IMPORT: lambda: float(int(model.feeders.energy_wh[pdu.row])),
            Quantity.SERIAL: lambda: serial_of(pdu.id),
            **{f"outlet_{number}_power": self._outlet_reader(number) for number in self._switches.values()},
            **{name: self._switch_reader(number) for name, number in self._switches.items()},
        }

    def write(self, point: str, value: float | None) -> bool:
        if point not in self._switches or value not in {0.0, 1.0}:
            return False
        self._model.switch(self._pdu.id, self._switches[point], on=value == 1.0)
        return True

    def _outlet_reader(self, number: int) -> Reader:
        return lambda: self._pdu.outlet_w(number)

    def _switch_reader(self, number: int) -> Reader:
        load = self._pdu.outlets[number - 1]
        return lambda: 1.0 if load is None or load.powered else 0.0


class MeterInstrument:
    """A site meter. It takes no orders."""

    def __init__(self, meter: Meter) -> None:
        self.readers: Mapping[str, Reader] = {
            Quantity.POWER: lambda: meter.power_w,
            Quantity.ENERGY_IMPORT: lambda: float(meter.register_wh),
            Quantity.SERIAL: lambda: float(meter.serial),
            "frequency": lambda: NOMINAL_HZ,
        }

    def write(self, point: str, value: float | None) -> bool:  # noqa: ARG002 - the port's signature
        return False


class CoolingInstrument:
    """The cooling's own meter. It takes no orders."""

    def __init__(self, model: PlantModel) -> None:
        cooling = model.cooling
        self.readers: Mapping[str, Reader] = {
            Quantity.POWER: lambda: cooling.draw_w,
            Quantity.ENERGY_IMPORT: lambda: float(int(cooling.energy_wh)),
            Quantity.SERIAL: lambda: serial_of("cooling"),
        }

    def write(self, point: str, value: float | None) -> bool:  # noqa: ARG002 - the port's signature
        return False


def instrument_for(spec: Spec, model: PlantModel) -> Instrument:
    """The instrument of a device of the layout."""
    match spec.role:
        case Role.LOAD:
            return LoadInstrument(model, model.loads[spec.id])
        case Role.PDU:
            return PduInstrument(model, model.pdus[spec.id])
        case Role.COOLING:
            return CoolingInstrument(model)
        case Role.SITE_METER | Role.CHECK_METER | Role.CIRCUIT_METER:
            return MeterInstrument(model.meters[spec.id])


def serial_of(device_id: str) -> float:
    """A serial number that stays with the id."""
    return float(crc32(device_id.encode()))
