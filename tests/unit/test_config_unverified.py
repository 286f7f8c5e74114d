"""Profiles from files, and devices that are measured and not ordered until somebody says so."""

from pathlib import Path

import pytest

from daemon.config import Config, load_config
from daemon.errors import ConfigurationError
from drivers.profiles import load_profile
from tests.world.profile_texts import LOAD
from tests.world.site_files import GOOD, write_site

DEVICE = """
[[devices]]
id = "x-1"
profile = "my-miner.toml"
circuit = "hall-1"
address = "modbus://10.9.0.1:502/1"
"""


def configured(tmp_path: Path, trust: str, device: str = DEVICE) -> Config:
    (tmp_path / "my-miner.toml").write_text(LOAD.replace('trust = "simulated"', f'trust = "{trust}"'))
    return load_config(write_site(tmp_path, GOOD + device))


@pytest.mark.parametrize("trust", ["vendor-doc", "multi-source", "single-source"])
def test_what_was_never_tried_on_hardware_is_only_measured(tmp_path: Path, trust: str) -> None:
    device = configured(tmp_path, trust).devices[-1]

    assert device.writes_withheld
    assert device.profile.name == "my-miner"
    assert device.profile.setpoint is None
    assert device.profile.operating_points == ()
    assert device.profile.map.points


@pytest.mark.parametrize(
    ("trust", "device"),
    [
        ("single-source", DEVICE + "allow_unverified_writes = true\n"),
        ("hardware-verified", DEVICE),
        ("simulated", DEVICE),
    ],
)
def test_what_was_tried_or_is_wanted_is_ordered(tmp_path: Path, trust: str, device: str) -> None:
    configured_device = configured(tmp_path, trust, device).devices[-1]

    assert not configured_device.writes_withheld
    assert configured_device.profile.setpoint is not None


def test_a_meter_needs_no_leave_to_be_read(tmp_path: Path) -> None:
    poi = load_config(write_site(tmp_path)).devices[0]

    assert poi.profile == load_profile("schneider-pm5340")
    assert not poi.writes_withheld


def test_the_leave_can_be_given_in_a_list(tmp_path: Path) -> None:
    (tmp_path / "my-miner.toml").write_text(LOAD.replace('trust = "simulated"', 'trust = "vendor-doc"'))
    (tmp_path / "hall.csv").write_text(
        "id,profile,address,circuit,allow_unverified_writes\n"
        "c-1,my-miner.toml,modbus://10.9.0.1:502/1,hall-1,true\n"
        "c-2,my-miner.toml,modbus://10.9.0.2:502/1,hall-1,false\n"
        "c-3,my-miner.toml,modbus://10.9.0.3:502/1,hall-1,\n"
    )
    config = load_config(write_site(tmp_path, GOOD + '[[devices_csv]]\nfile = "hall.csv"\n'))

    assert [device.writes_withheld for device in config.devices[-3:]] == [False, True, True]


def test_every_mistake_in_the_file_of_a_profile_gets_its_line(tmp_path: Path) -> None:
    wrong = LOAD.replace('type = "u16"', 'type = "u17"', 1).replace("nameplate_w = 1000", "nameplate_w = -1")
    (tmp_path / "my-miner.toml").write_text(wrong)
    path = write_site(tmp_path, GOOD + DEVICE)

    with pytest.raises(ConfigurationError) as caught:
        load_config(path)

    first, second = caught.value.problems
    assert (
        f'profile: is "my-miner.toml", which cannot be used: {tmp_path}/my-miner.toml: nameplate_w: ' in first
    )
    assert "points.0.type: " in second


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"my-miner\.toml: cannot be read: No such file"):
        load_config(write_site(tmp_path, GOOD + DEVICE))
