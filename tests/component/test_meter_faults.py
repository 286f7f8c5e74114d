"""A site whose instruments lie, against its physics: what it draws is judged by the truth."""

import math

import numpy as np
import pytest

from daemon.authority.machine import Cause, State
from daemon.cycle.report import device_objects
from daemon.metering.meter_judge import Doubt
from drivers.quantity import Quantity
from tests.world.measured_site import MeasuredSite

POWER, REGISTER = Quantity.POWER, Quantity.ENERGY_IMPORT


def limited(share: float = 0.6, **fittings: bool) -> tuple[MeasuredSite, int]:
    """A site that has been held at a share of its power for a while, and that limit."""
    site = MeasuredSite.fitted(**fittings)
    limit_w = int(share * site.true_w)
    site.quota((0, limit_w))
    site.run(75)
    return site, limit_w


def doubt(site: MeasuredSite) -> Doubt | None:
    return site.controller.metering.records[0].doubt


def device(site: MeasuredSite, name: str) -> dict[str, object]:
    assert site.result is not None
    return next(each for each in device_objects(site.controller, site.result) if each["id"] == name)


# --- the meter ---


def test_a_frozen_meter_is_found_out_by_the_first_step_and_the_step_is_met_all_the_same() -> None:
    site, limit_w = limited(0.8, fed=False)
    before_w = site.controller.metering.uncontrolled_w
    site.freeze("meter")
    site.run(10)
    lower_w = int(0.7 * limit_w)
    site.quota((0, lower_w))
    sources = site.watch(40)
    assert sources.index("estimate") <= 30
    assert doubt(site) is Doubt.FROZEN
    assert "frozen" in site.alarms["meter"].text
    from_s = site.model_s
    site.watch(60)
    assert site.above(from_s) == []
    assert site.share_used(from_s) > 0.94
    # What nobody controls was not learned from figures that stood still.
    assert site.controller.metering.uncontrolled_w == pytest.approx(before_w, abs=0.01 * limit_w)
    site.mend("meter")
    sources = site.watch(65)
    assert sources.index("meter") in {59, 60, 61}


def test_nothing_rises_on_a_frozen_meter_once_it_is_found_out() -> None:
    site, limit_w = limited(0.6, fed=False)
    site.freeze("meter")
    site.run(75)
    assert doubt(site) is Doubt.FROZEN
    before_w = site.true_w
    site.quota((0, None))
    site.run(60)
    assert site.true_w < 1.01 * before_w
    site.mend("meter")
    site.run(60 + 240)
    assert site.true_w > 1.4 * limit_w


def test_a_meter_frozen_at_a_constant_load_leads_to_failsafe_and_out_of_it_after_one_minute() -> None:
    site, _ = limited(0.6, fed=False)
    site.freeze("meter")
    site.watch(75 + 300)
    assert site.controller.authority.causes == {Cause.METER}
    site.mend("meter")
    states = []
    for _ in range(70):
        site.run(1)
        states.append(site.controller.authority.state)
    assert 60 <= states.index(State.LIMITED) <= 63


@pytest.mark.parametrize("factor", [1.5, 30.0, -1.0])
def test_one_mad_reading_changes_nothing_that_is_ordered(factor: float) -> None:
    site, limit_w = limited(0.6, fed=False)
    writes, from_s = site.controller.dispatcher.writes, site.model_s
    site.falsify("meter", lambda values: {**values, POWER: (values[POWER] or 0.0) * factor})
    site.run(1)
    site.mend("meter")
    site.watch(90)
    assert site.above(from_s) == []
    assert site.share_used(from_s) > 0.95
    assert site.controller.dispatcher.writes - writes <= 3
    assert site.controller.metering.uncontrolled_w == pytest.approx(
        site.plant.model.fixed_w, abs=0.02 * limit_w
    )


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_meter_that_shows_another_power_than_it_counts_is_not_controlled_by(factor: float) -> None:
    site, _ = limited(0.6, fed=False)
    from_s = site.model_s
    site.falsify("meter", lambda values: {**values, POWER: (values[POWER] or 0.0) * factor})
    sources = site.watch(120)
    assert sources.index("estimate") <= 15
    assert doubt(site) is Doubt.JUMPING
    assert "jumps" in site.alarms["meter"].text
    assert site.above(from_s) == []
    assert site.share_used(from_s) > 0.94


def test_a_register_that_runs_backwards_is_named_and_trusted_again_after_a_minute() -> None:
    site, _ = limited(0.6, fed=False)
    site.plant.model.meters["meter"].register_start_wh -= 50_000
    sources = site.watch(70)
    assert sources[:60] == ["estimate"] * 60
    assert sources[-1] == "meter"
    assert "backwards" in site.alarms["meter"].text


def test_a_load_that_nobody_knows_is_taken_over_at_once_and_told_of() -> None:
    site, limit_w = limited(0.8, fed=False)
    from_s = site.model_s
    site.plant.model.fixed_w += 0.15 * limit_w
    site.watch(90)
    assert doubt(site) is None
    assert {second for second, _ in site.above(from_s)} <= set(range(25))
    assert site.controller.metering.uncontrolled_w == pytest.approx(
        site.plant.model.fixed_w, abs=0.01 * limit_w
    )
    assert "more at once" in site.alarms["uncontrolled"].text
    assert "meter" not in site.alarms


def test_a_pool_outage_that_the_meter_sees_first_teaches_nothing() -> None:
    site, limit_w = limited(0.6, fed=False)
    before_w = site.controller.metering.uncontrolled_w
    running = [load for load in site.plant.model.loads.values() if not load.asleep][::2]
    dropped_w = sum(load.draw_w for load in running)
    # The meter shows it three seconds before the miners' own readings do.
    site.falsify("meter", lambda values: {**values, POWER: (values[POWER] or 0.0) - dropped_w})
    site.run(3)
    site.mend("meter")
    site.run(1)
    assert doubt(site) is None
    assert site.controller.metering.uncontrolled_w == pytest.approx(before_w, abs=0.005 * limit_w)


# --- what stands in for it ---


def test_a_check_meter_stands_in_and_the_loop_stays_closed() -> None:
    site, limit_w = limited(0.6, fed=False, check_meter=True)
    site.silent = {"meter"}
    sources = site.watch(420)
    assert set(sources[10:]) == {"check-meter"}
    assert site.controller.authority.state is State.LIMITED
    assert "check-meter stands in" in site.alarms["meter"].text
    from_s = site.model_s
    site.quota((0, int(1.2 * limit_w)))
    site.watch(180)
    assert site.above(from_s) == []
    assert 0.96 < site.share_used(site.model_s - 60) < 0.996


def test_pdus_that_cover_the_load_stand_in_for_a_lost_meter() -> None:
    site, limit_w = limited(0.6)
    site.silent = {"meter"}
    site.watch(420)
    assert site.result is not None
    assert site.result.power.source.value == "check-meter"
    assert site.controller.authority.state is State.LIMITED
    assert "cover" in site.alarms["meter"].text
    assert site.result.power.watts == pytest.approx(site.true_w, rel=0.02)
    from_s = site.model_s
    site.quota((0, int(0.8 * limit_w)))
    site.run(30)
    from_s = site.model_s
    site.run(120)
    assert site.above(from_s) == []
    assert site.share_used(from_s) > 0.94


def test_pdus_that_cover_too_little_do_not() -> None:
    site = MeasuredSite.fitted(miners=40, racks=1)
    site.silent = {"meter"}
    assert site.watch(20)[-1] == "estimate"


def test_two_meters_that_differ_are_both_named_with_the_one_that_left() -> None:
    site, limit_w = limited(0.6, check_meter=True)
    site.plant.model.meters["check-meter"].gain = 1.06
    site.watch(80)
    text = site.alarms["meters-disagree"].text if "meters-disagree" in site.alarms else ""
    text = text or site.alarms["meters-disagree:check-meter"].text
    assert "check-meter is off" in text
    assert site.result is not None
    assert site.result.power.source.value == "meter"
    assert site.result.power.watts == pytest.approx(site.true_w, rel=0.006)  # and no mean of the two
    assert site.true_w <= limit_w


def test_parts_that_exceed_the_whole_are_told_of() -> None:
    site, _ = limited(0.6, fed=False)
    site.plant.model.fixed_w = 0.0
    site.plant.model.meters["meter"].gain = 0.93
    site.watch(150)
    assert "more than the site meter shows" in site.alarms["parts-exceed-meter"].text


# --- devices ---


def test_a_miner_that_lies_by_a_fifth_is_counted_at_its_pdus_figure_and_named() -> None:
    site, limit_w = limited(0.9)
    load = next(load for load in site.plant.model.loads.values() if load.ordered_w is None)
    site.falsify(load.id, lambda values: {**values, POWER: 0.8 * load.draw_w})
    site.watch(60)
    assert load.id in site.alarms["misreading"].text
    assert "20 % too little" in site.alarms["misreading"].text
    told = device(site, load.id)["power"]
    assert isinstance(told, dict)
    assert told["source"] == "pdu"
    assert told["watts"] == pytest.approx(load.draw_w, rel=0.08)
    assert site.true_w <= limit_w


def test_where_a_devices_power_comes_from_is_shown() -> None:
    site, _ = limited(0.9)
    quiet, lost = list(site.plant.model.loads)[:2]
    site.silent = {quiet}
    site.run(8)
    assert device(site, quiet)["power"] == {
        "watts": pytest.approx(3_500, rel=0.08),
        "source": "learned",
        "doubt": None,
    }
    site.run(20)
    assert device(site, quiet)["power"] == {"watts": 3_500, "source": "nameplate", "doubt": None}
    told = device(site, lost)["power"]
    assert isinstance(told, dict)
    assert told["source"] == "device"
    meter = device(site, "meter")["power"]
    assert isinstance(meter, dict)
    assert (meter["source"], meter["doubt"]) == ("device", None)
    site.silent = {"meter"}
    site.run(8)
    meter = device(site, "meter")["power"]
    assert isinstance(meter, dict)
    assert meter["doubt"] == "stale"


def test_the_gateway_of_a_whole_rack_is_dead_and_its_pdu_says_what_it_draws() -> None:
    site, _ = limited(0.9)
    rack = [name for name in site.plant.model.loads if name.startswith("m-02")]
    site.silent = set(rack)
    site.run(60)
    told = [device(site, name)["power"] for name in rack]
    assert {power["source"] for power in told if isinstance(power, dict)} == {"pdu"}
    drawn_w = sum(site.plant.model.loads[name].draw_w for name in rack)
    assert sum(power["watts"] for power in told if isinstance(power, dict)) == pytest.approx(
        drawn_w, rel=0.01
    )


@pytest.mark.parametrize("nonsense_w", [-500.0, 4e6, -math.inf, math.nan])
def test_nonsense_of_a_device_is_not_used_counted_and_shown(nonsense_w: float) -> None:
    site, limit_w = limited(0.8)
    load = next(load for load in site.plant.model.loads.values() if load.ordered_w is None)
    before_w = site.controller.metering.uncontrolled_w
    site.falsify(load.id, lambda values: {**values, POWER: nonsense_w})
    from_s = site.model_s
    site.watch(60)
    assert site.above(from_s) == []
    assert site.controller.metering.uncontrolled_w == pytest.approx(before_w, abs=0.01 * limit_w)
    if math.isfinite(nonsense_w):
        assert load.id in site.alarms["nonsense"].text
        counted = device(site, load.id)["nonsense"]
        assert isinstance(counted, int)
        assert counted >= 59
    told = device(site, load.id)["power"]
    assert isinstance(told, dict)
    assert told["watts"] == pytest.approx(3_500, rel=0.3)
    site.mend(load.id)
    site.run(2)
    assert not site.controller.metering.nonsense.now.any()


def test_nonsense_of_everything_at_once_stops_nothing() -> None:
    site, limit_w = limited(0.8)
    names = [device.id for device in site.layout.devices]
    rng = np.random.default_rng(1)
    for name in names[::3]:
        site.falsify(
            name,
            lambda values: {quantity: float(rng.choice([-1e9, 1e18, 0.0, -1.0])) for quantity in values},
        )
    site.run(30)
    from_s = site.model_s
    site.watch(60)
    assert site.true_w < limit_w
    assert site.above(from_s) == []
    for name in names:
        site.mend(name)
    site.run(90)
    assert doubt(site) is None
