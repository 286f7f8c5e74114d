"""Plays a scenario at a site: pure but for what the site's faults do."""

import heapq
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, assert_never

from drivers.profile import Role
from sim_devices.faults import DeviceFaults
from sim_devices.layout import Spec
from sim_devices.physics import PlantModel
from sim_devices.scenario.document import (
    LOADS,
    METERS,
    Befalling,
    Condition,
    DeviceEvent,
    Event,
    Jump,
    Names,
    Reboot,
    RollOver,
    ScenarioDocument,
    ScenarioError,
    Vanish,
    WeatherEvent,
)

ROUNDING_S = 1e-6
_ROLES: Mapping[str, Collection[Role]] = {
    LOADS: (Role.LOAD,),
    METERS: (Role.SITE_METER, Role.CHECK_METER, Role.CIRCUIT_METER),
}


@dataclass(frozen=True, slots=True)
class Site:
    """What a scenario works on."""

    specs: Sequence[Spec]
    faults: Mapping[str, DeviceFaults]
    """By device id."""
    model: PlantModel


@dataclass(slots=True)
class _Held:
    """What several conditions at a time make of one fault of one device: the last to come counts."""

    before: Any
    values: dict[int, Any] = field(default_factory=dict)
    """By the number of the occurrence."""


class Play:
    """A scenario under way.

    Raises:
        ScenarioError: an event names no device of the site, or one that it cannot befall; with its key.
    """

    def __init__(self, document: ScenarioDocument, site: Site, *, seed: int | None = None) -> None:
        self._seed = document.seed if seed is None else seed
        self._site = site
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._held: dict[tuple[str, str], _Held] = {}
        self._chosen = {
            index: _candidates(event, site, f"events[{index}]")
            for index, event in enumerate(document.events)
            if isinstance(event, DeviceEvent)
        }
        for index, event in enumerate(document.events):
            self._plan(event, index, 0)

    def advance(self, now_s: float) -> None:
        """Let everything happen that is due by then, in order."""
        while self._due and self._due[0][0] <= now_s + ROUNDING_S:
            heapq.heappop(self._due)[2]()

    def _plan(self, event: Event, index: int, turn: int) -> None:
        at_s = event.at_s + turn * (event.every_s or 0.0)
        self._at(at_s, lambda: self._happen(event, index, turn, at_s))

    def _at(self, at_s: float, what: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._due, (at_s, self._number, what))

    def _happen(self, event: Event, index: int, turn: int, at_s: float) -> None:
        if isinstance(event, WeatherEvent):
            weather = self._site.model.weather
            weather.mean_c, weather.swing_c = event.mean_c, event.swing_c
        else:
            drawn = _drawn(event, self._chosen[index], random.Random(f"{self._seed} {index} {turn}"))
            self._befall(event, drawn, at_s)
        if event.every_s is not None and (event.times is None or turn + 1 < event.times):
            self._plan(event, index, turn + 1)

    def _befall(self, event: Befalling, devices: Sequence[str], at_s: float) -> None:
        for device in devices:
            faults = self._site.faults[device]
            match event:
                case Condition():
                    self._hold(device, event.faults(), at_s, event.for_s)
                case Vanish():
                    faults.vanish()
                case Jump():
                    faults.jump(event.wh)
                case RollOver():
                    faults.roll_over(event.after_wh)
                case Reboot():
                    faults.reboot()
                    if event.for_s is not None:
                        self._hold(device, {"refuse": True}, at_s, event.for_s)
                case _:
                    assert_never(event)

    def _hold(self, device: str, wrong: Mapping[str, Any], at_s: float, for_s: float | None) -> None:
        self._number += 1
        number = self._number
        for name, value in wrong.items():
            held = self._held.get((device, name))
            if held is None:
                held = self._held[device, name] = _Held(getattr(self._site.faults[device], name))
            held.values[number] = value
            setattr(self._site.faults[device], name, value)
        if for_s is not None:
            self._at(at_s + for_s, lambda: self._release(device, wrong, number))

    def _release(self, device: str, wrong: Mapping[str, Any], number: int) -> None:
        for name in wrong:
            held = self._held[device, name]
            del held.values[number]
            value = next(reversed(held.values.values()), held.before)
            if not held.values:
                del self._held[device, name]
            setattr(self._site.faults[device], name, value)


def _candidates(event: Befalling, site: Site, key: str) -> list[str]:
    named = {
        *_matching(event.devices, {spec.id: (spec.id,) for spec in site.specs}, f"{key}.devices", "device"),
        *_matching(event.gateways, _behind(site.specs), f"{key}.gateways", "gateway"),
    }
    specs = [
        spec for spec in site.specs if spec.id in named or (event.devices is None and event.gateways is None)
    ]
    if event.profiles is not None:
        kinds = {spec.profile: (spec.profile,) for spec in specs}
        profiles = set(_matching(event.profiles, kinds, f"{key}.profiles", "profile"))
        specs = [spec for spec in specs if spec.profile in profiles]
    kind = event.KIND
    for spec in specs:
        if kind is not None and spec.role not in _ROLES[kind]:
            raise ScenarioError(f'{key}: "{event.fault}" befalls a {kind}, and {spec.id} is a {spec.role}')
    if event.count is not None and event.count > len(specs):
        raise ScenarioError(f"{key}.count: is {event.count}, and there are {len(specs)} such devices")
    return [spec.id for spec in specs]


def _behind(specs: Sequence[Spec]) -> dict[str, Sequence[str]]:
    behind: dict[str, list[str]] = {}
    for spec in specs:
        if spec.gateway is not None:
            behind.setdefault(spec.gateway, []).append(spec.id)
    return dict(behind)


def _matching(wanted: Names | None, known: Mapping[str, Sequence[str]], key: str, noun: str) -> Iterator[str]:
    for pattern in [wanted] if isinstance(wanted, str) else wanted or []:
        found = [each for name, members in known.items() if fnmatchcase(name, pattern) for each in members]
        if not found:
            raise ScenarioError(f'{key}: "{pattern}" matches no {noun} of the site')
        yield from found


def _drawn(event: DeviceEvent, candidates: Sequence[str], rng: random.Random) -> Sequence[str]:
    if event.count is not None:
        return rng.sample(candidates, event.count)
    if event.share is not None:
        return rng.sample(candidates, max(1, round(event.share * len(candidates))))
    return candidates
