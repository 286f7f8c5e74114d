"""The plant's MQTT devices on a bus without a network."""

import asyncio
import json

import pytest

from sim_devices.faults import AnswerFault
from sim_devices.mqtt.memory import MemoryBroker
from sim_devices.plant import Plant


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
