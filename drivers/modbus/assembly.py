"""The links, units and matrices of a fleet, made from its devices once."""

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from drivers.address import ModbusAddress
from drivers.device import Device
from drivers.modbus.identity import IdentityPlan
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
    kinds: dict[int, list[PolledUnit]] = {}
    identities: dict[int, IdentityPlan | None] = {}
    for row, device in devices:
        address, profile = _address(device), device.profile
        index = ends[end_of(address)]
        if index == len(found.links):
            line = functools.partial(make_line, address)
            found.links.append(Link(end_of(address), index, shared, outcomes, line))
        # By identity: to compare two profiles is to compare all that they say.
        if id(profile) not in kinds:
            kinds[id(profile)], identities[id(profile)] = [], _identity(profile)
        unit = PolledUnit(row, device, address.unit, identities[id(profile)])
        kinds[id(profile)].append(unit)
        found.links[index].units.append(unit)
        found.places[row] = (found.links[index], unit)
    for units in _merged(list(kinds.values())):
        found.matrices.extend(_matrices(units))
    return found


def _address(device: Device) -> ModbusAddress:
    assert isinstance(device.address, ModbusAddress)
    return device.address


def _identity(profile: Profile) -> IdentityPlan | None:
    assert isinstance(profile.map, ModbusMap)
    return IdentityPlan(profile.map) if profile.map.identity else None


def _merged(kinds: list[list[PolledUnit]]) -> list[list[PolledUnit]]:
    """Units whose profiles say the same may have profiles of their own."""
    merged: dict[Profile, list[PolledUnit]] = {}
    for units in kinds:
        merged.setdefault(units[0].device.profile, []).extend(units)
    return list(merged.values())


def _matrices(units: list[PolledUnit]) -> list[RawWords]:
    """Of units with the same profile; each gets its sweeps."""
    profile = units[0].device.profile
    assert isinstance(profile.map, ModbusMap)
    rows = [unit.row for unit in units]
    matrices = [RawWords(SweepPlan(profile.map, profile.setpoint), rows)]
    for index, unit in enumerate(units):
        unit.sweep = Sweep(unit, matrices[0], index)
    if profile.slow_quantities:
        matrices.append(RawWords(SweepPlan(profile.map, profile.setpoint, slow=True), rows))
        for index, unit in enumerate(units):
            unit.slow, unit.slow_due = Sweep(unit, matrices[1], index), True
    for unit in units:
        unit.forget()
    return matrices
