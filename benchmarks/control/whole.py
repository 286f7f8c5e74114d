"""How the whole daemon holds a limit, in the world: failsafe, and how fast the world is."""

import gc
import logging
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog

from benchmarks.control.seeds import Row, over_seeds
from benchmarks.figures import Finding, at_least, at_most
from sim_devices.scenario import DispatchTable, PlantTable, RandomSteps, ScenarioDocument, Span, Step
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.world import World

T = TypeVar("T")

TIMEOUT_S = 120.0
SILENT_S = 900.0
HOUR_S = 3_600.0


def quiet() -> None:
    """Say nothing of what a daemon says."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)


def in_world(scenario: ScenarioDocument, seed: int, then: Callable[[World], Coroutine[Any, Any, T]]) -> T:
    """Do something in a world of a scenario."""
    quiet()

    async def played(loop: VirtualLoop) -> T:
        with tempfile.TemporaryDirectory() as folder:
            async with World(loop, Path(folder), scenario, seed=seed) as world:
                gc.collect()
                return await then(world)

    return run_virtual(played)


# --- failsafe -------------------------------------------------------------------------------------


def failsafe(seeds: Sequence[int]) -> Finding:
    """The dispatcher falls silent at 90 %."""
    rows = [
        Row("begins_s", "failsafe begins, after the last lease", "s", at_most(TIMEOUT_S + 2)),
        Row("over_s", "clock-minute means above the ramp", "", at_most(0)),
        Row("broken", "other promises broken", "", at_most(0)),
        Row("left_pct", "power 10 min after, of the failsafe limit", "%"),
    ]
    scenario = ScenarioDocument(
        title="Silence",
        plant=PlantTable(miners=90, racks=4, pdus=4),
        dispatch=DispatchTable(steps=[Step(at_s=0, share=0.9)], silent=[Span(at_s=600, for_s=SILENT_S)]),
    )
    return over_seeds(
        "control_failsafe",
        "100 devices, the whole daemon: no lease any more at 90 %",
        seeds,
        rows,
        lambda seed: in_world(scenario, seed, _fall),
    )


async def _fall(world: World) -> Mapping[str, float]:
    await world.play(600 + SILENT_S - 30)
    judge = world.judge
    course, begun = judge.course, judge.course.wall_s[0]
    minutes = [each for each in judge.violations if each.what.startswith("minute")]
    begins_s = course.wall_s[course.states.index("failsafe")] - world.dispatcher.last_lease_s
    end_w = course.power_w[-1]
    return {
        "begins_s": begins_s,
        "over_s": float(len(minutes)),
        "broken": float(len(judge.violations) - len(minutes)),
        "left_pct": 100 * end_w / world.failsafe_w,
        "played_s": course.wall_s[-1] - begun,
    }


# --- speed ----------------------------------------------------------------------------------------


def speed(seeds: Sequence[int]) -> Finding:
    """An hour of 100 devices, at a constant limit and under steps."""
    rows = [
        Row("constant", "whole daemon, 100 devices every 5 s, constant limit", "×", at_least(200)),
        Row("steps", "the same, a random step every 5 min", "×"),
    ]
    return over_seeds(
        "control_speed", "How much faster than real time the world is, on one core", seeds, rows, _speeds
    )


def _speeds(seed: int) -> Mapping[str, float]:
    plant = PlantTable(miners=91, racks=2, pdus=5)
    level = DispatchTable(steps=[Step(at_s=0, share=0.6)])
    steps = DispatchTable(random_steps=RandomSteps())
    found = {}
    for name, table in (("constant", level), ("steps", steps)):
        scenario = ScenarioDocument(title=name, plant=plant, dispatch=table)
        found[name] = in_world(scenario, seed, _hour)
    return found


async def _hour(world: World) -> float:
    await world.play(600)
    begun_s = time.process_time()
    await world.play(HOUR_S)
    return HOUR_S / (time.process_time() - begun_s)
