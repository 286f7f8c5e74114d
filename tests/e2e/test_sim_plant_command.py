"""`quotawatt sim plant`."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from daemon.config import load_config
from daemon.signing.keys import PrivateKey
from drivers.address import parse_address
from drivers.profile import Role
from sim_devices.mqtt.memory import MemoryBroker
from sim_devices.plant import Plant

QUOTAWATT = Path(sys.executable).with_name("quotawatt")


async def start(*options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        QUOTAWATT, "sim", "plant", *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def test_it_serves_devices_until_it_is_told_to_stop(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    process = await start("--miners", "4", "--racks", "1", "--json", "--write-config", str(config))
    assert process.stdout is not None
    async with asyncio.timeout(20):
        said = json.loads(await process.stdout.readline())
    host, port = said["devices"][0]["address"].removeprefix("modbus://").removesuffix("/1").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        output, errors = await process.communicate()
    assert (process.returncode, output, errors) == (0, b"", b"")
    assert said["mqtt"] in config.read_text(encoding="utf-8")


async def test_a_port_in_use_and_a_bad_broker_are_said_without_a_traceback() -> None:
    async with Plant(miners=1) as plant:
        port = plant.devices[0].address.removesuffix("/1").rpartition(":")[2]
        taken = await start("--miners", "1", "--port", port, "--mqtt", "mqtt://127.0.0.1:1")
        _, errors = await taken.communicate()
    assert taken.returncode == 1
    assert b"in use" in errors
    assert b"Traceback" not in errors
    wrong = await start("--mqtt", "localhost")
    _, errors = await wrong.communicate()
    assert wrong.returncode == 2
    assert b"mqtt://HOST:PORT" in errors


async def test_a_scenario_says_which_site_and_what_happens_there(tmp_path: Path) -> None:
    scenario = tmp_path / "s.toml"
    scenario.write_text(
        'title = "t"\n[plant]\nminers = 50\ngateways = 2\npdus = 0\n'
        '[[events]]\nat_s = 0\ndevices = "meter"\nfault = "refuse"\n',
        encoding="utf-8",
    )
    process = await start(
        "--scenario", str(scenario), "--units-per-gateway", "5", "--mqtt", "mqtt://127.0.0.1:1", "--json"
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        devices = json.loads(await process.stdout.readline())["devices"]
    loads = [each["address"].rpartition("/")[0] for each in devices if each["role"] == "load"]
    assert (len(loads), len(set(loads))) == (50, 40 + 2)
    host, port = devices[0]["address"].removeprefix("modbus://").removesuffix("/1").split(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() == 0


async def test_a_bad_scenario_is_said_with_file_and_key(tmp_path: Path) -> None:
    scenario = tmp_path / "s.toml"
    event = 'title = "t"\n[[events]]\nat_s = 0\n'
    for text, said in [
        (event + 'devices = "meter"\nfault = "rust"\n', 'events[0]: is "rust", no known fault'),
        (event + 'devices = "m-99-*"\nfault = "refuse"\n', 'events[0].devices: "m-99-*" matches no device'),
    ]:
        scenario.write_text(text, encoding="utf-8")
        process = await start("--scenario", str(scenario), "--mqtt", "mqtt://127.0.0.1:1")
        _, errors = await process.communicate()
        assert (process.returncode, errors.count(b"\n")) == (78, 1)
        assert errors.decode().startswith(f"{scenario}: {said}")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--mix", "antminer=3", "no simulated miner; there are sim-miner, "),
        ("--mix", "sim-miner=many", "sim-miner=3 would be right"),
        ("--gateways", "13", "13 gateways of 20 units are more than 240 miners; use fewer"),
    ],
)
async def test_a_site_that_cannot_be_is_said_without_a_traceback(option: str, value: str, said: str) -> None:
    process = await start(option, value, "--mqtt", "mqtt://127.0.0.1:1")
    _, errors = await process.communicate()
    assert process.returncode in {1, 2}
    # The option parser wraps its text in a box.
    assert said.split(";", maxsplit=1)[0] in " ".join(errors.decode().replace("│", " ").split())
    assert b"Traceback" not in errors


SITES: list[dict[str, Any]] = [
    {"miners": 0, "racks": 1},
    {"miners": 10, "racks": 0},
    {"miners": 30, "racks": 2},
    {"miners": 240, "racks": 6},
    {"miners": 500, "racks": 12},
    {"miners": 300, "gateways": 7, "units_per_gateway": 20, "pdus": 0},
    {"miners": 300, "gateways": 9, "units_per_gateway": 30, "containers": 10},
]


@pytest.mark.parametrize("site", SITES, ids=str)
async def test_the_written_configuration_is_one_that_the_daemon_takes(
    site: dict[str, Any], tmp_path: Path
) -> None:
    key = tmp_path / "site.jwk"
    key.touch(mode=0o600)
    key.write_text(json.dumps(PrivateKey.generate().private_jwk()), encoding="ascii")
    async with Plant(**site, bus=MemoryBroker().bus(), check_meter=True) as plant:
        text = plant.config_toml()
        config = tmp_path / "site.toml"
        config.write_text(
            '[site]\nid = "s"\ncontract_max_mw = 5\nfailsafe_mw = 1\ninterval_s = 300\nstate_dir = "state"\n'
            '[keys]\nsite = "site.jwk"\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n' + text,
            encoding="utf-8",
        )
        read = load_config(config)
        assert [(device.id, device.profile.name, device.circuit) for device in read.devices] == [
            (device.id, device.profile, device.circuit) for device in plant.devices
        ]
        assert [device.address for device in read.devices] == [
            parse_address(device.address) for device in plant.devices
        ]
        assert {circuit.id: circuit.parent for circuit in read.circuits} == {
            circuit.id: circuit.parent for circuit in plant.circuits
        }
    assert [device.role for device in read.devices[:3]] == [Role.SITE_METER, Role.CHECK_METER, Role.COOLING]
    assert text.count("[[devices]]") < 60
