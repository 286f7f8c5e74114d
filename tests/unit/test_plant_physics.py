"""The simulated plant's physics."""

import copy
import sys
import time
from typing import Any

import pytest

from drivers.profiles import load_profile
from sim_devices.layout import Layout, lay_out
from sim_devices.physics import Behaviour, Cooling, Load, LoadSpec, Meter, PduSpec, PlantModel, Weather

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


def test_one_that_restarts_on_a_write_is_dark_for_minutes_and_back_within_ten() -> None:
    kind = Behaviour.of(load_profile("sim-miner-m50s-restarting"), warm_up_s=30, output_warm_up_s=300)
    for seed in range(10):
        model, load = one(kind, seed)
        model.order("a", 2500)
        course = []
        for _ in range(650):
            model.step(1.0)
            course.append(load.draw_w)
        assert course[2] == kind.sleep_w
        assert course[:120].count(kind.sleep_w) > 110
        assert course[-1] == pytest.approx(2500 * load.factor)
        assert next(second for second, watts in enumerate(course) if watts > 0.95 * 2500 * load.factor) < 640
        model.order("a", 0)
        run(model, 5)
        assert load.draw_w == kind.sleep_w


@pytest.mark.parametrize("behaviour", [FAST, SLOW])
def test_an_order_that_was_forgotten_takes_no_effect(behaviour: Behaviour) -> None:
    model, load = one(behaviour)
    model.order("a", 0)
    model.step(STEP_S)
    model.reboot("a")
    run(model, 400)
    assert (load.asleep, load.settled) == (False, True)
    assert load.draw_w == pytest.approx(behaviour.full_w * load.factor)
    model.order("a", 0)
    model.step(STEP_S)
    model.set_disobeys("a", disobeys=True)
    before_w = load.draw_w
    run(model, 60)
    assert load.draw_w == before_w


def test_without_work_a_load_idles_at_most_at_what_it_is_allowed() -> None:
    model, load = one(FAST)
    assert model.output("a") == 200
    model.set_has_work("a", has_work=False)
    assert (load.draw_w, model.output("a"), load.settled) == (200, 0, True)
    model.order("a", 0)
    run(model, 5)
    assert load.draw_w == 30
    model.set_has_work("a", has_work=True)
    assert load.draw_w == 30


def test_energy_is_counted_across_an_outage_of_the_work() -> None:
    model, load = one(FAST)
    full_w = load.draw_w
    for second in range(300):
        if second in {100, 200}:
            model.set_has_work("a", has_work=second == 200)
        model.step(1.0)
    assert load.energy_wh(model.now_s) == pytest.approx((200 * full_w + 100 * 200) / 3600)


def test_a_misreading_changes_what_is_shown_from_then_on_and_nothing_that_is_true() -> None:
    model, load = one(FAST)
    model.step(1.0)
    fleet = model.fleet
    before_wh, own = float(fleet.reported_wh(model.now_s)[0]), load.reading_factor
    model.misread("a", 0.2)
    assert float(fleet.reported_wh(model.now_s)[0]) == pytest.approx(before_wh)
    model.step(3600.0)
    assert load.reported_w == pytest.approx(1.2 * own * load.draw_w)
    assert float(fleet.reported_wh(model.now_s)[0]) - before_wh == pytest.approx(1.2 * own * load.draw_w)
    model.misread("a", 0.0)
    assert load.reading_factor == own


def test_a_register_rolls_over_counts_down_and_keeps_the_truth_apart() -> None:
    meter = Meter("meter", 3.6e6, seed=1)
    start_wh = meter.register_wh
    meter.roll_over(2500)
    shown = []
    for _ in range(4):
        meter.step(3.6e6, 1.0)
        shown.append(meter.register_wh)
    assert shown == [start_wh + 1000, start_wh + 2000, 500, 1500]
    meter.backwards = True
    meter.step(3.6e6, 1.0)
    assert meter.register_wh == 500
    assert meter.true_energy_wh == pytest.approx(5000)
    meter.replace(serial=5, register_wh=77)
    assert (meter.serial, meter.register_wh) == (5, 77)


def test_the_warmest_hour_costs_the_most_cooling() -> None:
    weather = Weather(mean_c=20, swing_c=10, warmest_s=15 * 3600)
    hours = [weather.ambient_c(hour * 3600) for hour in range(24)]
    assert hours.index(max(hours)) == 15
    assert max(hours) == pytest.approx(30)
    assert min(hours) == pytest.approx(10)
    cooling = Cooling(100_000)
    for _ in range(600):
        cooling.step(100_000, 1.0, 35.0)
    assert cooling.draw_w == pytest.approx(6_000 * 1.3, rel=1e-3)
    for _ in range(600):
        cooling.step(100_000, 1.0, -40.0)
    assert cooling.draw_w == pytest.approx(6_000 * 0.3, rel=1e-3)


def test_a_mix_gateways_and_containers_are_laid_out_as_told() -> None:
    layout = site(
        600, 1, mix={"sim-miner": 1, "sim-miner-t21": 3}, gateways=10, units_per_gateway=20, containers=30
    )
    miners = [spec for spec in layout.specs if spec.id.startswith("m-")]
    assert [spec.profile for spec in miners].count("sim-miner") == 150
    gateways = {spec.gateway for spec in miners} - {None}
    assert len(gateways) == 10
    for gateway in gateways:
        assert [spec.unit for spec in miners if spec.gateway == gateway] == list(range(1, 21))
    # Not all in one hall.
    halls = {circuit.id: circuit.parent for circuit in layout.circuits}
    assert {halls[spec.circuit] for spec in miners if spec.gateway and spec.circuit} == {"hall-a", "hall-b"}
    rated = {circuit.id: circuit for circuit in layout.circuits}
    containers = [circuit for circuit in layout.circuits if circuit.parent is not None]
    assert len(containers) == 30
    assert {circuit.parent for circuit in containers} == {"hall-a", "hall-b"}
    for hall in ("hall-a", "hall-b"):
        inside_w = sum(circuit.max_w for circuit in containers if circuit.parent == hall)
        assert rated[hall].max_w == pytest.approx(inside_w, rel=1e-5)
    tight = site(600, 0, containers=30, container_headroom=0.5)
    assert sum(circuit.max_w for circuit in tight.circuits if circuit.parent) == pytest.approx(
        0.5 * tight.nameplate_w, rel=1e-4
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gateways": 2}, "2 gateways of 20 units are more than 24 miners"),
        ({"units_per_gateway": 0}, "0 units behind a gateway"),
        ({"units_per_gateway": 248}, "248 units behind a gateway"),
        ({"mix": {}}, "a mix names at least one profile"),
        ({"mix": {"sim-miner": 0}}, "a mix names at least one profile"),
    ],
)
def test_a_site_that_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        site(24, 0, **options)


def test_a_step_of_a_settled_large_site_costs_hardly_more_than_of_a_small_one() -> None:
    def calls(miners: int) -> int:
        model = site(miners, 0).model
        count = 0

        def counted(_frame: object, event: str, _argument: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(counted)
        try:
            model.step(1.0)
        finally:
            sys.setprofile(None)
        return count

    assert calls(2400) == calls(24)


def test_a_step_of_the_default_site_is_cheap() -> None:
    model = site().model
    for load_id in model.loads:
        model.order(load_id, 0)
    started = time.process_time()
    run(model, 20)
    assert (time.process_time() - started) / 200 < 0.005
