"""Which instruments a site has, what stands in for its meter, what two meters say, what cannot be."""

import math
from dataclasses import replace

import numpy as np
import pytest

from daemon.config import Circuit, Config
from daemon.cycle.layout import SiteLayout
from daemon.metering.cover import CoverWatch
from daemon.metering.disagreement import LASTS_S, Disagreement
from daemon.metering.feeds import Feeds
from daemon.metering.instruments import CircuitMeter, Instruments, SiteMeter
from daemon.metering.nonsense import Believable, NonsenseCounter
from daemon.metering.reading import Reading
from drivers.profile import ModbusMap, Profile, Role
from drivers.profiles import load_profile
from sim_devices.layout import lay_out
from tests.world.pure_site import configured

NAN = math.nan


# --- who measures what ---


def small_site() -> Config:
    plant = lay_out(miners=24, racks=1, pdus=None, seed=1, profile=load_profile, check_meter=True)
    config = configured(plant, 200_000, 0)
    outlets = {spec.id: spec.fed_by for spec in plant.specs if spec.fed_by is not None}
    devices = [
        replace(device, fed_by=(outlets[device.id].split("/")[0], 1)) if device.id in outlets else device
        for device in config.devices
    ]
    meter = next(device for device in devices if device.role is Role.CHECK_METER)
    devices.append(replace(meter, id="hall-a-meter", role=Role.CIRCUIT_METER))
    circuits = [
        Circuit(circuit.id, circuit.max_w, "whole", "hall-a-meter" if circuit.id == "hall-a" else None)
        for circuit in config.circuits
    ]
    circuits.append(Circuit("whole", 300_000, None, None))
    return replace(config, devices=tuple(devices), circuits=tuple(circuits))


def saying_nothing(profile: Profile) -> Profile:
    assert isinstance(profile.map, ModbusMap)
    return replace(profile, map=replace(profile.map, points=()))


def test_instruments_are_found_by_role_feed_and_circuit() -> None:
    config = small_site()
    layout = SiteLayout.of(config)
    found = layout.instruments
    assert [meter.name for meter in found.meters] == ["meter", "check-meter"]
    assert [found.names[row] for row in found.cooling] == ["cooling"]
    assert [found.names[row] for row in found.feeds.rows] == ["pdu-01", "pdu-02"]
    fed = [found.names[layout.loads.rows[load]] for load in np.flatnonzero(found.feeds.pdu == 1)]
    assert fed == ["m-02-01", "m-02-02", "m-02-03", "m-02-04"]
    assert found.feeds.pdu[-1] == -1  # the rack
    (inside,) = [meter.inside for meter in found.circuit_meters]
    assert {found.names[layout.loads.rows[load]][:4] for load in np.flatnonzero(inside)} == {"m-01"}
    assert found.slowest_s == 1.0


def test_a_whole_circuits_meter_comes_before_those_inside_it() -> None:
    config = small_site()
    meters = {"hall-a": "hall-a-meter", "whole": "check-meter"}
    circuits = [replace(circuit, meter=meters.get(circuit.id)) for circuit in config.circuits]
    rows = [row for row, device in enumerate(config.devices) if device.role is Role.LOAD]
    found = Instruments.of(config.devices, circuits, rows, 1.0)
    assert [found.names[meter.row] for meter in found.circuit_meters] == ["check-meter", "hall-a-meter"]
    assert found.circuit_meters[0].inside.all()


def test_a_pdu_without_a_total_feeds_nobody() -> None:
    config = small_site()
    mute = saying_nothing(load_profile("sim-pdu"))
    devices = [
        replace(device, profile=mute) if device.id == "pdu-01" else device for device in config.devices
    ]
    rows = [row for row, device in enumerate(devices) if device.role is Role.LOAD]
    found = Instruments.of(devices, config.circuits, rows, 1.0)
    assert [found.names[row] for row in found.feeds.rows] == ["pdu-02"]
    assert (found.feeds.pdu >= 0).sum() == 4


def test_a_fed_device_that_is_no_load_is_known_to_the_pdu() -> None:
    config = small_site()
    devices = [
        replace(device, fed_by=("pdu-02", 9)) if device.id == "cooling" else device
        for device in config.devices
    ]
    rows = [row for row, device in enumerate(devices) if device.role is Role.LOAD]
    found = Instruments.of(devices, config.circuits, rows, 1.0)
    assert [found.names[row] for row in found.feeds.other_rows] == ["cooling"]
    assert [found.names[found.feeds.rows[pdu]] for pdu in found.feeds.other_pdu] == ["pdu-02"]


@pytest.mark.parametrize(
    ("profile", "register_wh", "power_w", "step_wh", "step_w"),
    [
        ("sim-meter", 5e9, 800_000.0, 1.0, 1.0),
        ("schneider-pm5340", 5e9, 800_000.0, 1.0, 0.06103515625),
        ("eastron-sdm630", 5e9, 8_000.0, 500.0, 0.00048828125),
        ("netio-power", 5e6, 800.0, 1.0, 1.0),
    ],
)
def test_the_steps_of_a_meter_follow_from_its_registers(
    profile: str, register_wh: float, power_w: float, step_wh: float, step_w: float
) -> None:
    resolution = SiteMeter(0, "m", 1.0, load_profile(profile)).resolution(power_w, register_wh)
    assert resolution.register_wh == pytest.approx(step_wh)
    assert resolution.power_w == pytest.approx(step_w)


def test_what_a_profile_does_not_say_moves_in_ones() -> None:
    resolution = SiteMeter(0, "m", 1.0, saying_nothing(load_profile("sim-pdu"))).resolution(1.0, NAN)
    assert (resolution.power_w, resolution.register_wh) == (1.0, 1.0)


# --- what stands in for the site meter ---


def watch(loads: int = 4) -> CoverWatch:
    """Loads 0 and 1 on PDU 0 (row 10), 2 on PDU 1 (row 11), 2 and 3 in a circuit (row 12)."""
    none = np.array([], dtype=np.int64)
    feeds = Feeds(np.array([10, 11]), np.array([0, 0, 1, -1]), none, none)
    circuit = CircuitMeter(12, np.array([False, False, True, True]))
    return CoverWatch(feeds, (circuit,), np.array([3_500.0, 3_500.0, 3_500.0, 3_500.0])[:loads])


def rows(pdu_0: float = NAN, pdu_1: float = NAN, circuit: float = NAN) -> np.ndarray:
    power_w = np.full(13, NAN)
    power_w[10:13] = pdu_0, pdu_1, circuit
    return power_w


KNOWN_W = np.array([3_000.0, 3_000.0, 3_000.0, 1_000.0])


@pytest.mark.parametrize(
    ("power_w", "share"),
    [
        (rows(), 0.0),
        (rows(pdu_0=6_000.0), 0.5),
        (rows(pdu_0=6_000.0, pdu_1=3_000.0), 0.75),
        (rows(circuit=4_000.0), 0.5),
        (rows(pdu_0=6_000.0, pdu_1=3_000.0, circuit=4_000.0), 1.0),
    ],
)
def test_how_much_of_the_load_is_metered_inside_the_site(power_w: np.ndarray, share: float) -> None:
    cover = watch().look(power_w, KNOWN_W)
    assert cover.share == share
    assert cover.enough is (share == 1.0)


def test_what_the_meters_inside_see_beyond_the_loads_is_added_once() -> None:
    cover = watch().look(rows(pdu_0=6_400.0, pdu_1=3_100.0), KNOWN_W)
    assert cover.correction_w == pytest.approx(500.0)
    # PDU 1 hangs in the circuit: seen by its meter already.
    learning = watch()
    learning.learn(rows(circuit=4_300.0), KNOWN_W, 0.0)
    cover = learning.look(rows(pdu_0=6_000.0, pdu_1=3_100.0, circuit=4_500.0), KNOWN_W)
    assert cover.correction_w == pytest.approx(200.0)


def test_what_a_circuits_meter_always_sees_beyond_its_loads_is_nothing_new() -> None:
    learning = watch()
    assert learning.look(rows(circuit=4_300.0), KNOWN_W).correction_w == 0.0  # nothing to compare with yet
    for second in range(200):
        learning.learn(rows(circuit=4_300.0 + second % 2), KNOWN_W, float(second))
    assert learning.look(rows(circuit=4_300.0), KNOWN_W).correction_w == pytest.approx(0.0, abs=2.0)
    learning.learn(rows(), KNOWN_W, 300.0)
    assert learning.look(rows(circuit=4_800.0), KNOWN_W).correction_w == pytest.approx(500.0, abs=2.0)


def test_a_site_without_loads_is_not_covered() -> None:
    none = np.array([], dtype=np.int64)
    empty = CoverWatch(Feeds(none, none, none, none), (), np.array([]))
    assert not empty.look(np.array([]), np.array([])).enough


# --- two meters at one place ---


def showing(power_w: float, *, fresh: bool = True) -> Reading:
    return Reading(power_w, NAN, 0.0, 0.0, NAN, fresh=fresh)


def compared(
    first_w: float, second_w: float, devices_w: float = 700.0, *, agreed: bool = True, seconds: int = 90
) -> Disagreement:
    pair = Disagreement()
    if agreed:
        pair = pair.looked(showing(750.0), showing(752.0), 700.0, 5.0, 0.0)
    for second in range(1, seconds + 1):
        pair = pair.looked(showing(first_w), showing(second_w), devices_w, 5.0, float(second))
    return pair


def test_two_meters_within_their_classes_agree() -> None:
    assert compared(750.0, 764.0).difference_w == 0.0


def test_a_difference_has_to_last() -> None:
    assert compared(750.0, 650.0, seconds=int(LASTS_S)).difference_w == 0.0
    assert compared(750.0, 650.0, seconds=int(LASTS_S) + 1).difference_w == 100.0


def test_a_difference_that_is_over_is_forgotten() -> None:
    pair = compared(750.0, 650.0).looked(showing(750.0), showing(750.0), 700.0, 5.0, 100.0)
    assert (pair.difference_w, pair.since_s) == (0.0, None)


def test_a_stale_meter_is_not_compared() -> None:
    pair = Disagreement()
    for second in range(90):
        pair = pair.looked(showing(750.0), showing(650.0, fresh=False), 700.0, 5.0, float(second))
    assert pair == Disagreement()


@pytest.mark.parametrize(
    ("first_w", "second_w", "devices_w", "first_is_off"),
    [
        (750.0, 650.0, 700.0, False),
        (600.0, 750.0, 700.0, True),
        (551.0, 650.0, 500.0, False),
        (700.0, 800.0, 700.0, None),
    ],
)
def test_the_one_that_left_is_named_by_what_the_devices_draw(
    first_w: float, second_w: float, devices_w: float, *, first_is_off: bool | None
) -> None:
    assert compared(first_w, second_w, devices_w).first_is_off is first_is_off


def test_of_two_that_never_agreed_none_is_named() -> None:
    pair = compared(750.0, 650.0, agreed=False)
    assert (pair.difference_w, pair.first_is_off) == (100.0, None)


# --- what cannot be ---


def test_what_no_device_can_draw_is_not_used() -> None:
    believable = Believable.of(np.array([3_500.0, 3_500.0, 0.0]), 1_000_000.0)
    said = [
        [3_500.0, 0.0, 999_999.0],
        [7_100.0, -17.0, 0.0],
        [7_101.0, -18.0, 1_000_001.0],
        [NAN, -3_500.0, -6.0],
        [1e300, -1e300, 1e300],
    ]
    used = [believable.sane(np.array(row)).tolist() for row in said]
    assert used[0] == said[0]
    assert used[1] == [7_100.0, 0.0, 0.0]  # a sensor's zero
    assert all(math.isnan(value) for row in used[2:] for value in row)


def test_nonsense_is_counted_once_per_reading() -> None:
    counter = NonsenseCounter(2)
    said, used = np.array([-500.0, 3_000.0]), np.array([NAN, 3_000.0])
    for sampled_s in (1.0, 1.0, 2.0):
        counter.take(said, used, np.array([sampled_s, sampled_s]))
    assert counter.counts.tolist() == [2, 0]
    assert counter.now.tolist() == [True, False]
    counter.take(np.array([NAN, 3_000.0]), np.array([NAN, 3_000.0]), np.array([3.0, 3.0]))
    assert counter.counts.tolist() == [2, 0]
    assert not counter.now.any()
