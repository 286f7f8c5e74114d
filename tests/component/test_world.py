"""The whole daemon under everything at once: what it promises holds, and a seed replays exactly."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sim_devices.scenario import ScenarioDocument, load_scenario
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.world import World

SCENARIOS = Path(__file__).parent.parent / "scenarios"
STORM = load_scenario(SCENARIOS / "storm.toml")


def play(folder: Path, scenario: ScenarioDocument, seed: int, seconds: float) -> World:
    """A world after so many seconds."""

    async def played(loop: VirtualLoop) -> World:
        async with World(loop, folder, scenario, seed=seed) as world:
            await world.play(seconds)
        return world

    return run_virtual(played)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_breaks_no_promise(tmp_path: Path, seed: int) -> None:
    world = play(tmp_path, STORM, seed, 1_200)
    assert world.judge.violations == []
    assert world.judge.minutes >= 8
    assert world.switches > 50


def test_a_seed_replays_exactly(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder: Callable[[], Path] = lambda: tmp_path_factory.mktemp("world")  # noqa: E731 - short
    first, again, other = (play(folder(), STORM, seed, 300).judge.trace for seed in (4, 4, 5))
    assert first == again
    assert first != other
