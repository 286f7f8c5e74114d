"""The links, units and matrices of a fleet, made from its devices, and made over when those change."""

import functools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from drivers.address import ModbusAddress
from drivers.device import Device
from drivers.modbus.identity import IdentityPlan, identity_plan
from drivers.modbus.lines import MakeLine, end_of
from drivers.modbus.link import Link
from drivers.modbus.outcomes import Outcomes
from drivers.modbus.raw_words import RawWords
from drivers.modbus.reading import Sweep
from drivers.modbus.shared import Shared
from drivers.modbus.sweep import SweepPlan
from drivers.modbus.unit import PolledUnit
from drivers.ports import FleetSink
from drivers.profile import ModbusMap, Profile
from drivers.sameness import Sameness

Place = tuple[Link, PolledUnit]


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of the devices."""

    gone: frozenset[Place]
    new: Sequence[Place]
    links: Sequence[int]
    """Indices of those that have yet to be connected."""


@dataclass(slots=True)
class _End:
    """Where a connection leads to."""

    address: ModbusAddress
    """Of one of the units there."""
    link: Link


@dataclass(slots=True)
class _Kind:
    """The units with a profile."""

    plans: tuple[SweepPlan, ...]
    """Of its sweep, and of that over its slow points if it has any."""
    identity: IdentityPlan | None
    units: list[PolledUnit] = field(default_factory=list)
    matrices: list[RawWords] = field(default_factory=list)


class Assembly:
    """What a fleet polls; nothing before the first `go_by`.

    Args:
        sink: who learns of it.
        rng: for the jitter of back-offs.
        timeout_s: deadline of one request.
        went_down: as in `Shared`.
        make_line: what carries the requests to an address.
    """

    def __init__(
        self,
        *,
        sink: FleetSink,
        rng: random.Random,
        timeout_s: float,
        went_down: Callable[[int], None],
        make_line: MakeLine,
    ) -> None:
        self.shared = Shared(sink=sink, rng=rng, timeout_s=timeout_s, went_down=went_down)
        self.links: list[Link | None] = []
        """By index; `None` = it has gone. An index is never used again: somebody may still wait for it."""
        self.places: dict[int, Place] = {}
        """By row."""
        self.matrices: list[RawWords] = []
        self._outcomes = Outcomes(self.shared)
        self._make_line = make_line
        self._ends: dict[str, _End] = {}
        self._kinds: dict[Profile, _Kind] = {}

    def go_by(self, devices: Sequence[tuple[int, Device]]) -> Changes:
        """Put devices behind their links, those of one profile into one matrix.

        Whoever is what it was before, at the same end, goes on as it is, perhaps in another row.

        Raises:
            AddressError: there is no line to an address; nothing has changed.
        """
        before = {unit.device.id: (link, unit) for link, unit in self.places.values()}
        names = [end_of(_address(device)) for _, device in devices]
        ends, fresh, same = *self._ends_of(devices, names), Sameness()
        self.places = {}
        new: list[Place] = []
        for (row, device), name in zip(devices, names, strict=True):
            link = ends[name].link
            stays = before.get(device.id)
            if stays is not None and stays[0] is link and same.devices(stays[1].device, device):
                stays[1].row = row
                self.places[row] = stays
            else:
                self.places[row] = (link, PolledUnit(row, device, _address(device).unit))
                new.append(self.places[row])
        gone = frozenset(before.values()) - frozenset(self.places.values())
        self._put_into_matrices()
        self._connect(ends, gone, new)
        return Changes(gone, new, fresh)

    def _ends_of(
        self, devices: Iterable[tuple[int, Device]], names: Sequence[str]
    ) -> tuple[dict[str, _End], list[int]]:
        """All ends by name, with the links that stay and new ones; and the indices of the new."""
        ends: dict[str, _End] = {}
        fresh: list[int] = []
        for (_, device), name in zip(devices, names, strict=True):
            if name in ends:
                continue
            address, known = _address(device), self._ends.get(name)
            if known is not None and _are_one_end(known.address, address):
                ends[name] = known
                continue
            fresh.append(len(self.links) + len(fresh))
            line = functools.partial(self._make_line, address)
            ends[name] = _End(address, Link(name, fresh[-1], self.shared, self._outcomes, line))
        return ends, fresh

    def _connect(self, ends: dict[str, _End], gone: Iterable[Place], new: Iterable[Place]) -> None:
        """End the links that nobody is behind any more, and tell the others who is."""
        leaving, joining = _by_link(gone), _by_link(new)
        stay = {id(end.link) for end in ends.values()}
        for index, link in enumerate(self.links):
            if link is not None and id(link) not in stay:
                self.links[index] = None
                link.end()
        fresh = [end.link for end in ends.values() if end.link.index >= len(self.links)]
        self.shared.make_room(len(fresh))
        self.links += fresh
        for end in ends.values():
            end.link.settle(leaving.get(id(end.link), ()), joining.get(id(end.link), ()))
        self._ends = ends

    def _put_into_matrices(self) -> None:
        kinds: dict[Profile, list[PolledUnit]] = {}
        # Many share one profile: it is looked up by what it says once.
        by_identity: dict[int, list[PolledUnit]] = {}
        for _, unit in self.places.values():
            profile = unit.device.profile
            if id(profile) not in by_identity:
                by_identity[id(profile)] = kinds.setdefault(profile, [])
            by_identity[id(profile)].append(unit)
        before, self._kinds = self._kinds, {}
        for profile, units in kinds.items():
            self._kinds[profile] = kind = before.get(profile) or _kind_of(profile)
            _fill(kind, units)
        self.matrices = [matrix for kind in self._kinds.values() for matrix in kind.matrices]


def _address(device: Device) -> ModbusAddress:
    assert isinstance(device.address, ModbusAddress)
    return device.address


def _are_one_end(one: ModbusAddress, other: ModbusAddress) -> bool:
    """Whether they are the same but for the unit. Most often they are the same."""
    return one == other or replace(one, unit=0) == replace(other, unit=0)


def _by_link(places: Iterable[Place]) -> dict[int, list[PolledUnit]]:
    found: dict[int, list[PolledUnit]] = {}
    for link, unit in places:
        found.setdefault(id(link), []).append(unit)
    return found


def _kind_of(profile: Profile) -> _Kind:
    assert isinstance(profile.map, ModbusMap)
    plans = [SweepPlan(profile.map, profile.setpoint)]
    if profile.slow_quantities:
        plans.append(SweepPlan(profile.map, profile.setpoint, slow=True))
    return _Kind(tuple(plans), identity_plan(profile.map))


def _fill(kind: _Kind, units: list[PolledUnit]) -> None:
    """Have the matrices hold these units; new ones get their sweeps, and what identifies them."""
    rows = [unit.row for unit in units]
    if units == kind.units:
        for matrix in kind.matrices:
            matrix.number(rows)
        return
    known = set(kind.units)
    kind.units = units
    kind.matrices = [RawWords(plan, rows) for plan in kind.plans]
    for index, unit in enumerate(units):
        if unit in known:
            for sweep, matrix in zip(unit.sweeps, kind.matrices, strict=True):
                sweep.move(matrix, index)
            continue
        unit.sweep, *slow = (Sweep(unit, matrix, index) for matrix in kind.matrices)
        unit.slow = slow[0] if slow else None
        unit.slow_due = bool(slow)
        unit.identity = kind.identity
        unit.forget()
