"""`quotawatt probe` of MQTT devices over a real mosquitto: simulated racks, plugs, and nobody at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt

from sim_devices.plant import Plant
from tests.world.daemon_child import run_quotawatt
from tests.world.mosquitto import Mosquitto, mosquitto

TASMOTA = json.dumps({"Time": "2026-01-01T00:00:00", "ENERGY": {"Total": 1.5, "Power": 3210}})


async def probed(*arguments: str) -> tuple[int, dict[str, Any]]:
    ended = await run_quotawatt("probe", *arguments, "--json")
    assert ended.err == ""
    return ended.code, json.loads(ended.out)


@asynccontextmanager
async def saying(broker: Mosquitto, topic: str, payload: str, *, retain: bool = False) -> AsyncIterator[None]:
    """Somebody who says this five times a second, or once for the broker to keep."""

    async def say(client: aiomqtt.Client) -> None:
        while True:
            await client.publish(topic, payload, qos=1)
            await asyncio.sleep(0.2)

    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        if retain:
            await client.publish(topic, payload, qos=1, retain=True)
            yield
            return
        task = asyncio.create_task(say(client))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_point_of_a_simulated_rack_is_shown_with_the_message_that_had_it(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, Plant(miners=0, racks=1, mqtt_url=broker.url) as plant:
        (rack,) = [device for device in plant.devices if device.address.startswith("mqtt:")]
        options = ("--profile", "sim-gpu-rack", "--mqtt", broker.url)
        code, found = await probed(rack.address, *options)
        text = await run_quotawatt("probe", rack.address, *options)
    points = {point["name"]: point for point in found["points"]}
    topic = rack.address.removeprefix("mqtt:") + "/state"

    assert (code, found["ok"], found["profile"]) == (0, True, "sim-gpu-rack")
    assert list(found["messages"]) == [topic]
    said = json.loads(found["messages"][topic])
    assert points["power"] == {
        "name": "power",
        "topic": topic,
        "field": "power_w",
        "value": said["power_w"],
        "unit": "W",
        "problem": None,
    }
    assert points["gpu_active"]["value"] == 16
    assert (said["power_limit_w"], points["setpoint"]["value"]) == (None, 20400)  # no limit: the ceiling
    assert text.code == 0
    assert f"{topic}: {{" in text.out


async def test_one_field_that_is_wrong_hides_no_other(tmp_path: Path) -> None:
    payload = TASMOTA.replace("3210", '"much"')
    async with mosquitto(tmp_path) as broker, saying(broker, "tele/plug-7/SENSOR", payload):
        code, found = await probed(
            "mqtt:plug-7", "--profile", "tasmota-plug", "--mqtt", broker.url, "--timeout", "2"
        )
    points = {point["name"]: point for point in found["points"]}

    assert (code, found["ok"]) == (1, False)
    assert points["power"]["value"] is None
    assert points["power"]["problem"] == "power is no number"
    assert (points["energy_import"]["value"], points["energy_import"]["unit"]) == (1500, "Wh")


async def test_what_the_broker_kept_is_shown_and_proves_nothing(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, saying(broker, "tele/plug-7/SENSOR", TASMOTA, retain=True):
        code, found = await probed(
            "mqtt:plug-7", "--profile", "tasmota-plug", "--mqtt", broker.url, "--timeout", "2"
        )
    (power,) = [point for point in found["points"] if point["name"] == "power"]

    assert code == 1
    assert found["messages"] == {"tele/plug-7/SENSOR": TASMOTA}
    assert power["value"] is None
    assert "the broker kept" in power["problem"]


async def test_a_device_that_says_nothing_and_a_broker_that_is_not_there(tmp_path: Path) -> None:
    silent = ("mqtt:nobody", "--profile", "tasmota-plug", "--timeout", "0.5")
    async with mosquitto(tmp_path) as broker:
        code, found = await probed(*silent, "--mqtt", broker.url)
        url = broker.url
    gone_code, gone = await probed(*silent, "--mqtt", url)

    assert code == gone_code == 69
    assert "nothing was said below nobody within 0.5 s" in found["error"]
    assert "tele/nobody/SENSOR" in found["error"]
    assert "no broker answers at 127.0.0.1" in gone["error"]


async def test_options_that_make_no_sense_are_named() -> None:
    mqtt = ("probe", "mqtt:plug-7", "--profile", "tasmota-plug")
    modbus = ("probe", "modbus://127.0.0.1:1/1", "--profile", "sim-meter")
    said = {
        "--mqtt mqtt://host:1883 says where": mqtt,
        "is no broker": (*mqtt, "--mqtt", "http://localhost"),
        "--ca, --cert and --key are for mqtts://": (*mqtt, "--mqtt", "mqtt://localhost", "--ca", "ca.pem"),
        "--cert and --key go together": (*mqtt, "--mqtt", "mqtts://localhost", "--cert", "c.pem"),
        "--ca: there is no file nowhere.pem": (*mqtt, "--mqtt", "mqtts://localhost", "--ca", "nowhere.pem"),
        "--mqtt is for MQTT devices alone": (*modbus, "--mqtt", "mqtt://localhost"),
    }
    ended = await asyncio.gather(*(run_quotawatt(*words) for words in said.values()))
    for problem, each in zip(said, ended, strict=True):
        assert each.code == 2
        assert problem in each.err
