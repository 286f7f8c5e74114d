"""How the control core holds a limit: the mixed fleet against its physics, judged by the plant's truth."""

import gc
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.control.seeds import Row, over_seeds
from benchmarks.figures import Finding, at_least, at_most
from daemon.table.table import Floats
from sim_devices.physics.behaviour import DEAD_UP, QUICK_SHARE, RAMP_UP
from sim_devices.scenario import ScenarioDocument, load_scenario
from tests.world.array_site import ArraySite, scaled

SCENARIOS = Path(__file__).resolve().parent.parent.parent / "tests" / "scenarios"
LOADS = 1_200
HOUR_S = 3_600.0
SETTLED_S = 600.0
STEP_S = 300.0
STEPS = 24
RAMP_PER_S = 0.1 / 60
"""Of the contract maximum."""


def fleet(loads: int = LOADS) -> ScenarioDocument:
    """The mixed fleet, and nothing that goes wrong but its share of bad devices."""
    mixed = scaled(load_scenario(SCENARIOS / "mixed-fleet.toml"), loads)
    return mixed.model_copy(update={"events": []})


def running(scenario: ScenarioDocument, seed: int) -> tuple[ArraySite, float]:
    """A site at full power, and what it draws."""
    site = ArraySite.of(scenario, seed=seed)
    site.quota((0, None))
    site.run(90)
    return site, float(site.plant.model.true_power_w)


# --- steps ----------------------------------------------------------------------------------------


def steps(seeds: Sequence[int], *, loads: int = LOADS) -> Finding:
    """From 100 to 60 %, said when it begins and said five minutes before."""
    rows = [
        Row("met_s", "unannounced 100 → 60 %: seconds until below for good", "s", at_most(30)),
        Row("deepest", "unannounced: deepest point below the limit", "points", at_most(4), 100),
        Row("announced_s", "announced 5 min before: seconds above", "s", at_most(0)),
        Row("announced_deepest", "announced: deepest point below the limit", "points", None, 100),
    ]
    title = f"{loads:,} loads of all models in 100 containers: a step from 100 to 60 %"
    return over_seeds("control_steps", title, seeds, rows, lambda seed: _step(fleet(loads), seed))


def _step(scenario: ScenarioDocument, seed: int) -> Mapping[str, float]:
    site, full_w = running(scenario, seed)
    limit_w = int(0.6 * full_w)
    from_s = site.model_s
    site.quota((0, limit_w))
    site.run(300)
    power_w = site.power_w(from_s)
    over = np.flatnonzero(power_w > limit_w)
    met_s = 0.0 if not over.size else float(over[-1] + 1)
    # Only what follows from the step: the first two minutes.
    deepest = float((limit_w - power_w[:120]).max()) / full_w
    site, full_w = running(scenario, seed)
    from_s = site.model_s
    site.quota((0, None), (300, limit_w))
    site.run(600)
    after_w, before_w = site.power_w(from_s + 300), site.power_w(from_s, from_s + 300)
    return {
        "met_s": met_s,
        "deepest": deepest,
        "announced_s": float((after_w > limit_w).sum()),
        "announced_deepest": float((limit_w - after_w[:120]).max()) / full_w,
        "announced_given_up_s": float(((full_w - before_w) / full_w).sum()),
    }


# --- at a constant limit --------------------------------------------------------------------------


def constant(seeds: Sequence[int], *, loads: int = LOADS, seconds: float = HOUR_S) -> Finding:
    """So long at 60 %, from ten minutes after the step on."""
    rows = [
        Row("below", "mean distance below the limit", "%", at_most(0.5), 100),
        Row("minutes_over", "clock-minute means above max(limit, floor)", "", at_most(0)),
        Row("writes", "writes an hour for 1,200 loads", "", at_most(400)),
        Row("switches", "of them switches", ""),
    ]
    title = f"{loads:,} loads of all models in 100 containers: {seconds:.0f} s at 60 %"
    return over_seeds(
        "control_constant", title, seeds, rows, lambda seed: _constant(fleet(loads), seed, seconds)
    )


def _constant(scenario: ScenarioDocument, seed: int, seconds: float) -> Mapping[str, float]:
    site, full_w = running(scenario, seed)
    limit_w = int(0.6 * full_w)
    site.quota((0, limit_w))
    site.run(SETTLED_S)
    from_s, writes, switches = site.model_s, site.writes, site.switches
    site.run(seconds)
    share = 1_200 / len(site.layout.loads) * HOUR_S / seconds
    return {
        "below": float((limit_w - site.power_w(from_s)).mean()) / limit_w,
        "minutes_over": float(len(site.judge.violations)),
        "writes": (site.writes - writes) * share,
        "switches": (site.switches - switches) * share,
    }


# --- under random steps ---------------------------------------------------------------------------


def tracking(seeds: Sequence[int], *, loads: int = LOADS, number: int = STEPS) -> Finding:
    """Random steps over 45–100 % every five minutes, half of them announced."""
    rows = [
        Row("below", "mean distance below min(limit, ramp, start-up times)", "%", at_most(1.5), 100),
        Row("below_limit", "mean distance below the limit alone", "%", None, 100),
        Row("minutes_over", "clock-minute means above max(limit, floor)", "", at_most(0)),
        Row("minutes", "minutes judged", ""),
    ]
    title = (
        f"{loads:,} loads of all models in 100 containers: {number} random steps over 45–100 % every 5 min"
    )
    remarks = ("start-up times: what the ramp allows comes later by the mean time of a start, by watts",)
    return over_seeds(
        "control_tracking", title, seeds, rows, lambda seed: _track(fleet(loads), seed, number), remarks
    )


def _track(scenario: ScenarioDocument, seed: int, number: int) -> Mapping[str, float]:
    site, full_w = running(scenario, seed)
    rng = random.Random(seed)
    from_s = site.model_s
    now = rng.uniform(0.45, 1.0)
    for _ in range(number):
        then, announced = rng.uniform(0.45, 1.0), rng.random() < 0.5
        known = ((0, int(now * full_w)), (STEP_S, int(then * full_w)))
        site.quota(*(known if announced else known[:1]))
        site.run(STEP_S)
        now = then
    power_w, limit_w = site.power_w(from_s), site.limit_w(from_s)
    possible_w = _possible_w(site, limit_w, full_w)
    return {
        "below": float((possible_w - power_w).mean() / possible_w.mean()),
        "below_limit": float((np.minimum(limit_w, full_w) - power_w).mean() / limit_w.mean()),
        "minutes_over": float(len(site.judge.violations)),
        "minutes": float(site.judge.minutes),
    }


def _possible_w(site: ArraySite, limit_w: Floats, full_w: float) -> Floats:
    """What a plant without noise would draw that is ordered perfectly: the limit, the ramp, the starts."""
    rated = site.plant.model.fleet.rated
    latency_s = rated.ramp_up_s / RAMP_UP
    start_s = (sum(DEAD_UP) / 2 + RAMP_UP / 2) * latency_s + (1 - QUICK_SHARE) * rated.warm_up_s / 2
    late_s = round(float((start_s * rated.full_w).sum() / rated.full_w.sum()))
    ceiling_w = np.empty_like(limit_w)
    before_w = min(full_w, limit_w[0])
    for second, limit in enumerate(limit_w):
        before_w = ceiling_w[second] = min(limit, full_w, before_w + RAMP_PER_S * site.contract_w)
    started_w = np.concatenate([np.full(late_s, ceiling_w[0]), ceiling_w[: len(ceiling_w) - late_s]])
    # What was ordered up a moment ago and must come down again never came.
    possible_w: Floats = np.minimum(ceiling_w, started_w)
    return possible_w


# --- a pool outage --------------------------------------------------------------------------------


def outage(seeds: Sequence[int], *, loads: int = LOADS) -> Finding:
    """At 60 % half of the load is without work for four minutes, and back within a second."""
    rows = [
        Row("peak", "peak when the load returns, of full power", "%", at_most(62), 100),
        Row("minutes_over", "clock-minute means above max(limit, floor)", "", at_most(0)),
    ]
    title = f"{loads:,} loads of all models in 100 containers at 60 %: a pool outage"
    return over_seeds("control_outage", title, seeds, rows, lambda seed: _outage(fleet(loads), seed))


def _outage(scenario: ScenarioDocument, seed: int) -> Mapping[str, float]:
    site, full_w = running(scenario, seed)
    site.quota((0, int(0.6 * full_w)))
    site.run(SETTLED_S)
    model = site.plant.model
    miners = [load for load in model.loads if load.startswith("m-")]
    away = random.Random(seed).sample(miners, len(miners) // 2)
    for load in away:
        model.set_has_work(load, has_work=False)
    site.run(240)
    from_s = site.model_s
    for load in away:
        model.set_has_work(load, has_work=True)
    site.run(300)
    return {
        "peak": float(site.power_w(from_s).max()) / full_w,
        "minutes_over": float(len(site.judge.violations)),
    }


# --- many loads -----------------------------------------------------------------------------------

DAY_S = 86_400.0


def plants(seeds: Sequence[int], *, loads: int = 30_000, seconds: float = 1_800.0) -> Finding:
    """A large mixed fleet with everything of its scenario, under random steps."""
    rows = [
        Row("speed", "pure core against its physics", "× real time", at_least(100)),
        Row("minutes_over", "clock-minute means above max(limit, floor)", "", at_most(0)),
        Row("minutes", "minutes judged", ""),
    ]
    title = f"{loads:,} loads of all models in 100 containers, {seconds:.0f} s of random steps every 5 min"
    return over_seeds(
        "control_plants", title, seeds, rows, lambda seed: long_play(seed, loads=loads, seconds=seconds)
    )


def long_play(
    seed: int, *, loads: int, seconds: float, tell: Callable[[ArraySite, float], None] | None = None
) -> Mapping[str, float]:
    """Random steps over 45–100 %, some to 0 and back, with everything that goes wrong in the scenario."""
    site, full_w = running(scaled(load_scenario(SCENARIOS / "mixed-fleet.toml"), loads), seed)
    gc.collect()
    gc.freeze()
    rng = random.Random(seed)
    begun_s, from_s = time.process_time(), site.model_s
    now = rng.uniform(0.45, 1.0)
    while site.model_s < from_s + seconds:
        then = 0.0 if rng.random() < 0.02 else rng.uniform(0.45, 1.0)
        known = ((0, int(now * full_w)), (STEP_S, int(then * full_w)))
        site.quota(*(known if rng.random() < 0.5 else known[:1]))
        site.run(min(STEP_S, from_s + seconds - site.model_s))
        now = then
        if tell is not None:
            tell(site, time.process_time() - begun_s)
    return {
        "speed": (site.model_s - from_s) / (time.process_time() - begun_s),
        "minutes_over": float(len(site.judge.violations)),
        "minutes": float(site.judge.minutes),
    }
