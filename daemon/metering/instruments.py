"""Which devices of a site measure what."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from daemon.allocation.loads import Bools, Ints
from daemon.config import Circuit, ConfiguredDevice
from daemon.metering.feeds import Feeds
from daemon.metering.reading import Resolution
from daemon.table.table import Floats
from drivers.profile import FieldPoint, Profile, RegisterPoint, Role, WordType
from drivers.quantity import Quantity


@dataclass(frozen=True, slots=True)
class SiteMeter:
    """The revenue meter or a check meter."""

    row: int
    name: str
    period_s: float
    profile: Profile
    _power: RegisterPoint | FieldPoint | None = field(init=False, repr=False)
    _register: RegisterPoint | FieldPoint | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_power", _point(self.profile, Quantity.POWER))
        object.__setattr__(self, "_register", _point(self.profile, Quantity.ENERGY_IMPORT))

    def resolution(self, power_w: float, register_wh: float) -> Resolution:
        """The smallest steps of its figures, at figures of this size."""
        return Resolution(_step(self._power, power_w), _step(self._register, register_wh))


@dataclass(frozen=True, slots=True)
class CircuitMeter:
    """The meter of a circuit."""

    row: int
    inside: Bools
    """(loads,): in the circuit or below."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """Everything on a site that measures. A row is a device's index in the configuration."""

    names: tuple[str, ...]
    """By row."""
    nameplate_w: Floats
    """By row; 0 = says nothing."""
    meters: tuple[SiteMeter, ...]
    """The revenue meter, then the check meters."""
    circuit_meters: tuple[CircuitMeter, ...]
    """Those of the outermost circuits first."""
    feeds: Feeds
    cooling: tuple[int, ...]
    contract_w: float
    slowest_s: float
    """The longest polling period among meters, loads and cooling."""

    @property
    def meter_rows(self) -> Ints:
        """(site meters,): their rows."""
        return np.array([meter.row for meter in self.meters], dtype=np.int64)

    @property
    def circuit_rows(self) -> Ints:
        """(circuit meters,): their rows."""
        return np.array([meter.row for meter in self.circuit_meters], dtype=np.int64)

    @property
    def cooling_rows(self) -> Ints:
        """(cooling,): their rows."""
        return np.array(self.cooling, dtype=np.int64)

    @classmethod
    def of(
        cls,
        devices: Sequence[ConfiguredDevice],
        circuits: Sequence[Circuit],
        load_rows: Sequence[int],
        contract_w: float,
    ) -> "Instruments":
        """The instruments of a checked configuration; `load_rows` = rows of the loads that are controlled."""
        rows = {device.id: row for row, device in enumerate(devices)}
        by_role = {
            role: tuple(row for row, device in enumerate(devices) if device.role is role) for role in Role
        }
        site_meters = (*by_role[Role.SITE_METER], *by_role[Role.CHECK_METER])
        watched = (*site_meters, *load_rows, *by_role[Role.COOLING])
        return cls(
            names=tuple(device.id for device in devices),
            nameplate_w=np.array([device.profile.nameplate_w for device in devices], dtype=np.float64),
            meters=tuple(
                SiteMeter(row, devices[row].id, devices[row].period_s, devices[row].profile)
                for row in site_meters
            ),
            circuit_meters=_circuit_meters(devices, circuits, load_rows, rows),
            feeds=_feeds(devices, load_rows, rows),
            cooling=by_role[Role.COOLING],
            contract_w=contract_w,
            slowest_s=max((devices[row].period_s for row in watched), default=1.0),
        )


def _point(profile: Profile, quantity: Quantity) -> RegisterPoint | FieldPoint | None:
    """The point that shows a quantity; `None` = none does."""
    return next((point for point in profile.map.points if point.quantity is quantity), None)


def _step(point: RegisterPoint | FieldPoint | None, value: float) -> float:
    """One count of a point; 1 where the profile does not say."""
    if point is None:
        return 1.0
    step = abs(point.scale) or 1.0
    if isinstance(point, FieldPoint):
        return step
    return _spacing(point, value / step) * step if math.isfinite(value) else step


def _spacing(point: RegisterPoint, raw: float) -> float:
    """A float's step grows with its value: 0.5 kWh at 5 GWh."""
    match point.type:
        case WordType.F32:
            return float(np.spacing(np.float32(abs(raw))))
        case WordType.F64:
            return float(np.spacing(np.float64(abs(raw))))
        case _:
            return 1.0


def _circuit_meters(
    devices: Sequence[ConfiguredDevice],
    circuits: Sequence[Circuit],
    load_rows: Sequence[int],
    rows: Mapping[str, int],
) -> tuple[CircuitMeter, ...]:
    by_id = {circuit.id: circuit for circuit in circuits}
    paths = {circuit.id: _path(circuit, by_id) for circuit in circuits}
    own = [devices[row].circuit for row in load_rows]
    return tuple(
        CircuitMeter(
            rows[circuit.meter],
            np.array([name is not None and circuit.id in paths[name] for name in own], dtype=np.bool_),
        )
        for circuit in sorted(circuits, key=lambda circuit: len(paths[circuit.id]))
        if circuit.meter is not None
    )


def _path(circuit: Circuit, by_id: Mapping[str, Circuit]) -> tuple[str, ...]:
    """The circuit and everything above it."""
    above = () if circuit.parent is None else _path(by_id[circuit.parent], by_id)
    return (circuit.id, *above)


def _feeds(devices: Sequence[ConfiguredDevice], load_rows: Sequence[int], rows: Mapping[str, int]) -> Feeds:
    measured = {
        device.id
        for device in devices
        if device.role is Role.PDU
        and any(point.quantity is Quantity.POWER for point in device.profile.map.points)
    }
    fed = {row: device.fed_by[0] for row, device in enumerate(devices) if device.fed_by is not None}
    fed = {row: pdu for row, pdu in fed.items() if pdu in measured}
    index = {pdu: number for number, pdu in enumerate(dict.fromkeys(fed.values()))}
    loads = set(load_rows)
    others = [row for row in fed if row not in loads]
    return Feeds(
        rows=np.array([rows[pdu] for pdu in index], dtype=np.int64),
        pdu=np.array([index[fed[row]] if row in fed else -1 for row in load_rows], dtype=np.int64),
        other_rows=np.array(others, dtype=np.int64),
        other_pdu=np.array([index[fed[row]] for row in others], dtype=np.int64),
    )
