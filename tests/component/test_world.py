"""The whole daemon under everything at once: what it promises holds, and a seed replays exactly."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sim_devices.scenario import DispatchTable, PlantTable, ScenarioDocument, Step, load_scenario
from sim_devices.scenario.document import OfALoad, Reboot, Switched
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


@pytest.mark.parametrize("seed", [1])
def test_a_storm_breaks_no_promise(tmp_path: Path, seed: int) -> None:
    world = play(tmp_path, STORM, seed, 1_200)
    assert world.judge.violations == []
    assert world.judge.minutes >= 8
    # Hunting would be thousands.
    assert 50 < world.switches < 600


HELD = DispatchTable(steps=[Step(at_s=0, share=0.6)])


def test_what_a_pool_outage_leaves_free_is_not_given_to_others(tmp_path: Path) -> None:
    away = OfALoad(at_s=200, for_s=100, devices="m-*", share=0.5, fault="no-work")
    scenario = ScenarioDocument(title="Outage", plant=STORM.plant, dispatch=HELD, events=[away])
    world = play(tmp_path, scenario, 1, 360)
    # 62 %, and what one of so few loads is of the whole.
    assert max(world.judge.course.power_w[295:]) < 0.64 * world.full_w
    assert min(world.judge.course.power_w[210:295]) < 0.45 * world.full_w
    assert world.judge.violations == []


def test_room_is_made_for_what_restarts_with_its_gateway_before_it_is_back(tmp_path: Path) -> None:
    """A fifth of the loads, at full power within seconds: too late for who waits until they are seen."""
    restarts = Reboot(at_s=250, for_s=30, gateways="gw-001", fault="reboot")
    plant = PlantTable(miners=100, racks=0, pdus=0, gateways=1, disobedient_share=0.0)
    scenario = ScenarioDocument(title="Restart", plant=plant, dispatch=HELD, events=[restarts])
    world = play(tmp_path, scenario, 1, 400)
    above = [watts > 0.6 * world.full_w for watts in world.judge.course.power_w[240:]]
    assert sum(above) <= 2
    assert world.judge.violations == []


def test_on_a_frozen_meter_a_lower_limit_is_met_and_nothing_rises(tmp_path: Path) -> None:
    frozen = Switched(at_s=150, for_s=200, devices="meter", fault="frozen")
    limits = ((0, 0.7), (190, 0.5), (240, 0.9))
    table = DispatchTable(steps=[Step(at_s=at_s, share=share) for at_s, share in limits])
    scenario = ScenarioDocument(title="Frozen", plant=STORM.plant, dispatch=table, events=[frozen])
    world = play(tmp_path, scenario, 1, 340)
    power_w = world.judge.course.power_w
    assert max(power_w[241:]) <= max(power_w[225:240])
    assert world.judge.violations == []


def test_without_any_meter_a_site_falls_to_failsafe_and_comes_back_with_it(tmp_path: Path) -> None:
    meters = ["meter", "check-meter"]
    frozen = Switched(at_s=60, for_s=520, devices=meters, fault="frozen")
    plant = PlantTable(miners=10, racks=0, pdus=0, check_meter=True, disobedient_share=0.0)
    scenario = ScenarioDocument(title="Frozen", plant=plant, dispatch=HELD, events=[frozen])
    world = play(tmp_path, scenario, 1, 700)
    states = world.judge.course.states
    assert "failsafe" not in states[:360]
    assert "failsafe" in states[360:580]
    assert states[-1] == "limited"
    assert world.judge.violations == []


def test_a_seed_replays_exactly(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder: Callable[[], Path] = lambda: tmp_path_factory.mktemp("world")  # noqa: E731 - short
    first, again, other = (play(folder(), STORM, seed, 240).judge.trace for seed in (4, 4, 5))
    assert first == again
    assert first != other
