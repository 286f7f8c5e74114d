"""Which devices a simulated site has, which feeds which, and which model each one is."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from drivers.profile import Profile, Role
from sim_devices.physics import Behaviour, LoadSpec, PduSpec, PlantModel

OUTLETS = 20
UNITS_PER_GATEWAY = 20
FIXED_SHARE = 0.03
DISOBEDIENT_SHARE = 0.02
LIE = 0.2
USUAL_MIX: Mapping[str, float] = {
    "sim-miner": 4,
    "sim-miner-m60s": 3,
    "sim-miner-a1566": 3,
    "sim-miner-s19j-pro": 2,
}
"""How many of twelve miners are of each model; the last one takes 20 s and more to obey."""
WARM_UP_S = 30.0
HASH_WARM_UP_S = 300.0
HEADROOM = 1.1
"""A circuit is rated for its nameplate times this."""
COOLING_PLANTS = ("sim-cooling", "sim-cooling-hall", "sim-cooling-site")
"""By size."""
COOLING_SHARE = 0.1
"""Of the loads' nameplates: what their cooling is built for."""
METER_ROLES = (Role.SITE_METER, Role.CHECK_METER)


@dataclass(frozen=True, slots=True)
class Circuit:
    """A feeder of the site, or a container on one."""

    id: str
    max_w: int
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """A device before it has an address."""

    id: str
    profile: str
    role: Role
    circuit: str | None = None
    fed_by: str | None = None
    """`PDU/OUTLET`."""
    gateway: str | None = None
    """What it is behind; `None` = it has an address of its own."""
    unit: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """A site: its devices, its circuits and their physics."""

    specs: tuple[Spec, ...]
    circuits: tuple[Circuit, ...]
    model: PlantModel
    nameplate_w: float
    """Sum over the loads."""
    offline: tuple[str, ...] = field(default=())
    """Ids of loads that run, and that nobody can reach."""


def lay_out(
    *,
    miners: int,
    racks: int,
    pdus: int | None,
    seed: int,
    profile: Callable[[str], Profile],
    mix: Mapping[str, float] = USUAL_MIX,
    gateways: int = 0,
    units_per_gateway: int = UNITS_PER_GATEWAY,
    containers: int = 0,
    container_headroom: float = HEADROOM,
    disobedient_share: float = DISOBEDIENT_SHARE,
    offline_share: float = 0.0,
    lying_share: float = 0.0,
    lie: float = LIE,
    check_meter: bool = False,
) -> Layout:
    """Design a site. Equal arguments give an equal site.

    Args:
        miners: in blocks of a model, so that a large site's PDU feeds one.
        racks: GPU racks.
        pdus: with 20 outlets each; `None` = as many as the miners need. Miners beyond hang on none.
        seed: of everything random.
        profile: gives a profile by its name.
        mix: how many of the miners are of each profile, in any proportion.
        gateways: each with `units_per_gateway` miners behind it, spread over the site.
        units_per_gateway: 1–247.
        containers: circuits of their own for equal parts of the miners, on the halls' circuits; 0 = none.
        container_headroom: a container is rated for its nameplate times this; below 1 its breaker binds.
        disobedient_share: of the miners ignore every order; shares are rounded to whole miners.
        offline_share: of the miners run, and nobody can reach them.
        lying_share: of the miners report `lie` too much power, as a share of it.
        lie: see there.
        check_meter: whether there is a second meter at the site's connection.

    Raises:
        ValueError: more miners behind gateways than there are, or too many behind one; no mix.
    """
    if not 1 <= units_per_gateway <= 247:
        raise ValueError(f"{units_per_gateway} units behind a gateway; 1 to 247 would be right")
    if gateways * units_per_gateway > miners:
        raise ValueError(
            f"{gateways} gateways of {units_per_gateway} units are more than {miners} miners; use fewer"
        )
    if not mix or min(mix.values()) < 0 or not sum(mix.values()) > 0:
        raise ValueError("a mix names at least one profile with a number above 0")
    if pdus is None:
        pdus = -(-miners // OUTLETS)
    halls = _Halls(miners, containers)
    behind = _gateways(miners, gateways, units_per_gateway)
    miner_specs = [
        Spec(
            id=f"m-{index // OUTLETS + 1:02}-{index % OUTLETS + 1:02}",
            profile=_model(mix, (index + 0.5) / miners),
            role=Role.LOAD,
            circuit=halls.circuit_of(index),
            fed_by=f"{_pdu_id(index // OUTLETS)}/{index % OUTLETS + 1}" if index // OUTLETS < pdus else None,
            gateway=gateway,
            unit=unit,
        )
        for index, (gateway, unit) in enumerate(behind)
    ]
    rack_specs = [
        Spec(f"rack-{number:02}", "sim-gpu-rack", Role.LOAD, "ai") for number in range(1, racks + 1)
    ]
    load_specs = [*miner_specs, *rack_specs]
    pdu_specs = [Spec(_pdu_id(block), "sim-pdu", Role.PDU) for block in range(pdus)]
    meter_ids = ["meter", "check-meter"] if check_meter else ["meter"]
    nameplate_w = sum(profile(spec.profile).nameplate_w for spec in load_specs)
    fed = {spec.fed_by: spec.id for spec in miner_specs if spec.fed_by is not None}
    model = PlantModel(
        [_load(spec, profile(spec.profile), seed, index) for index, spec in enumerate(load_specs)],
        pdus=[
            PduSpec(pdu.id, tuple(fed.get(f"{pdu.id}/{outlet}") for outlet in range(1, OUTLETS + 1)))
            for pdu in pdu_specs
        ],
        fixed_w=FIXED_SHARE * nameplate_w,
        meter_seeds=[(meter_id, seed * 10 + index) for index, meter_id in enumerate(meter_ids)],
    )
    ids = [spec.id for spec in miner_specs]
    for each in random.Random(seed).sample(ids, round(disobedient_share * miners)):
        model.set_disobeys(each, disobeys=True)
    for each in random.Random(f"{seed} lie").sample(ids, round(lying_share * miners)):
        model.misread(each, lie)
    specs = (
        *(Spec(meter_id, "sim-meter", role) for meter_id, role in zip(meter_ids, METER_ROLES, strict=False)),
        Spec("cooling", _cooling_for(nameplate_w, profile), Role.COOLING),
        *pdu_specs,
        *load_specs,
    )
    return Layout(
        specs,
        halls.circuits(load_specs, profile, container_headroom),
        model,
        nameplate_w,
        tuple(random.Random(f"{seed} offline").sample(ids, round(offline_share * miners))),
    )


def _cooling_for(loads_w: float, profile: Callable[[str], Profile]) -> str:
    """The smallest cooling plant that is built for loads with this nameplate; else the largest."""
    fits = (name for name in COOLING_PLANTS if profile(name).nameplate_w >= COOLING_SHARE * loads_w)
    return next(fits, COOLING_PLANTS[-1])


class _Halls:
    """Two halls that miners are spread over in blocks of a PDU, or in containers."""

    def __init__(self, miners: int, containers: int) -> None:
        self._miners = miners
        self._containers = containers

    def circuit_of(self, index: int) -> str:
        if not self._containers:
            return _hall(index // OUTLETS)
        return _container(index * self._containers // self._miners)

    def circuits(
        self, load_specs: Sequence[Spec], profile: Callable[[str], Profile], container_headroom: float
    ) -> tuple[Circuit, ...]:
        own_w: dict[str, float] = {}
        for spec in load_specs:
            if spec.circuit is not None:
                own_w[spec.circuit] = own_w.get(spec.circuit, 0.0) + profile(spec.profile).nameplate_w
        parents = {_container(number): _hall(number) for number in range(self._containers)}
        rated_w: dict[str, float] = {}
        for circuit, watts in own_w.items():
            feeder = parents.get(circuit, circuit)
            rated_w[feeder] = rated_w.get(feeder, 0.0) + watts
        return (
            *(Circuit(circuit, round(watts * HEADROOM)) for circuit, watts in rated_w.items()),
            *(
                Circuit(circuit, round(watts * container_headroom), parents[circuit])
                for circuit, watts in own_w.items()
                if circuit in parents
            ),
        )


def _hall(number: int) -> str:
    return "hall-a" if number % 2 == 0 else "hall-b"


def _container(number: int) -> str:
    return f"container-{number + 1:03}"


def _gateways(miners: int, gateways: int, units: int) -> Iterator[tuple[str | None, int]]:
    """For each miner the gateway that it is behind, and its unit there."""
    # Any of the blocks, in no pattern that the halls or the models have too.
    chosen = set(sorted(range(miners // units), key=lambda block: crc32(b"%d" % block))[:gateways])
    number = 0
    for block in range(-(-miners // units)):
        gateway = None
        if block in chosen:
            number += 1
            gateway = f"gw-{number:03}"
        for place in range(min(units, miners - block * units)):
            yield gateway, 1 if gateway is None else place + 1


def _pdu_id(block: int) -> str:
    return f"pdu-{block + 1:02}"


def _model(mix: Mapping[str, float], share: float) -> str:
    """Which profile of a mix lies at a share of its whole, below 1."""
    place = share * sum(mix.values())
    for name, count in mix.items():
        if place < count:
            return name
        place -= count
    return list(mix)[-1]


def _load(spec: Spec, profile: Profile, seed: int, index: int) -> LoadSpec:
    is_miner = spec.circuit != "ai"
    behaviour = Behaviour.of(
        profile,
        warm_up_s=WARM_UP_S if is_miner else 0.0,
        output_warm_up_s=HASH_WARM_UP_S if is_miner else 0.0,
    )
    return LoadSpec(spec.id, behaviour, seed * 100_003 + index)
