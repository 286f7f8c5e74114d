"""What a device is told for an order in watts."""

import json

import pytest

from drivers.modbus.codec import decode_words
from drivers.profile import MessageCommand, Profile, RegisterCommand, Setpoint
from drivers.profiles import load_profile, profile_names
from drivers.setpoint import command_message, command_words, effective_watts

LOADS = [load_profile(name) for name in profile_names() if load_profile(name).setpoint]


def setpoint_of(name: str) -> Setpoint:
    setpoint = load_profile(name).setpoint
    assert setpoint is not None
    return setpoint


def words_of(name: str, watts: float | None) -> tuple[int, ...]:
    setpoint = setpoint_of(name)
    assert isinstance(setpoint.command, RegisterCommand)
    return command_words(setpoint, setpoint.command, watts)


def message_of(watts: float | None) -> tuple[str, object]:
    setpoint = setpoint_of("sim-gpu-rack")
    assert isinstance(setpoint.command, MessageCommand)
    topic, payload = command_message(setpoint, setpoint.command, "hall/r1", watts)
    return topic, json.loads(payload)


def test_a_limit_of_zero_is_sleep_and_no_limit_is_not_zero() -> None:
    assert words_of("sim-miner", 0) == (0, 0)
    assert words_of("sim-miner", None) == (0xFFFF, 0xFFFF)
    assert message_of(0) == ("hall/r1/set", {"power_limit_w": 0})
    assert message_of(None) == ("hall/r1/set", {"power_limit_w": None})


@pytest.mark.parametrize(
    ("watts", "held"),
    [(3000, 3000), (3000.9, 3000), (9000, 3500), (1750, 1750), (1749, 1750), (1, 1750)],
)
def test_an_order_is_clamped_to_what_the_device_can_hold(watts: float, held: float) -> None:
    assert effective_watts(setpoint_of("sim-miner"), watts) == held


def test_percent_of_nameplate_rounds_down() -> None:
    assert words_of("sim-miner-m60s", 3430) == (100,)
    assert words_of("sim-miner-m60s", 3429) == (99,)
    assert words_of("sim-miner-m60s", 34.3 * 75) == (75,)
    assert words_of("sim-miner-m60s", 100) == (50,)
    assert words_of("sim-miner-m60s", 0) == (0,)
    assert words_of("sim-miner-m60s", None) == (100,)


def test_a_fractional_limit_of_a_rack_is_rounded_down() -> None:
    assert message_of(15000.7) == ("hall/r1/set", {"power_limit_w": 15000})


@pytest.mark.parametrize("profile", LOADS, ids=lambda profile: profile.name)
def test_every_operating_point_can_be_ordered_exactly(profile: Profile) -> None:
    setpoint = profile.setpoint
    assert setpoint is not None
    for point in profile.operating_points[1:]:
        assert effective_watts(setpoint, point.watts) == pytest.approx(point.watts)
        if isinstance(setpoint.command, RegisterCommand):
            words = command_words(setpoint, setpoint.command, point.watts)
            assert decode_words(setpoint.command.point, words) == pytest.approx(point.watts)
