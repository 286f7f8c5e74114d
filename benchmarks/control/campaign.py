"""`python -m benchmarks.control.campaign SCENARIO`: long plays of the whole daemon, judged second by second.

`plants` is the pure core against 30,000 loads of the mixed fleet instead.

What was found so far is in build/bench/ after every piece, so that a play that is ended early counts too.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.control.holding import long_play
from benchmarks.control.whole import quiet
from benchmarks.figures import FOLDER
from sim_devices.scenario import ScenarioDocument, load_scenario
from tests.world.array_site import ArraySite
from tests.world.judge import Violation
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.world import World

SCENARIOS = Path(__file__).resolve().parent.parent.parent / "tests" / "scenarios"
DAY_S = 86_400.0
PIECE_S = 3_600.0
PLANTS = "plants"


@dataclass
class Progress:
    """What has been played so far."""

    scenario: str
    seed: int
    played_s: float = 0.0
    cpu_s: float = 0.0
    minutes: int = 0
    """Judged."""
    switches: int = 0
    writes: int = 0
    trace: str = ""
    violations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Times real time, of one core."""
        return self.played_s / self.cpu_s if self.cpu_s else 0.0

    def write(self) -> None:
        """Into the folder of all benchmarks."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"campaign-{self.scenario}-{self.seed}.json"
        path.write_text(json.dumps(vars(self) | {"speed": self.speed}, indent=1) + "\n", encoding="utf-8")


def play(scenario: ScenarioDocument, name: str, seed: int, seconds: float) -> Progress:
    """Play a scenario, and say every hour of it what was found."""
    progress = Progress(name, seed)

    async def played(loop: VirtualLoop) -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with World(loop, Path(folder), scenario, seed=seed) as world:
                gc.collect()
                gc.freeze()
                told = 0
                while progress.played_s < seconds:
                    begun_s = time.process_time()
                    await world.play(min(PIECE_S, seconds - progress.played_s))
                    progress.cpu_s += time.process_time() - begun_s
                    told = _take(progress, world, told)

    run_virtual(played)
    return progress


def _take(progress: Progress, world: World, told: int) -> int:
    judge = world.judge
    start_s = judge.course.wall_s[0]
    progress.played_s, progress.minutes = world.at_s, judge.minutes
    progress.switches, progress.writes, progress.trace = world.switches, world.writes, judge.trace
    for violation in judge.violations[told:]:
        at_s = violation.wall_s - start_s
        progress.violations.append({"at_s": at_s, "what": violation.what, "watts": violation.watts})
        print(f"  seed {progress.seed}, {at_s:.0f} s: {violation.what} ({violation.watts:.0f} W)", flush=True)
    progress.write()
    print(
        f"{progress.scenario} seed {progress.seed}: {progress.played_s / 3600:.1f} h, "
        f"{progress.speed:.0f} × real time, {progress.minutes} minutes judged, "
        f"{len(_minutes(judge.violations))} above, {len(judge.violations)} violations, "
        f"{progress.writes} writes",
        flush=True,
    )
    return len(judge.violations)


def play_plants(seed: int, seconds: float, loads: int) -> Progress:
    """Play the pure core against many loads, and say every step of the limit what was found."""
    progress = Progress(PLANTS, seed)

    def tell(site: ArraySite, cpu_s: float) -> None:
        judge = site.judge
        progress.played_s, progress.cpu_s, progress.minutes = site.model_s, cpu_s, judge.minutes
        progress.switches, progress.writes, progress.trace = site.switches, site.writes, judge.trace
        start_s = judge.course.wall_s[0]
        for violation in judge.violations[len(progress.violations) :]:
            found = {"at_s": violation.wall_s - start_s, "what": violation.what, "watts": violation.watts}
            progress.violations.append(found)
            print(f"  seed {seed}: {found}", flush=True)
        progress.write()
        print(
            f"{loads:,} loads, seed {seed}: {progress.played_s / 3600:.2f} h, "
            f"{progress.speed:.0f} × real time, {progress.minutes} minutes judged, "
            f"{len(judge.violations)} above",
            flush=True,
        )

    long_play(seed, loads=loads, seconds=seconds, tell=tell)
    return progress


def _minutes(violations: list[Violation]) -> list[Violation]:
    return [each for each in violations if each.what.startswith("minute")]


def _seeds(text: str) -> Iterator[int]:
    first, _, last = text.partition("-")
    yield from range(int(first), int(last or first) + 1)


def main() -> None:
    """Play a scenario with one seed after the other."""
    parser = argparse.ArgumentParser(description="the whole daemon through a scenario, judged from outside")
    parser.add_argument("scenario", help="a name in tests/scenarios, or a file")
    parser.add_argument("--seeds", default="1", help="3, or 1-20")
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--loads", type=int, default=30_000, help=f"of {PLANTS}; 30000")
    asked = parser.parse_args()
    quiet()
    if asked.scenario == PLANTS:
        found = [play_plants(seed, asked.days * DAY_S, asked.loads) for seed in _seeds(asked.seeds)]
    else:
        found = _play_file(asked.scenario, asked.seeds, asked.days * DAY_S)
    if any(each.violations for each in found):
        raise SystemExit(1)


def _play_file(name: str, seeds: str, seconds: float) -> list[Progress]:
    file = Path(name)
    if not file.suffix:
        file = SCENARIOS / f"{file}.toml"
    scenario = load_scenario(file)
    return [play(scenario, file.stem, seed, seconds) for seed in _seeds(seeds)]


if __name__ == "__main__":
    main()
