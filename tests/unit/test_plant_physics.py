"""The simulated plant's physics."""

import copy
import time

import pytest

from drivers.profiles import load_profile
from sim_devices.layout import Layout, lay_out
from sim_devices.physics import Behaviour, Cooling, Load, LoadSpec, Meter, PduSpec, PlantModel

STEP_S = 0.1
FAST = Behaviour.of(load_profile("sim-miner"), warm_up_s=30, output_warm_up_s=300)
SLOW = Behaviour.of(load_profile("sim-miner-s19j-pro"), warm_up_s=30, output_warm_up_s=300)
RACK = Behaviour.of(load_profile("sim-gpu-rack"), warm_up_s=0, output_warm_up_s=0)


def site(miners: int = 240, racks: int = 6, seed: int = 1, **options: object) -> Layout:
    return lay_out(miners=miners, racks=racks, pdus=None, seed=seed, profile=load_profile, **options)  # type: ignore[arg-type]  # options pass through


def run(model: PlantModel, seconds: float) -> list[float]:
    course = []
    for _ in range(round(seconds / STEP_S)):
        model.step(STEP_S)
        course.append(model.true_power_w)
    return course


def seconds_until_w(model: PlantModel, load: Load, watts: float, within_s: float = 120) -> float:
    started = model.now_s
    while load.draw_w > watts:
        model.step(STEP_S)
        assert model.now_s - started < within_s
    return model.now_s - started


def one(behaviour: Behaviour, seed: int = 1) -> tuple[PlantModel, Load]:
    model = PlantModel([LoadSpec("a", behaviour, seed)])
    return model, model.loads["a"]


def test_the_default_site_draws_about_a_megawatt_of_four_models() -> None:
    layout = site()
    assert layout.model.true_power_w == pytest.approx(1_000_000, rel=0.1)
    models = [spec.profile for spec in layout.specs if spec.id.startswith("m-")]
    assert {name: models.count(name) for name in set(models)} == {
        "sim-miner": 80,
        "sim-miner-m60s": 60,
        "sim-miner-a1566": 60,
        "sim-miner-s19j-pro": 40,
    }
    assert len(layout.model.pdus) == 12


@pytest.mark.parametrize("seed", range(5))
def test_the_share_of_the_disobedient_is_exact_for_every_seed(seed: int) -> None:
    assert sum(load.disobeys for load in site(seed=seed).model.loads.values()) == 5


def test_another_seed_picks_other_disobedient_miners() -> None:
    def chosen(seed: int) -> set[str]:
        return {load.id for load in site(seed=seed).model.loads.values() if load.disobeys}

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)


def test_equal_seeds_and_orders_give_an_equal_course() -> None:
    def course(seed: int) -> list[float]:
        model = site(24, 1, seed).model
        run(model, 3)
        for load_id in model.loads:
            model.order(load_id, 0)
        run(model, 30)
        for load_id in model.loads:
            model.order(load_id, None)
        return [*run(model, 30), model.meter.power_w]

    assert course(7) == course(7)
    assert course(7) != course(8)


def test_energy_is_the_integral_of_the_true_power() -> None:
    model = site(40, 2).model
    register_wh = model.meter.register_wh
    for load_id in list(model.loads)[:20]:
        model.order(load_id, 0)
    integral_wh = sum(run(model, 60)) * STEP_S / 3600
    assert model.true_energy_wh == pytest.approx(integral_wh, rel=1e-9)
    assert model.meter.register_wh - register_wh == int(model.true_energy_wh)


def test_a_loads_energy_is_the_integral_of_its_draw_though_it_is_not_stepped_when_settled() -> None:
    model, load = one(FAST)
    integral_wh = 0.0
    for second in range(600):
        if second == 100:
            model.order("a", 2000)
        if second == 300:
            model.reboot("a")
        model.step(1.0)
        integral_wh += load.draw_w / 3600
    assert load.energy_wh(model.now_s) == pytest.approx(integral_wh, rel=1e-9)


def test_a_site_is_the_sum_of_what_its_parts_really_draw() -> None:
    model = site(40, 2).model
    run(model, 5)
    parts_w = sum(load.draw_w for load in model.loads.values()) + model.cooling.draw_w + model.fixed_w
    assert model.true_power_w == pytest.approx(parts_w + 2 * 12.0)
    assert model.fixed_w == pytest.approx(0.03 * site(40, 2).nameplate_w)


def test_the_meters_noise_stays_within_its_class_and_uses_it() -> None:
    meter = Meter("meter", 1e6, seed=3)
    errors = []
    for _ in range(5000):
        meter.step(1e6, 1.0)
        errors.append(meter.power_w / 1e6 - 1)
    assert max(map(abs, errors)) <= 0.005 + 1e-9
    assert max(map(abs, errors)) > 0.004
    assert abs(sum(errors) / len(errors)) < 0.0001


def test_the_meter_shows_a_change_only_after_its_refresh() -> None:
    meter = Meter("meter", 0, seed=1)
    for _ in range(9):
        meter.step(1000, 0.1)
    assert meter.power_w == 0
    meter.step(1000, 0.1)
    assert meter.power_w == pytest.approx(1000, rel=0.006)


def test_cooling_is_a_share_of_the_load_and_lags_a_minute() -> None:
    cooling = Cooling(100_000)
    assert cooling.draw_w == pytest.approx(6_000)
    for _ in range(600):
        cooling.step(0, 0.1)
    assert cooling.draw_w == pytest.approx(6_000 / 2.71828, rel=0.01)


def test_a_fast_miner_sleeps_within_its_latency_but_not_at_once() -> None:
    model, load = one(FAST)
    model.order("a", 0)
    model.step(STEP_S)
    assert load.draw_w > 3000
    assert 1.0 < seconds_until_w(model, load, 30) <= 2.5


def test_the_slow_class_draws_on_for_twenty_seconds() -> None:
    for seed in range(20):
        model, load = one(SLOW, seed)
        full_w = load.draw_w
        model.order("a", 0)
        run(model, 20)
        assert load.draw_w == full_w
        assert 20 + seconds_until_w(model, load, 60) < 27


def test_a_target_is_met_to_the_spread_between_units_and_rounded_down_to_a_step() -> None:
    model, load = one(FAST)
    model.order("a", 2100.7)
    run(model, 5)
    assert load.ordered_w == 2100
    assert load.draw_w == pytest.approx(2100 * load.factor)
    model, load = one(SLOW)
    model.order("a", 3000)
    assert load.ordered_w == 2290


def test_a_target_below_the_floor_is_silently_ignored() -> None:
    model, load = one(FAST)
    before_w = load.draw_w
    model.order("a", 1000)
    run(model, 10)
    assert load.ordered_w is None
    assert load.draw_w == before_w


def test_repeating_an_order_does_not_restart_its_latency() -> None:
    model, load = one(SLOW)
    model.order("a", 0)
    for _ in range(30):
        run(model, 1)
        model.order("a", 0)
    assert load.draw_w == 60


def test_power_comes_back_before_output_and_both_warm_up() -> None:
    model, load = one(FAST)
    model.order("a", 0)
    run(model, 5)
    assert load.asleep
    assert model.output("a") == 0
    model.order("a", None)
    run(model, 10)
    assert 0.8 * 3500 < load.draw_w < 0.95 * 3500 * load.factor
    assert 0 < model.output("a") < 0.1 * 200
    run(model, 35)
    assert load.draw_w == pytest.approx(3500 * load.factor)
    run(model, 300)
    assert model.output("a") == pytest.approx(200)
    assert load.settled


def test_output_follows_the_efficiency_curve() -> None:
    model, _ = one(FAST)
    model.order("a", 1750)
    run(model, 10)
    assert model.output("a") == pytest.approx(200 * 0.575)
    model.order("a", 1925)
    run(model, 15)
    assert model.output("a") == pytest.approx(200 * (0.575 + 0.67) / 2)


def test_a_rack_can_be_capped_to_its_floor_and_paused_to_its_idle_draw() -> None:
    model, load = one(RACK)
    model.order("a", 12_450)
    run(model, 10)
    assert load.draw_w == pytest.approx(12_450 * load.factor)
    model.order("a", 0)
    run(model, 10)
    assert load.draw_w == 4600
    assert model.output("a") == 0


def test_a_disobedient_miner_shows_the_order_and_draws_on_until_it_is_cured() -> None:
    model, load = one(FAST)
    full_w = load.draw_w
    model.set_disobeys("a", disobeys=True)
    model.order("a", 0)
    run(model, 30)
    assert load.ordered_w == 0
    assert load.draw_w == full_w
    assert model.floor_w() == pytest.approx(model.true_power_w)
    model.set_disobeys("a", disobeys=False)
    run(model, 5)
    assert load.draw_w == 30


def test_a_reboot_forgets_the_set_point_and_comes_back_at_full_power() -> None:
    model, load = one(FAST)
    model.order("a", 0)
    run(model, 5)
    model.reboot("a")
    assert load.ordered_w is None
    run(model, 60)
    assert load.draw_w == pytest.approx(3500 * load.factor)


def test_a_pdu_sums_its_outlets_and_switches_them() -> None:
    specs = [LoadSpec(name, FAST, seed=index) for index, name in enumerate("ab")]
    model = PlantModel(specs, pdus=[PduSpec("p", ("a", "b", None))])
    pdu, loads = model.pdus["p"], list(model.loads.values())
    model.step(STEP_S)
    assert pdu.power_w == pytest.approx(12 + loads[0].draw_w + loads[1].draw_w)
    model.switch("p", 1, on=False)
    model.step(STEP_S)
    assert pdu.outlet_w(1) == 0
    assert pdu.power_w == pytest.approx(12 + loads[1].draw_w)
    model.switch("p", 1, on=True)
    run(model, 60)
    assert pdu.outlet_w(1) == pytest.approx(3500 * loads[0].factor)


def test_the_floor_is_reached_and_not_undercut_when_everything_is_told_to_sleep() -> None:
    model = site(60, 1).model
    for load_id in model.loads:
        model.order(load_id, 0)
    run(model, 30)
    assert model.true_power_w == pytest.approx(model.floor_w())
    disobedient_w = sum(load.draw_w for load in model.loads.values() if load.disobeys)
    assert disobedient_w > 3000
    assert model.floor_w(outlets=True) == pytest.approx(model.floor_w() - disobedient_w)


def test_a_twin_goes_on_alike_and_leaves_the_original_alone() -> None:
    model = site(24, 1).model
    model.order("m-01-01", 0)
    run(model, 1)
    twin = copy.deepcopy(model)
    assert model.lowest_w(30) < 0.4 * model.true_power_w
    assert run(twin, 20) == run(model, 20)
    assert twin.meter.power_w == model.meter.power_w


def test_a_step_of_the_default_site_is_cheap() -> None:
    model = site().model
    for load_id in model.loads:
        model.order(load_id, 0)
    started = time.process_time()
    run(model, 20)
    assert (time.process_time() - started) / 200 < 0.005
