"""`quotawatt sim plant`."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.signing.keys import PrivateKey
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


@pytest.mark.parametrize(("miners", "racks"), [(0, 1), (10, 0), (30, 2), (240, 6), (500, 12)])
async def test_the_written_configuration_is_one_that_the_daemon_takes(
    miners: int, racks: int, tmp_path: Path
) -> None:
    key = tmp_path / "site.jwk"
    key.touch(mode=0o600)
    key.write_text(json.dumps(PrivateKey.generate().private_jwk()), encoding="ascii")
    async with Plant(miners, racks, bus=MemoryBroker().bus(), check_meter=True) as plant:
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
    assert [device.role for device in read.devices[:3]] == [Role.SITE_METER, Role.CHECK_METER, Role.COOLING]
    assert text.count("[[devices]]") < 45
