"""`quotawatt probe` over serial lines, RTU over TCP and TLS."""

import json
from pathlib import Path
from typing import Any

from tests.world.certificates import Authority
from tests.world.daemon_child import run_quotawatt
from tests.world.line_bench import rtu_peer, serial_peer, serving
from tests.world.modbus_peer import ScriptedPeer


async def probed(*arguments: str | Path) -> tuple[int, str, str]:
    ended = await run_quotawatt("probe", *map(str, arguments))
    return ended.code, ended.out, ended.err


def miner() -> ScriptedPeer:
    peer = ScriptedPeer()
    peer.registers |= {(3, 0): 0, (3, 1): 3210}
    return peer


def power(output: str) -> Any:
    return next(point["value"] for point in json.loads(output)["points"] if point["name"] == "power")


async def test_a_device_on_a_serial_line() -> None:
    async with serial_peer(miner()) as (path, _):
        address = f"modbus+rtu://{path}?baud=9600/3"
        code, output, _ = await probed(address, "--profile", "sim-miner", "--json")
    assert (code, power(output)) == (0, 3210)


async def test_a_gateway_that_passes_bytes_on_and_a_device_that_is_silent_about_some_registers() -> None:
    peer = ScriptedPeer()
    peer.answer = lambda asked: None if asked.address >= 300 else peer.right(asked)
    async with rtu_peer(peer) as (port, _):
        address = f"modbus+rtu-tcp://127.0.0.1:{port}/3"
        arguments = ("--profile", "eastron-sdm630", "--json", "--timeout", "0.5")
        code, output, errors = await probed(address, *arguments)
    points = json.loads(output)["points"]
    assert (code, errors) == (1, "")
    assert {point["problem"] == "no answer in time" for point in points if point["address"] >= 300} == {True}
    assert {bool(point["words"]) for point in points if point["address"] < 300} == {True}


async def test_a_device_behind_tls() -> None:
    with Authority.temporary() as authority:
        files = authority.files()
        assert files.cert is not None
        assert files.key is not None
        async with serving(miner(), authority.server_context()) as (port, _):
            address = f"modbuss://127.0.0.1:{port}/3"
            bare = ("--profile", "sim-miner", "--json", "--ca", files.ca)
            code, output, _ = await probed(address, *bare, "--cert", files.cert, "--key", files.key)
            alone, said, _ = await probed(address, *bare)
    assert (code, power(output)) == (0, 3210)
    assert alone == 69
    assert "certificate" in json.loads(said)["error"]


async def test_certificates_that_are_missing_or_have_no_use_are_a_mistake(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("", encoding="utf-8")
    for arguments, said in (
        (("modbuss://127.0.0.1/1",), "modbuss:// needs --ca"),
        (("modbuss://127.0.0.1/1", "--ca", empty, "--cert", empty), "--cert and --key go together"),
        (("modbuss://127.0.0.1/1", "--ca", empty), f"--ca: {empty} holds no certificate"),
        (("modbus://127.0.0.1/1", "--ca", empty), "are for modbuss:// alone"),
    ):
        code, _, errors = await probed(*arguments, "--profile", "sim-miner")
        assert (code, errors.count("\n")) == (2, 1)
        assert said in errors


async def test_a_serial_line_that_is_not_there_says_so(tmp_path: Path) -> None:
    address = f"modbus+rtu://{tmp_path}/ttyUSB7?baud=9600/1"
    code, _, errors = await probed(address, "--profile", "sim-miner")
    assert code == 69
    assert "ttyUSB7" in errors
    assert "No such file" in errors
