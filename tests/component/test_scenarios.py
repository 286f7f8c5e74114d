"""The whole daemon through the scenarios of tests/scenarios, each as far as it takes to see its point.

`make campaign SCENARIO=broker-gone DAYS=0.2 SEEDS=1-20` plays one of them to its end.
"""

from pathlib import Path

import numpy as np
import pytest

from sim_devices.scenario import load_scenario
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.world import World

SCENARIOS = Path(__file__).parent.parent / "scenarios"
FAR_ENOUGH_S = {
    "all-models": 270,
    "bad-devices": 270,
    "broker-gone": 300,
    "frozen-meter": 370,
    "gateway-reboot": 200,
    "hot-day": 300,
    "random-steps": 240,
    "restarts": 450,
    "to-nothing": 340,
}


@pytest.mark.parametrize(("name", "seconds"), FAR_ENOUGH_S.items())
def test_a_scenario_breaks_no_promise(tmp_path: Path, name: str, seconds: float) -> None:
    scenario = load_scenario(SCENARIOS / f"{name}.toml")

    async def played(loop: VirtualLoop) -> World:
        async with World(loop, tmp_path, scenario) as world:
            await world.play(seconds)
        return world

    world = run_virtual(played)
    assert world.judge.violations == []
    # Not for want of looking, nor by shedding what need not be.
    assert world.judge.minutes >= 1
    power_w, limit_w = np.array(world.judge.course.power_w), np.array(world.judge.course.limit_w)
    there = np.isfinite(limit_w)
    assert power_w[there].mean() > 0.5 * np.minimum(limit_w[there], world.full_w).mean()
