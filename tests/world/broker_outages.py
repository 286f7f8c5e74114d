"""`python -m tests.world.broker_outages`: the whole daemon in virtual time; its broker is away, or flaps.

The judge asks the limit oracle every second; what the daemon has on its heap is weighed before and after.
"""

import argparse
import gc
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim_devices.scenario import DispatchTable, PlantTable, RandomSteps, ScenarioDocument
from tests.world.judge import Violation
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.malicious_broker import quiet
from tests.world.world import World

SETTLED_S = 150.0
"""The site is under way, and everything that is kept once is kept."""
AFTER_S = 150.0
"""From failsafe back to the quota."""
PARTS = ("daemon", "drivers")
ROOM_BYTES = 250_000
"""What a heap of the daemon's may come and go by: a record, a state, a queue of one more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    violations: Sequence[Violation]
    states: frozenset[str]
    """That the site was in."""
    judged_s: int
    grown_bytes: int
    """On the daemon's heap, from before the outage to after it."""
    limit_w: float
    """In the end."""


def away(world: World, for_s: float) -> float:
    """One long outage; when it is over."""
    world.at(SETTLED_S, world.cut)
    world.at(SETTLED_S + for_s, world.mend)
    return SETTLED_S + for_s


def flapping(world: World, for_s: float) -> float:
    """Gone for a second, back for a second; when it is over."""
    for turn in range(int(for_s / 2)):
        world.at(SETTLED_S + 2 * turn, world.cut)
        world.at(SETTLED_S + 2 * turn + 1, world.mend)
    return SETTLED_S + for_s


async def play(
    loop: VirtualLoop, folder: Path, trouble: Callable[[World, float], float], for_s: float, seed: int
) -> Outcome:
    """The trouble, and what the daemon makes of it. A new quota comes every 10 minutes, broker or not."""
    table = DispatchTable(random_steps=RandomSteps(every_s=600, announced_share=0.5))
    plant = PlantTable(miners=4, racks=0, pdus=0, containers=1, disobedient_share=0.0)
    scenario = ScenarioDocument(title="Outage", plant=plant, dispatch=table)
    async with World(loop, folder, scenario, seed=seed, period_s=10.0, step_s=5.0) as world:
        over_s = trouble(world, for_s)
        await world.play(SETTLED_S - 1)
        before = _heap_bytes(world)
        await world.play(over_s + AFTER_S - (SETTLED_S - 1))
        course = world.judge.course
        grown = _heap_bytes(world) - before
        return Outcome(
            world.judge.violations, frozenset(course.states), len(course.states), grown, course.limit_w[-1]
        )


def _heap_bytes(world: World) -> int:
    """What code of the daemon has allocated and not given back; 0 while nobody counts."""
    if not tracemalloc.is_tracing():
        return 0
    # What the dispatcher has heard is read by the same code.
    for heard in (world.dispatcher.events, world.dispatcher.answers):
        heard.clear()
    gc.collect()
    mine = [tracemalloc.Filter(inclusive=True, filename_pattern=f"*/{part}/*") for part in PARTS]
    return sum(each.size for each in tracemalloc.take_snapshot().filter_traces(mine).statistics("filename"))


def run(
    trouble: Callable[[World, float], float], for_s: float, seed: int = 1, *, weighed: bool = True
) -> Outcome:
    """One run; `weighed` = every allocation is counted, which takes twice the time."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        if weighed:
            tracemalloc.start()
        try:
            return run_virtual(lambda loop: play(loop, Path(folder), trouble, for_s, seed))
        finally:
            tracemalloc.stop()


def main() -> int:
    """Three hours away, and ten minutes of flapping."""
    parser = argparse.ArgumentParser(description="Take the broker from the daemon.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--away", type=float, default=3 * 3600.0, help="seconds")
    parser.add_argument("--flapping", type=float, default=600.0, help="seconds")
    options = parser.parse_args()
    bad = False
    for seed in range(1, options.seeds + 1):
        for trouble, for_s in ((away, options.away), (flapping, options.flapping)):
            outcome = run(trouble, for_s, seed)
            wrong = bool(outcome.violations) or outcome.grown_bytes > ROOM_BYTES
            bad = bad or wrong
            sys.stdout.write(
                f"seed {seed}, {trouble.__name__} {for_s:g} s: {'WRONG ' if wrong else ''}"
                f"{len(outcome.violations)} violations in {outcome.judged_s} s, {sorted(outcome.states)}, "
                f"heap {outcome.grown_bytes / 1000:+.0f} kB; {time.process_time():.0f} s of CPU\n"
            )
            for violation in outcome.violations[:5]:
                sys.stdout.write(f"  {violation}\n")
            sys.stdout.flush()
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
