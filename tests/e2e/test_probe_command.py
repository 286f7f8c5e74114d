"""`quotawatt probe` on the bench: simulated devices, a foreign server, and nobody at all."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from sim_devices.faults import AnswerFault
from sim_devices.plant import Plant
from tests.world.daemon_child import run_quotawatt
from tests.world.modbus_peer import Asked
from tests.world.profile_texts import LOAD
from tests.world.raw_words import RAW, RawPeer


async def probed(*arguments: str | Path) -> tuple[int, str, str]:
    ended = await run_quotawatt("probe", *map(str, arguments))
    return ended.code, ended.out, ended.err


async def probed_json(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    code, output, errors = await probed(*arguments, "--json")
    assert errors == ""
    return code, json.loads(output)


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    return {point["name"]: point for point in found["points"]}


async def test_every_point_of_a_simulated_meter_is_shown_with_its_words() -> None:
    async with Plant(miners=2) as plant:
        meter = plant.devices[0]
        code, found = await probed_json(meter.address, "--profile", "sim-meter")
        text_code, text, _ = await probed(meter.address, "--profile", "sim-meter")
    points = by_name(found)

    assert (code, found["ok"], found["identity_problems"]) == (0, True, [])
    assert set(points) == {"power", "energy_import", "frequency", "serial"}
    assert points["frequency"]["words"] == ["1388"]
    assert (points["frequency"]["value"], points["frequency"]["unit"]) == (50.0, "Hz")
    assert int("".join(points["power"]["words"]), 16) == points["power"]["value"] > 1000
    assert points["power"]["unit"] == "W"
    assert all(0 < point["latency_ms"] < 1000 for point in points.values())
    assert text_code == 0
    assert "50 Hz" in text
    assert "1388" in text


async def test_a_profile_in_a_file_shows_a_foreign_server(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(LOAD)
    words = [0] * 200
    words[10], words[13:15], words[100], words[110:112] = 321, [1, 2], 7, [0x4143, 0x4D45]
    simulated = SimDevice(id=5, simdata=[SimData(0, values=words, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer([simulated], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    assert isinstance(server.transport, asyncio.Server)
    port = server.transport.sockets[0].getsockname()[1]
    code, found = await probed_json(f"modbus://127.0.0.1:{port}/5", "--profile", file)
    await server.async_setValues(5, 16, 100, [9])
    wrong_code, wrong, _ = await probed(f"modbus://127.0.0.1:{port}/5", "--profile", file)
    await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus left it without types
    await asyncio.sleep(0.05)
    points = by_name(found)

    assert (code, found["profile"], found["trust"]) == (0, "mine", "simulated")
    assert (points["power"]["value"], points["power"]["words"]) == (321.0, ["0141"])
    assert points["energy_import"]["value"] == 65_538.0
    assert points["vendor"]["value"] == "ACME"
    assert wrong_code == 1
    assert "wrong device: model is 9, not 7 or 8" in wrong
    assert "321 W" in wrong


async def test_a_real_profile_shows_its_warning_and_what_scales_it() -> None:
    peer = RawPeer()
    peer.hold(RAW["apc-smart-ups"])
    server, port = await peer.listen()
    code, found = await probed_json(f"modbus://127.0.0.1:{port}/1", "--profile", "apc-smart-ups")
    points = by_name(found)
    peer.hold(RAW["acrel-adw300"])
    _, text, _ = await probed(f"modbus://127.0.0.1:{port}/1", "--profile", "acrel-adw300")
    server.close()

    assert code == 0
    assert points["power"]["words"] == ["3200"]
    assert points["power"]["value"] == pytest.approx(1500.0)
    assert points["model"]["problem"] == "not available"
    assert "warning: From one source" in text


async def test_an_outlet_that_a_model_lacks_hides_nothing_else() -> None:
    peer = RawPeer()
    peer.hold(RAW["netio-power"])
    held = peer.answer
    assert held is not None

    def answer(asked: Asked) -> bytes | None:
        if asked.address <= 103 < asked.address + asked.length:
            return asked.transaction.to_bytes(2, "big") + b"\0\0\0\x03" + bytes([1, asked.function | 0x80, 2])
        return held(asked)

    peer.answer = answer
    server, port = await peer.listen()
    code, found = await probed_json(f"modbus://127.0.0.1:{port}/1", "--profile", "netio-power")
    server.close()
    points = by_name(found)

    assert code == 0
    assert points["outlet_3_current"]["problem"] == "exception 02"
    assert points["outlet_3_current"]["value"] is None
    assert points["outlet_2_current"]["problem"] is None
    assert points["power"]["value"] == 3600.0


async def test_a_device_that_answers_wrongly_or_refuses_fails() -> None:
    async with Plant(miners=2) as plant:
        meter = plant.devices[0]
        plant.faults[meter.id].answer = AnswerFault.SHORT
        wrong_code, wrong = await probed_json(meter.address, "--profile", "sim-meter")
        plant.faults[meter.id].answer = None
        plant.faults[meter.id].exception = 2
        refused_code, refused = await probed_json(meter.address, "--profile", "sim-meter")

    assert (wrong_code, refused_code) == (1, 1)
    assert "registers asked for" in by_name(wrong)["power"]["problem"]
    assert by_name(refused)["power"]["problem"] == "exception 02"


async def test_nobody_there_ends_with_69() -> None:
    code, _, errors = await probed("modbus://127.0.0.1:1/1", "--profile", "sim-meter")
    async with Plant(miners=1) as plant:
        meter = plant.devices[0]
        plant.faults[meter.id].silent = True
        silent, _, silence = await probed(meter.address, "--profile", "sim-meter", "--timeout", "0.2")
        plant.faults[meter.id].silent = False
        other = meter.address.rpartition("/")[0] + "/99"
        absent, found = await probed_json(other, "--profile", "sim-meter")

    assert code == 69
    assert "cannot connect to 127.0.0.1:1" in errors
    assert silent == 69
    assert "unit 1 does not answer" in silence
    assert (absent, found["ok"]) == (69, False)
    assert "unit 99 is off line (exception 0B)" in found["error"]


@pytest.mark.parametrize(
    ("url", "profile", "says"),
    [
        ("modbus://127.0.0.1:502/1", "sim-metre", "did you mean sim-meter"),
        ("modbus://127.0.0.1:502", "sim-meter", "write modbus://HOST:PORT/UNIT"),
        ("mqtt:rack-1", "sim-meter", "the profile sim-meter speaks Modbus"),
        ("mqtt:rack-1", "sim-gpu-rack", "--mqtt mqtt://host:1883 says where"),
        ("modbus://127.0.0.1:502/1", "no-such.toml", "cannot be read"),
    ],
)
async def test_a_mistake_of_the_user_is_told_without_a_traceback(url: str, profile: str, says: str) -> None:
    code, output, errors = await probed(url, "--profile", profile)

    assert (code, output) == (2, "")
    assert says in errors
    assert "Traceback" not in errors
