"""Every shipped profile loads and round-trips."""

import math
from itertools import pairwise

import pytest

from drivers.errors import ProfileError
from drivers.modbus.codec import decode_words, encode_value
from drivers.profile import ModbusMap, MqttMap, Profile, RegisterPoint, WordType
from drivers.profiles import load_profile, profile_names
from drivers.quantity import Quantity

PROFILES = [load_profile(name) for name in profile_names()]
REGISTERS = [
    pytest.param(point, id=f"{profile.name}-{point.name}")
    for profile in PROFILES
    if isinstance(profile.map, ModbusMap)
    for point in profile.map.points
]


MINERS = {
    "sim-miner": (200, 3500),
    "sim-miner-s19j-pro": (100, 3050),
    "sim-miner-s19-xp": (140, 3010),
    "sim-miner-s21-pro": (234, 3510),
    "sim-miner-s21-xp": (270, 3645),
    "sim-miner-s21-xp-hyd": (473, 5676),
    "sim-miner-t21": (190, 3610),
    "sim-miner-m50s": (126, 3276),
    "sim-miner-m50s-restarting": (126, 3276),
    "sim-miner-m60s": (186, 3430),
    "sim-miner-m63s": (390, 7200),
    "sim-miner-m66s": (298, 5500),
    "sim-miner-a1566": (185, 3500),
    "sim-miner-a16-xp": (300, 3850),
    "sim-miner-ah3880": (600, 8700),
}
"""TH/s and W at full power, as their vendors state them."""


def test_ships_what_the_simulated_plant_and_the_first_real_meter_need() -> None:
    assert set(profile_names()) >= {
        *MINERS,
        "sim-pdu",
        "sim-meter",
        "sim-cooling",
        "sim-cooling-hall",
        "sim-cooling-site",
        "sim-gpu-rack",
        "schneider-pm5340",
    }


@pytest.mark.parametrize("name", MINERS)
def test_a_simulated_miner_has_the_figures_of_its_model(name: str) -> None:
    miner = load_profile(name)
    assert (miner.output_full, miner.nameplate_w) == MINERS[name]
    assert miner.setpoint is not None
    assert miner.setpoint.ceiling_w == miner.nameplate_w
    assert 0 < miner.setpoint.sleep_w < miner.setpoint.floor_w < miner.nameplate_w
    # Worse than proportional below full power, or nobody would run it there; better per watt.
    for point in miner.operating_points[1:-1]:
        assert point.watts / miner.nameplate_w < point.value < 1


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_profile_says_how_far_it_is_founded_and_measures_power(profile: Profile) -> None:
    assert profile.sources
    assert profile.trust
    assert Quantity.POWER in {point.quantity for point in profile.map.points}
    for lower, higher in pairwise(profile.operating_points):
        assert lower.watts < higher.watts


@pytest.mark.parametrize("point", REGISTERS)
def test_every_register_point_reads_back_what_was_written(point: RegisterPoint) -> None:
    for raw in {0, 1, 50, 12_345, 0x7FFE} - {point.sentinel}:
        value = raw * point.scale
        decoded = decode_words(point, encode_value(point, value))
        assert decoded is not None
        assert math.isclose(decoded, value, rel_tol=1e-6, abs_tol=1e-9)


@pytest.mark.parametrize("point", REGISTERS)
def test_every_register_point_with_a_sentinel_reads_absent_not_a_number(point: RegisterPoint) -> None:
    if point.sentinel is None and point.type not in {WordType.F32, WordType.F64}:
        with pytest.raises(ValueError, match="cannot say 'not available'"):
            encode_value(point, None)
    else:
        assert decode_words(point, encode_value(point, None)) is None


def test_the_meter_in_kilowatts_is_read_in_watts() -> None:
    profile = load_profile("schneider-pm5340")
    assert isinstance(profile.map, ModbusMap)
    power, _, energy, *_ = profile.map.points
    # Register numbers 3060 and 3204; 1234.5 kW is 0x449A5000 as float32.
    assert (power.address, energy.address) == (3059, 3203)
    assert decode_words(power, (0x449A, 0x5000)) == 1_234_500.0
    assert decode_words(power, (0xFFC0, 0x0000)) is None
    assert decode_words(energy, (0, 0, 0x0001, 0x0002)) == 65_538.0


def test_the_gpu_rack_pauses_but_is_never_switched_off() -> None:
    rack = load_profile("sim-gpu-rack")
    assert isinstance(rack.map, MqttMap)
    assert rack.setpoint is not None
    assert rack.setpoint.hard_off is False
    assert rack.setpoint.sleep_w > 1_000


def test_an_unknown_profile_offers_what_was_probably_meant() -> None:
    with pytest.raises(ProfileError, match="did you mean sim-meter"):
        load_profile("sim-metre")
