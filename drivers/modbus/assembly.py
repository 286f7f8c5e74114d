"""The links, units and matrices of a fleet, made from its devices once."""

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from drivers.address import ModbusAddress
from drivers.device import Device
from drivers.modbus.identity import identity_plan
from drivers.modbus.lines import MakeLine, end_of, line_to
from drivers.modbus.link import Link
from drivers.modbus.outcomes import Outcomes
from drivers.modbus.raw_words import RawWords
from drivers.modbus.reading import Sweep
from drivers.modbus.shared import Shared
from drivers.modbus.sweep import SweepPlan
from drivers.modbus.unit import PolledUnit
from drivers.ports import FleetSink
from drivers.profile import ModbusMap, Profile

Place = tuple[Link, PolledUnit]


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a fleet polls."""

    shared: Shared
    links: list[Link] = field(default_factory=list)
    places: dict[int, Place] = field(default_factory=dict)
    """By row."""
    matrices: list[RawWords] = field(default_factory=list)


def assemble(
    devices: Sequence[tuple[int, Device]],
    *,
    sink: FleetSink,
    rng: random.Random,
    timeout_s: float,
    went_down: Callable[[int], None],
    make_line: MakeLine = line_to,
) -> Assembly:
    """Put devices behind their links; those of one profile into one matrix."""
    ends: dict[str, int] = {}
    for _, device in devices:
        ends.setdefault(end_of(_address(device)), len(ends))
    shared = Shared(len(ends), sink=sink, rng=rng, timeout_s=timeout_s, went_down=went_down)
    outcomes, found = Outcomes(shared), Assembly(shared)
    kinds: dict[Profile, list[PolledUnit]] = {}
    for row, device in devices:
        address, profile = _address(device), device.profile
        index = ends[end_of(address)]
        if index == len(found.links):
            line = functools.partial(make_line, address)
            found.links.append(Link(end_of(address), index, shared, outcomes, line))
        unit = PolledUnit(row, device, address.unit)
        kinds.setdefault(profile, []).append(unit)
        found.links[index].units.append(unit)
        found.places[row] = (found.links[index], unit)
    for profile, units in kinds.items():
        found.matrices.extend(_matrices(profile, units))
    return found


def _address(device: Device) -> ModbusAddress:
    assert isinstance(device.address, ModbusAddress)
    return device.address


def _matrices(profile: Profile, units: list[PolledUnit]) -> list[RawWords]:
    """Of the units with a profile; each gets its sweeps, and what identifies it."""
    assert isinstance(profile.map, ModbusMap)
    identity = identity_plan(profile.map)
    rows = [unit.row for unit in units]
    matrices = [RawWords(SweepPlan(profile.map, profile.setpoint), rows)]
    if profile.slow_quantities:
        matrices.append(RawWords(SweepPlan(profile.map, profile.setpoint, slow=True), rows))
    for index, unit in enumerate(units):
        unit.sweep, *slow = (Sweep(unit, matrix, index) for matrix in matrices)
        unit.slow = slow[0] if slow else None
        unit.slow_due = bool(slow)
        unit.identity = identity
        unit.forget()
    return matrices
