"""Which devices a simulated site has, which feeds which, and which model each one is."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.profile import Profile, Role
from sim_devices.physics import Behaviour, LoadSpec, PduSpec, PlantModel

OUTLETS = 20
FIXED_SHARE = 0.03
DISOBEDIENT_SHARE = 0.02
MINERS_OF_TWELVE: tuple[tuple[str, int], ...] = (
    ("sim-miner", 4),
    ("sim-miner-m60s", 3),
    ("sim-miner-a1566", 3),
    ("sim-miner-s19j-pro", 2),
)
"""How many of twelve miners are of each model; the last one takes 20 s and more to obey."""
WARM_UP_S = 30.0
HASH_WARM_UP_S = 300.0
HEADROOM = 1.1
"""A circuit is rated for its nameplate times this."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A feeder of the site."""

    id: str
    max_w: int


@dataclass(frozen=True, slots=True)
class Spec:
    """A device before it has an address."""

    id: str
    profile: str
    role: Role
    circuit: str | None = None
    fed_by: str | None = None
    """`PDU/OUTLET`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A site: its devices, its circuits and their physics."""

    specs: tuple[Spec, ...]
    circuits: tuple[Circuit, ...]
    model: PlantModel
    nameplate_w: float
    """Sum over the loads."""


def lay_out(
    *,
    miners: int,
    racks: int,
    pdus: int | None,
    seed: int,
    profile: Callable[[str], Profile],
    disobedient_share: float = DISOBEDIENT_SHARE,
    check_meter: bool = False,
) -> Layout:
    """Design a site. Equal arguments give an equal site.

    Args:
        miners: of the four models, in blocks, so that a large site's PDU feeds one model.
        racks: GPU racks.
        pdus: with 20 outlets each; `None` = as many as the miners need. Miners beyond hang on none.
        seed: of everything random.
        profile: gives a profile by its name.
        disobedient_share: of the miners ignore every order; rounded to whole miners.
        check_meter: whether there is a second meter at the site's connection.
    """
    if pdus is None:
        pdus = -(-miners // OUTLETS)
    miner_specs = _miner_specs(miners, pdus)
    rack_specs = [
        Spec(f"rack-{number:02}", "sim-gpu-rack", Role.LOAD, "ai") for number in range(1, racks + 1)
    ]
    load_specs = [*miner_specs, *rack_specs]
    chosen = random.Random(seed).sample(miner_specs, round(disobedient_share * miners))
    pdu_specs = [Spec(_pdu_id(block), "sim-pdu", Role.PDU) for block in range(pdus)]
    fed = {spec.fed_by: spec.id for spec in miner_specs if spec.fed_by is not None}
    meter_ids = ["meter", "check-meter"] if check_meter else ["meter"]
    nameplate_w = sum(profile(spec.profile).nameplate_w for spec in load_specs)
    model = PlantModel(
        [_load(spec, profile(spec.profile), seed, index) for index, spec in enumerate(load_specs)],
        pdus=[
            PduSpec(pdu.id, tuple(fed.get(f"{pdu.id}/{outlet}") for outlet in range(1, OUTLETS + 1)))
            for pdu in pdu_specs
        ],
        fixed_w=FIXED_SHARE * nameplate_w,
        meter_seeds=[(meter_id, seed * 10 + index) for index, meter_id in enumerate(meter_ids)],
    )
    for spec in chosen:
        model.set_disobeys(spec.id, disobeys=True)
    specs = (
        *(
            Spec(meter_id, "sim-meter", Role(role))
            for meter_id, role in zip(meter_ids, METER_ROLES, strict=False)
        ),
        Spec("cooling", "sim-cooling", Role.COOLING),
        *pdu_specs,
        *load_specs,
    )
    return Layout(specs, _circuits(load_specs, profile), model, nameplate_w)


METER_ROLES = (Role.SITE_METER, Role.CHECK_METER)


def _miner_specs(miners: int, pdus: int) -> list[Spec]:
    specs = []
    for index in range(miners):
        block, outlet = index // OUTLETS, index % OUTLETS + 1
        specs.append(
            Spec(
                id=f"m-{block + 1:02}-{outlet:02}",
                profile=_miner_model((index + 0.5) / miners * 12),
                role=Role.LOAD,
                circuit="hall-a" if block % 2 == 0 else "hall-b",
                fed_by=f"{_pdu_id(block)}/{outlet}" if block < pdus else None,
            )
        )
    return specs


def _pdu_id(block: int) -> str:
    return f"pdu-{block + 1:02}"


def _miner_model(place: float) -> str:
    for name, count in MINERS_OF_TWELVE:
        if place < count:
            return name
        place -= count
    raise ValueError("a miner's place is below 12")


def _load(spec: Spec, profile: Profile, seed: int, index: int) -> LoadSpec:
    is_miner = spec.circuit != "ai"
    behaviour = Behaviour.of(
        profile,
        warm_up_s=WARM_UP_S if is_miner else 0.0,
        output_warm_up_s=HASH_WARM_UP_S if is_miner else 0.0,
    )
    return LoadSpec(spec.id, behaviour, seed * 100_003 + index)


def _circuits(load_specs: Sequence[Spec], profile: Callable[[str], Profile]) -> tuple[Circuit, ...]:
    rated_w: dict[str, float] = {}
    for spec in load_specs:
        if spec.circuit is not None:
            rated_w[spec.circuit] = rated_w.get(spec.circuit, 0.0) + profile(spec.profile).nameplate_w
    return tuple(Circuit(circuit, round(watts * HEADROOM)) for circuit, watts in rated_w.items())
