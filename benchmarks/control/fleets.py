"""Large sites made of figures: loads of every simulated model, three levels of circuits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from daemon.allocation.circuits import Circuits
from daemon.allocation.counting import Look
from daemon.allocation.loads import Economics, Ints, Loads, LoadSpec
from daemon.allocation.memory import LoadMemory
from daemon.allocation.situation import Ahead, Situation
from daemon.table.table import Floats
from drivers.profile import Role
from drivers.profiles import load_profile, profile_names

RACKS = 0.03
"""Share of the loads that are GPU racks; the others are miners of all models alike."""
HALLS = 10
ROOMY = 1.1
"""A circuit that does not bind: its nameplate times this."""
NOW_S = 1_000.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Loads that all run at full power and obey, behind their circuits."""

    loads: Loads
    circuits: Circuits
    memory: LoadMemory

    @property
    def full_w(self) -> Floats:
        """(loads,): what each draws at full power."""
        return self.memory.learned_w[self.loads.index, self.loads.top]


def fleet(rng: np.random.Generator, count: int, *, containers: int = 0, bound: bool = False) -> Fleet:
    """A random site.

    Args:
        rng: draws everything.
        count: of loads.
        containers: the innermost circuits; above them 10 halls and the site's feeder. 0 = no circuits.
        bound: the containers allow 40–95 % of what they draw; else they leave room.
    """
    models = [load_profile(name) for name in profile_names() if name.startswith("sim-")]
    # Those with a reversion timer are models that are there already.
    orderable = [model for model in models if model.role is Role.LOAD and model.setpoint is not None]
    models = [model for model in orderable if model.setpoint and model.setpoint.reversion is None]
    miners = [model for model in models if model.name != "sim-gpu-rack"]
    racks = [model for model in models if model.name == "sim-gpu-rack"]
    chosen = rng.random(count) < RACKS
    which = rng.integers(0, len(miners), count)
    profiles = [racks[0] if rack else miners[index] for rack, index in zip(chosen, which, strict=True)]
    home = np.arange(count) * containers // count if containers else np.full(count, -1)
    specs = [
        LoadSpec(row, profile, circuit=circuit)
        for row, (profile, circuit) in enumerate(zip(profiles, home.tolist(), strict=True))
    ]
    prices = Economics(per_ths=0.0021 * rng.uniform(0.5, 2.0), per_gpu=rng.uniform(1.0, 3.0))
    loads = Loads.build(specs, prices)
    learned_w = _learned_w(rng, loads)
    memory = replace(
        LoadMemory.fresh(loads),
        level=loads.top.copy(),
        seen_s=np.full(count, NOW_S - 0.5),
        learned_w=learned_w,
        met=np.ones(learned_w.shape, dtype=np.bool_),
    )
    return Fleet(loads, _circuits(rng, loads, learned_w, home, containers, bound=bound), memory)


def _learned_w(rng: np.random.Generator, loads: Loads) -> Floats:
    """Units differ by 2 %, and what was learned of single levels by 0.5 %."""
    unit = np.clip(rng.normal(1.0, 0.02, len(loads)), 0.95, 1.05)[:, None]
    single = rng.normal(1.0, 0.005, loads.watts.shape)
    learned_w = np.maximum.accumulate(loads.watts * unit * single, axis=1)
    top_w = learned_w[loads.index, loads.top][:, None]
    beyond = np.arange(learned_w.shape[1]) > loads.top[:, None]
    return np.where(beyond, top_w, learned_w)


def _circuits(
    rng: np.random.Generator, loads: Loads, learned_w: Floats, home: Ints, containers: int, *, bound: bool
) -> Circuits:
    if not containers:
        return Circuits.build([], [], loads.circuit)
    full_w = np.bincount(home, learned_w[loads.index, loads.top])
    lowest_w = np.bincount(home, learned_w[:, 0])
    share = rng.uniform(0.4, 0.95, containers) if bound else np.full(containers, ROOMY)
    hall = np.arange(containers) * HALLS // containers
    hall_w = np.bincount(hall, full_w)
    max_w = [*np.maximum(share * full_w, 1.05 * lowest_w), *(ROOMY * hall_w), ROOMY * full_w.sum()]
    parents = [*(containers + hall).tolist(), *[containers + HALLS] * HALLS, -1]
    return Circuits.build([float(watts) for watts in max_w], parents, loads.circuit)


def situation(look: Look, limit_w: float) -> Situation:
    """A limit that is to be met within a minute, with nothing else in the way."""
    return Situation(
        now_s=look.now_s,
        measured_w=look.measured_w,
        excluded=np.zeros(len(look.loads), dtype=np.bool_),
        limit_w=limit_w,
        deadline_s=look.now_s + 60.0,
        uncontrolled_w=0.0,
        margin_w=0.0,
        deadband_w=0.0,
        ceiling_w=limit_w,
        may_rise=True,
    )


def look(site: Fleet, memory: LoadMemory | None = None) -> Look:
    """The loads as measured: as they were ordered. Nothing is worked out yet."""
    memory = replace(site.memory) if memory is None else memory
    return Look(memory, site.loads, memory.at_level_w(), NOW_S)


def situations(rng: np.random.Generator, site: Fleet) -> Iterator[tuple[str, Situation, Look]]:
    """One of each kind, without end; with its name."""
    full_w = float(site.full_w.sum())
    while True:
        at_full = look(site)
        yield "a lower limit", situation(at_full, rng.uniform(0.35, 0.98) * full_w), at_full
        unruly = _unruly(rng, site)
        hurried = situation(unruly, rng.uniform(0.35, 0.9) * full_w)
        yield "the same, some disobey, 10 s", replace(hurried, deadline_s=NOW_S + 10.0), unruly
        part = _part(rng, site)
        yield "a lower one from part load", situation(part, rng.uniform(0.6, 0.99) * part.loads_w), part
        part = _part(rng, site)
        yield "a higher one, no ramp", situation(part, rng.uniform(part.loads_w, full_w)), part
        part = _part(rng, site)
        ramped = situation(part, full_w)
        ramped = replace(ramped, ceiling_w=part.loads_w + 0.002 * full_w, at_once_w=20_000.0)
        yield "a higher one, on the ramp", ramped, part
        ahead = tuple(Ahead(float(in_s), rng.uniform(0.4, 0.9) * full_w) for in_s in (2, 10, 25))
        at_full = look(site)
        yield "three announced steps", replace(situation(at_full, full_w), ahead=ahead), at_full


def _part(rng: np.random.Generator, site: Fleet) -> Look:
    level = np.minimum(rng.integers(0, site.loads.watts.shape[1], len(site.loads)), site.loads.top)
    return look(site, replace(site.memory, level=level))


def _unruly(rng: np.random.Generator, site: Fleet) -> Look:
    """5 % disobey, 2 % have not answered for a minute, 10 % have an order under way."""
    count = len(site.loads)
    seen_s = np.where(rng.random(count) < 0.02, NOW_S - 60.0, NOW_S - 0.5)
    memory = replace(
        site.memory,
        obeys=rng.random(count) >= 0.05,
        seen_s=seen_s,
        ordered_s=np.where(rng.random(count) < 0.1, NOW_S - 1.0, -np.inf),
    )
    measured_w = np.where(seen_s < NOW_S - 10.0, np.nan, memory.at_level_w())
    return Look(memory, site.loads, measured_w, NOW_S)
