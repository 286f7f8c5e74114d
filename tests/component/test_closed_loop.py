"""The control core against the plant's physics: what the site promises, second by second and by the truth."""

import random

import pytest

from daemon.authority.machine import State
from daemon.metering.site_power import PowerSource
from tests.world.pure_site import PureSite

SEEDS = [1, 2, 5]


def running(seed: int, *, miners: int = 120, racks: int = 3, **more: float) -> tuple[PureSite, float]:
    """A site at full power for long enough to know itself, and what it draws."""
    site = PureSite.build(miners=miners, racks=racks, seed=seed, **more)
    site.quota((0, None))
    site.run(40)
    return site, site.plant.model.true_power_w


def above(site: PureSite, from_s: float) -> list[tuple[int, int]]:
    """(second since `from_s`, W above the limit) of every clock-second whose mean power is above it."""
    seconds = site.means(from_s, site.model_s)
    return [(round(s - from_s), round(watts - limit)) for s, watts, limit in seconds if watts > limit]


def mean_w(site: PureSite, from_s: float) -> float:
    seconds = site.means(from_s, site.model_s)
    return sum(watts for _, watts, _ in seconds) / len(seconds)


# --- down ---


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_to_60_percent_is_met_within_the_settling_window_and_kept(seed: int) -> None:
    site, full_w = running(seed)
    site.quota((0, int(0.6 * full_w)))
    site.run(30)
    after_s = site.model_s
    site.run(150)
    assert above(site, after_s) == []


def test_a_shorter_window_is_met_too_by_bridging_the_slow_ones() -> None:
    site, full_w = running(2, settle_s=10.0)
    site.quota((0, int(0.6 * full_w)))
    site.run(10)
    after_s = site.model_s
    site.run(150)
    assert above(site, after_s) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_announced_lower_steps_are_met_at_their_start(seed: int) -> None:
    site, full_w = running(seed)
    begun_s = site.model_s
    site.quota((0, None), (60, int(0.6 * full_w)), (180, int(0.4 * full_w)), (300, 0))
    site.run(299)
    assert above(site, begun_s) == []


def test_random_limits_are_kept_after_every_settling_window() -> None:
    site, full_w = running(3)
    rng = random.Random(3)
    for _ in range(8):
        site.quota((0, int(rng.uniform(0.45, 1.0) * full_w)))
        site.run(30)
        after_s = site.model_s
        site.run(70)
        assert above(site, after_s) == []


def test_a_quota_of_zero_sheds_everything_that_can_be_shed() -> None:
    site, _ = running(1)
    site.quota((0, 0))
    site.run(60)
    model = site.plant.model
    assert all(load.asleep for load in model.loads.values() if not load.disobeys)
    assert model.true_power_w == pytest.approx(model.floor_w(), rel=0.01)
    assert site.result is not None
    assert site.result.lowest_w == pytest.approx(model.floor_w(), rel=0.02)


# --- level ---


def test_a_constant_limit_is_used_to_within_2_5_percent_without_a_storm_of_writes() -> None:
    site, full_w = running(1)
    limit_w = int(0.6 * full_w)
    site.quota((0, limit_w))
    site.run(300)
    from_s, writes = site.model_s, site.controller.dispatcher.writes
    site.run(1_200)
    assert above(site, from_s) == []
    assert mean_w(site, from_s) > 0.975 * limit_w
    # 400 an hour for 1,200 loads would be 14 here.
    assert site.controller.dispatcher.writes - writes <= 14


def test_equal_worlds_take_equal_courses() -> None:
    courses = []
    for _ in range(2):
        site, full_w = running(7, miners=40, racks=1)
        site.quota((0, int(0.5 * full_w)), (60, int(0.8 * full_w)))
        site.run(120)
        courses.append((site.history, site.controller.dispatcher.writes))
    assert courses[0] == courses[1]


# --- up ---


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_the_way_back_keeps_to_the_ramp(seed: int) -> None:
    site, full_w = running(seed)
    site.quota((0, 0))
    site.run(60)
    begun_s = site.model_s
    site.quota((0, None))
    site.run(12 * 60)
    watts = [watts for _, watts, _ in site.means(begun_s, site.model_s)]
    steepest_w = max(later - now for now, later in zip(watts, watts[60:], strict=False))
    assert steepest_w < 0.115 * site.contract_w  # 10 % a minute; a load's own warm-up is not ours to pace
    assert watts[-1] > 0.995 * full_w


@pytest.mark.parametrize(("miners", "racks"), [(4, 0), (20, 1)])
def test_a_site_whose_steps_are_larger_than_its_ramp_comes_back_as_well(miners: int, racks: int) -> None:
    site, full_w = running(1, miners=miners, racks=racks)
    site.quota((0, 0))
    site.run(60)
    site.quota((0, None))
    site.run(15 * 60)
    assert site.plant.model.true_power_w > 0.99 * full_w


# --- without a lease, without a meter ---


def test_the_failsafe_ramp_is_followed_and_left_again() -> None:
    site = PureSite.build(miners=60, racks=2, seed=1, failsafe_w=100_000)
    site.quota((0, None))
    site.run(40)
    site.leasing = False
    site.run(600)
    assert above(site, 40) == []
    assert site.controller.authority.state is State.FAILSAFE
    assert site.plant.model.true_power_w < 100_000
    site.leasing = True
    site.lease()
    site.run(12 * 60)
    assert site.plant.model.true_power_w > 0.9 * site.plant.nameplate_w


def test_while_the_meter_is_silent_nothing_rises_and_a_lower_limit_is_met() -> None:
    site, full_w = running(2)
    site.quota((0, int(0.7 * full_w)))
    site.run(120)
    site.silent = {"meter"}
    site.run(5)
    from_s, before_w = site.model_s, site.plant.model.true_power_w
    site.quota((0, None))
    site.run(60)
    assert site.result is not None
    assert site.result.power.source is PowerSource.ESTIMATE
    assert max(watts for _, watts, _ in site.means(from_s, site.model_s)) < 1.002 * before_w
    site.quota((0, int(0.5 * full_w)))
    site.run(30)
    from_s = site.model_s
    site.run(60)
    assert above(site, from_s) == []
    site.silent = set()
    site.quota((0, None))
    site.run(300)
    assert site.plant.model.true_power_w > 0.8 * full_w


# --- who does not do as told ---


def test_a_tenth_that_ignores_orders_is_named_and_made_up_for() -> None:
    site, full_w = running(1)
    rebels = [load for index, load in enumerate(site.plant.model.loads) if index % 10 == 0]
    for load in rebels:
        site.plant.model.set_disobeys(load, disobeys=True)
    site.quota((0, int(0.6 * full_w)))
    site.run(30)
    from_s = site.model_s
    site.run(300)
    assert above(site, from_s) == []
    assert mean_w(site, from_s + 60) > 0.975 * 0.6 * full_w
    rows = site.layout.loads.rows[site.controller.dispatcher.disobeying(site.controller.memory)]
    named = {site.layout.devices[row].id for row in rows}
    ordered = {load for load in rebels if site.plant.model.loads[load].ordered_w is not None}
    assert named >= ordered


def test_loads_behind_a_dead_gateway_are_made_up_for() -> None:
    site, full_w = running(1)
    site.silent = set(list(site.plant.model.loads)[::5])
    site.run(5)
    site.quota((0, int(0.6 * full_w)))
    site.run(30)
    from_s = site.model_s
    site.run(300)
    assert above(site, from_s) == []
    site.silent = set()
    from_s = site.model_s
    site.run(120)
    assert above(site, from_s) == []


def test_loads_that_wake_at_full_power_are_put_back_within_seconds() -> None:
    site, full_w = running(1)
    site.quota((0, int(0.6 * full_w)))
    site.run(200)
    from_s = site.model_s
    for load in list(site.plant.model.loads)[:20]:
        site.plant.model.reboot(load)
    site.run(180)
    assert len(above(site, from_s)) <= 5
    assert above(site, from_s + 15) == []
