"""Which changes of the configuration a running daemon takes, and which it refuses with a reason."""

from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config import Config, load_config
from daemon.config.changes import needs_restart
from drivers.profile import Role
from tests.world.site_files import GOOD, write_site


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(write_site(tmp_path), {})


def changed(tmp_path: Path, old: str, new: str) -> Config:
    assert old in GOOD
    return load_config(write_site(tmp_path, GOOD.replace(old, new)), {})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("contract_max_mw = 25.0", "contract_max_mw = 24.0"),
        ("failsafe_mw = 5.0", "failsafe_mw = 4.0"),
        ("[keys]", "[control]\nlease_timeout_s = 60\n[keys]"),
        ("[keys]", "[economics]\ngpu_per_hour = 3.0\n[keys]"),
        ("max_mw = 12.5", "max_mw = 11"),
        ('role = "operator"', 'role = "engineer"'),
        ("[keys]", "# nothing but a comment\n[keys]"),
    ],
)
def test_limits_control_prices_keys_and_circuits_are_taken(
    tmp_path: Path, config: Config, old: str, new: str
) -> None:
    assert needs_restart(config, changed(tmp_path, old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('id = "lhe-01"', 'id = "lhe-02"', "site.id"),
        ("interval_s = 300", "interval_s = 900", "site.interval_s"),
        ('state_dir = "state"', 'state_dir = "other"', "site.state_dir"),
        ("broker.example", "broker2.example", "mqtt"),
        ("https://exchange.example/", "https://exchange2.example/", "settlement"),
        ("[keys]", '[http]\nlisten = "127.0.0.1:8490"\n[keys]', "http.listen"),
    ],
)
def test_what_the_daemon_stands_on_needs_a_restart(
    tmp_path: Path, config: Config, old: str, new: str, key: str
) -> None:
    (line,) = needs_restart(config, changed(tmp_path, old, new))

    assert line.startswith(f"{tmp_path}/site.toml: {key}: has changed; restart the service for that")


def test_devices_come_go_and_change(config: Config) -> None:
    load = next(device for device in config.devices if device.role is Role.LOAD)
    others = tuple(device for device in config.devices if device is not load)
    more = (replace(load, period_s=7.0), replace(load, id="another"))

    for devices in (others, (*others, *more), config.devices[::-1]):
        assert needs_restart(config, replace(config, devices=devices)) == []


def test_the_meters_that_are_settled_by_stay(config: Config) -> None:
    meter, *others = sorted(config.devices, key=lambda device: device.role is not Role.SITE_METER)

    (line,) = needs_restart(config, replace(config, devices=tuple(others)))

    assert f"devices: the meters that are settled by have changed ({meter.id}); restart" in line
    elsewhere = replace(meter, period_s=0.5)
    assert needs_restart(config, replace(config, devices=(elsewhere, *others))) == []


def test_a_device_may_hang_on_another_circuit(config: Config) -> None:
    loads = [replace(device, circuit="feeder-1") for device in config.devices]

    assert needs_restart(config, replace(config, devices=tuple(loads))) == []
