"""The plant's MQTT devices on a bus without a network."""

import asyncio
import json
import struct

import pytest

from sim_devices.faults import AnswerFault
from sim_devices.mqtt.memory import MemoryBroker
from sim_devices.plant import Plant
from tests.world.loop import VirtualClock, VirtualLoop, run_virtual


async def test_racks_need_a_bus_or_a_broker() -> None:
    with pytest.raises(ValueError, match="mqtt_url"):
        Plant(miners=0, racks=1)


async def test_a_rack_publishes_obeys_and_fails_on_demand() -> None:
    broker = MemoryBroker()
    listener = broker.bus()
    heard: list[bytes] = []
    listener.subscribe("plant/+/state", lambda _topic, payload, _retained: heard.append(payload))
    async with Plant(miners=0, racks=1, bus=broker.bus()) as plant:
        assert plant.devices[-1].address == "mqtt:plant/rack-01"
        faults = plant.faults["rack-01"]
        await asyncio.sleep(0.1)
        assert json.loads(heard[-1])["gpu_active"] == 16
        listener.publish("plant/rack-01/set", b"nonsense")
        listener.publish("plant/rack-01/set", b'{"power_limit_w": 0}')
        await asyncio.sleep(1)
        assert json.loads(heard[-1])["power_limit_w"] == 0
        faults.answer = AnswerFault.GARBAGE
        await asyncio.sleep(1)
        with pytest.raises(ValueError):
            json.loads(heard[-1])
        faults.clear()
        faults.silent = True
        listener.publish("plant/rack-01/set", b'{"power_limit_w": null}')
        count = len(heard)
        await asyncio.sleep(1.2)
        assert len(heard) == count
        assert plant.truth.loads["rack-01"].ordered_w == 0


async def test_late_subscribers_get_what_was_retained() -> None:
    broker = MemoryBroker()
    broker.bus().publish("a", b"1", retain=True)
    broker.bus().publish("b", b"1", retain=True)
    broker.bus().publish("b", b"", retain=True)
    heard: list[tuple[str, bytes, bool]] = []
    broker.bus().subscribe("#", lambda *message: heard.append(message))
    await asyncio.sleep(0)
    assert heard == [("a", b"1", True)]


def test_a_plant_runs_in_virtual_time_and_obeys_over_modbus() -> None:
    async def scenario(loop: VirtualLoop) -> tuple[list[float], float]:
        async with Plant(miners=10, disobedient_share=0, clock=VirtualClock(loop)) as plant:
            await asyncio.sleep(10)
            before_w = plant.truth.true_power_w
            for device in plant.devices:
                if device.profile.startswith("sim-miner"):
                    await _write_sleep(loop, device.address, device.profile)
            await asyncio.sleep(600)
            assert plant.truth.true_power_w < 0.1 * before_w
            assert plant.truth.true_power_w == pytest.approx(plant.truth.floor_w())
            return [moment.true_power_w for moment in plant.history], loop.time()

    first, second = run_virtual(scenario), run_virtual(scenario)
    assert len(first[0]) == pytest.approx(6100, abs=2)
    assert first == second


async def _write_sleep(loop: asyncio.AbstractEventLoop, address: str, profile: str) -> None:
    host, port = address.removeprefix("modbus://").removesuffix("/1").split(":")
    words = 1 if profile == "sim-miner-m60s" else 2
    transport, _ = await loop.create_connection(asyncio.Protocol, host, int(port))
    pdu = struct.pack(">BHHB", 16, 16, words, 2 * words) + bytes(2 * words)
    transport.write(struct.pack(">HHHB", 1, 0, len(pdu) + 1, 1) + pdu)
    await asyncio.sleep(0.01)
    transport.close()
