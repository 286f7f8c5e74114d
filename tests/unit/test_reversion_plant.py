"""Loads that let go of an order when they hear no more: what is true of them, and what they show of it."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from drivers.profiles import load_profile
from sim_devices.faults import DeviceFaults
from sim_devices.instruments import LoadInstrument
from sim_devices.modbus.frames import ModbusRefusal, Request
from sim_devices.modbus.image import Image
from sim_devices.modbus.unit import Unit
from sim_devices.physics import Behaviour, LoadSpec, PduSpec, PlantModel

TOLD_PROFILE = load_profile("sim-miner-s21-reverting")
TOLD = Behaviour.of(TOLD_PROFILE, warm_up_s=0, output_warm_up_s=0)
FIXED = Behaviour.of(load_profile("sim-miner-t21-reverting"), warm_up_s=0, output_warm_up_s=0)
KEEPS = Behaviour.of(load_profile("sim-miner"), warm_up_s=0, output_warm_up_s=0)
LIMIT, TIMER, LEFT, SETPOINT = 18, 20, 22, 16
NO_LIMIT = 0xFFFF_FFFF


def plant(*behaviours: Behaviour) -> PlantModel:
    """Loads a, b, …; each on an outlet of one PDU."""
    names = "abcdef"[: len(behaviours)]
    specs = [LoadSpec(name, each, ord(name)) for name, each in zip(names, behaviours, strict=True)]
    return PlantModel(specs, pdus=[PduSpec("pdu", tuple(names))])


def run(model: PlantModel, seconds: float, step_s: float = 1.0) -> None:
    for _ in range(round(seconds / step_s)):
        model.step(step_s)


def share(model: PlantModel, name: str = "a") -> float:
    """What it draws, of what it draws at full power."""
    load = model.loads[name]
    return load.draw_w / (load.behaviour.full_w * load.factor)


def held(model: PlantModel) -> float | None:
    return model.loads["a"].ordered_w


def ended(model: PlantModel) -> list[int]:
    return [int(count) for count in model.reversions.ended]


def armed(watts: float = np.nan, seconds: float = 120.0) -> PlantModel:
    """A load that was told what to fall back to, after how long, and to draw 2,800 W."""
    model = plant(TOLD)
    assert model.reversions.set_limit(0, watts)
    assert model.reversions.set_time(0, seconds, model.now_s)
    model.order("a", 2_800)
    return model


def test_who_hears_no_more_draws_full_power_when_its_time_is_over() -> None:
    model = plant(FIXED, KEEPS)
    for name in "ab":
        model.order(name, 2_170)
    run(model, 89)
    assert share(model) == pytest.approx(2_170 / 3_610)
    assert held(model) == 2_170
    run(model, 1)
    assert held(model) is None
    run(model, 20)
    assert share(model) == pytest.approx(1.0)
    assert share(model, "b") == pytest.approx(2_170 / 3_500)
    assert ended(model) == [1, 0]
    # Once: it rests until there is an order to let go of.
    run(model, 300)
    assert ended(model) == [1, 0]
    model.order("a", 0)
    run(model, 100)
    assert ended(model) == [2, 0]


def test_every_order_that_is_heard_begins_the_time_anew_even_one_that_says_nothing_new() -> None:
    model = plant(FIXED)
    for _ in range(10):
        model.order("a", 2_170)
        run(model, 80)
    assert ended(model) == [0]
    assert share(model) == pytest.approx(2_170 / 3_610)
    # As a value below the floor: what it holds is another matter.
    model.order("a", 5)
    run(model, 89)
    assert ended(model) == [0]


@pytest.mark.parametrize(("watts", "falls_to_w"), [(1_750.0, 1_750.0), (0.0, 30.0), (np.nan, 3_500.0)])
def test_it_falls_back_to_what_it_was_told_as_it_obeys_an_order(watts: float, falls_to_w: float) -> None:
    model = armed(watts)
    run(model, 119)
    assert share(model) == pytest.approx(2_800 / 3_500)
    run(model, 2)
    # Its latency is 2 s down and 10 s up.
    assert share(model) == pytest.approx(2_800 / 3_500)
    run(model, 30)
    asleep = watts == 0
    assert share(model) == pytest.approx(falls_to_w / 3_500, abs=0.001 if asleep else 1e-6)
    assert ended(model) == [1]


def test_without_a_time_it_keeps_an_order_for_ever_and_zero_takes_the_time_away() -> None:
    model = plant(TOLD)
    model.order("a", 2_800)
    run(model, 1_000, 10)
    model.reversions.set_time(0, 120, model.now_s)
    run(model, 100)
    model.reversions.set_time(0, 0, model.now_s)
    run(model, 1_000, 10)
    assert ended(model) == [0]
    assert share(model) == pytest.approx(0.8)


def test_a_fixed_time_cannot_be_written() -> None:
    model = plant(FIXED, KEEPS)
    for row in (0, 1):
        assert not model.reversions.set_limit(row, 0)
        assert not model.reversions.set_time(row, 30, 0.0)
    model.order("a", 2_170)
    run(model, 90)
    assert ended(model) == [1, 0]


def rebooted(model: PlantModel) -> None:
    model.reboot("a")


def cut_off(model: PlantModel) -> None:
    model.switch("pdu", 1, on=False)
    model.order("a", 0)  # nobody hears it
    model.switch("pdu", 1, on=True)


@pytest.mark.parametrize("restart", [rebooted, cut_off])
def test_a_restart_takes_limit_and_time_along_with_the_order(restart: Callable[[PlantModel], None]) -> None:
    model = armed(1_750)
    run(model, 60)
    restart(model)
    run(model, 30)
    model.order("a", 2_800)
    run(model, 1_000)
    assert ended(model) == [0]
    assert share(model) == pytest.approx(0.8)


def test_who_has_no_supply_hears_nothing() -> None:
    model = plant(FIXED)
    model.switch("pdu", 1, on=False)
    model.order("a", 2_170)
    run(model, 100)
    assert ended(model) == [0]


def test_switching_on_what_is_on_forgets_nothing() -> None:
    model = armed(1_750)
    model.switch("pdu", 1, on=True)
    run(model, 130)
    assert ended(model) == [1]


def test_who_does_not_obey_shows_the_limit_and_goes_on() -> None:
    model = armed(1_750)
    run(model, 30)
    model.set_disobeys("a", disobeys=True)
    run(model, 200)
    assert held(model) == 1_750
    assert share(model) == pytest.approx(0.8)


def test_a_twin_has_timers_of_its_own() -> None:
    model = armed(0)
    twin = copy.deepcopy(model)
    for _ in range(30):
        model.order("a", 2_800)
        run(model, 10)
        run(twin, 10)
    assert (ended(model), ended(twin)) == ([0], [1])
    assert twin.true_power_w < model.true_power_w


# --- registers ---


def unit(model: PlantModel) -> Unit:
    return Unit(Image(TOLD_PROFILE, LoadInstrument(model, ["a"])), 0, DeviceFaults("a", model))


def words(value: int) -> tuple[int, int]:
    return value >> 16, value & 0xFFFF


def shown(device: Unit, address: int) -> int:
    device.image.stale = True  # as after every step of a plant
    pdu = bytes((3, *address.to_bytes(2, "big"), 0, 2))
    return int.from_bytes(device.answer(Request(1, 1, pdu))[2:], "big")


def test_limit_time_and_what_is_left_are_registers_as_in_sunspec() -> None:
    model = plant(TOLD)
    device = unit(model)
    assert [shown(device, each) for each in (SETPOINT, LIMIT, TIMER, LEFT)] == [NO_LIMIT, NO_LIMIT, 0, 0]
    device.write(LIMIT, words(1_750))
    assert shown(device, LEFT) == 0
    device.write(TIMER, words(120))
    assert [shown(device, each) for each in (LIMIT, TIMER, LEFT)] == [1_750, 120, 120]
    run(model, 40)
    assert shown(device, LEFT) == 80
    device.write(SETPOINT, words(2_800))
    assert shown(device, LEFT) == 120
    run(model, 120)
    assert [shown(device, each) for each in (SETPOINT, LEFT)] == [1_750, 0]
    with pytest.raises(ModbusRefusal):
        device.write(LEFT, words(120))


@pytest.mark.parametrize(("raw", "falls_to_w"), [(0, 0.0), (NO_LIMIT, None)])
def test_sleep_and_no_limit_have_the_values_of_the_set_point(raw: int, falls_to_w: float | None) -> None:
    model = plant(TOLD)
    device = unit(model)
    device.write(LIMIT, words(raw))
    device.write(TIMER, words(60))
    device.write(SETPOINT, words(2_800))
    assert shown(device, LIMIT) == raw
    run(model, 61)
    assert held(model) == falls_to_w
    assert shown(device, SETPOINT) == raw


def test_the_profile_says_whether_there_is_a_timer_and_who_sets_it() -> None:
    assert (TOLD.reverts_after_s, FIXED.reverts_after_s, KEEPS.reverts_after_s) == (0.0, 90.0, None)
    assert not plant(KEEPS, replace(KEEPS, full_w=3_000.0)).reversions.any
