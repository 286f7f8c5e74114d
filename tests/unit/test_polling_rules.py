"""What a profile may say about slow points and requests in flight."""

import pytest

from drivers.errors import ProfileError
from drivers.profile import ModbusMap, at_once
from drivers.profiles import parse_profile
from drivers.quantity import Quantity
from tests.world.profile_texts import METER

SERIAL = '[[points]]\nname = "serial"\naddress = 200\ntype = "u32"\nslow = true\n'


def test_a_profile_says_which_points_are_slow_and_how_many_requests_it_bears() -> None:
    profile = parse_profile("t", METER.replace("[modbus]", "[modbus]\nin_flight = 3") + SERIAL, "t.toml")
    assert isinstance(profile.map, ModbusMap)
    assert profile.map.in_flight == 3
    assert profile.slow_quantities == {Quantity.SERIAL}
    assert at_once(profile).slow_quantities == frozenset()
    assert at_once(profile) == parse_profile(
        "t",
        METER.replace("[modbus]", "[modbus]\nin_flight = 3") + SERIAL.replace("slow = true", ""),
        "t.toml",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (METER.replace('name = "power"', 'name = "power"\nslow = true'), "needs power in every poll"),
        (METER + SERIAL.replace("serial", "frequency"), "frequency is not polled at all"),
        ((METER + SERIAL).replace("circuit-meter", "site-meter"), "readings are taken together"),
        (METER.replace("power", "volts").replace("energy_import", "amperes"), "none is polled"),
        (METER.replace("[modbus]", "[modbus]\nin_flight = 2\nclose_after_sweep = true"), "modbus.in_flight"),
        (METER.replace("[modbus]", "[modbus]\nin_flight = 0"), "modbus.in_flight"),
    ],
)
def test_what_cannot_be_is_refused(text: str, told: str) -> None:
    with pytest.raises(ProfileError, match=told):
        parse_profile("t", text, "t.toml")
