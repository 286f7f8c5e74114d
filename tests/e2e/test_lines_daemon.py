"""The daemon with a site meter behind TLS, a miner on a serial line and one behind RTU over TCP."""

import asyncio
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from tests.world.certificates import Authority
from tests.world.daemon_child import DaemonChild
from tests.world.line_bench import rtu_peer, serial_peer, serving
from tests.world.modbus_peer import ScriptedPeer
from tests.world.mosquitto import free_port
from tests.world.site_files import write_site

CONFIG = """
[site]
id = "wires-1"
contract_max_mw = 0.02
failsafe_mw = 0.005
interval_s = 300
state_dir = "state"

[control]
lease_timeout_s = 1
failsafe_ramp_s = 1

[keys]
site = "site.jwk"

[mqtt]
url = "mqtt://127.0.0.1:{broker}"

[http]
listen = "127.0.0.1:{http}"

[modbus.tls]
ca = "site-ca.pem"
cert = "controller.pem"
key = "controller.key"

[[devices]]
id = "poi"
profile = "sim-meter"
address = "modbuss://127.0.0.1:{tls}/1"

[[devices]]
id = "on-the-wire"
profile = "sim-miner"
address = "modbus+rtu://{path}?baud=19200/3"

[[devices]]
id = "behind-a-gateway"
profile = "sim-miner"
address = "modbus+rtu-tcp://127.0.0.1:{rtu}/4"
"""


async def until(http: httpx2.AsyncClient, path: str, wanted: Callable[[Any], bool]) -> Any:
    found = None
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    found = (await http.get(path)).json()
                except httpx2.TransportError:
                    await asyncio.sleep(0.2)
                    continue
                if wanted(found):
                    return found
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(json.dumps(found, indent=1)) from None


def shows(power_w: int, unit: int) -> ScriptedPeer:
    """Power in the first two registers; the meter's energy behind it."""
    peer = ScriptedPeer()
    words = struct.unpack(">6H", struct.pack(">iQ", power_w, 1_000_000))
    peer.registers |= {(unit, address): word for address, word in enumerate(words)}
    return peer


async def test_a_site_over_tls_a_wire_and_a_gateway_is_measured_and_ordered(tmp_path: Path) -> None:
    meter, wired, behind = shows(9_000, 1), shows(3_500, 3), shows(3_400, 4)
    authority = Authority(tmp_path)
    authority.issue("controller")
    async with (
        serving(meter, authority.server_context()) as (tls, _),
        serial_peer(wired) as (path, far),
        rtu_peer(behind) as (rtu, _),
    ):
        port = free_port()
        text = CONFIG.format(broker=free_port(), http=port, tls=tls, path=path, rtu=rtu)
        daemon = DaemonChild(write_site(tmp_path, text), tmp_path / "daemon.log")
        await daemon.start()
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                state = await until(http, "/api/v1/state", lambda state: state.get("power_w") == 9_000)
                assert state["power_source"] == "meter"
                # Nobody with authority speaks: 9 kW must come down to 5.
                await until(http, "/api/v1/state", lambda state: state["limit_w"] == 5_000)
                async with asyncio.timeout(10):
                    while not any(asked.function == 16 for asked in wired.asked + behind.asked):  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                far.hang_up()
                await until(http, "/api/v1/state", lambda state: state["devices"]["ok"] < 3)
                assert daemon.running
        finally:
            await daemon.stop()
    assert daemon.strays() == []
