"""The bulk lane against real brokers: both versions of MQTT, TLS, passwords, restarts, wills."""

import asyncio
import dataclasses
import json
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest
import structlog
import uvloop

from daemon.config.settings import Mqtt, MqttProtocol
from daemon.mqtt.lane import DeviceLane
from daemon.table import SiteTable
from drivers.address import MqttAddress
from drivers.device import Device
from drivers.mqtt.fleet import MqttFleet
from drivers.ports import Absence
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from tests.world.broker_peer import packet, said
from tests.world.brokers import BROKERS, BrokerKind
from tests.world.certificates import Authority
from tests.world.mosquitto import mosquitto
from tests.world.mqtt import Heard, QuickUuids, settings, until
from tests.world.wire import Wire

Loop = asyncio.AbstractEventLoop
TOPICS = [f"tele/plug-{number:04}/SENSOR" for number in range(1_500)]


@asynccontextmanager
async def running(wanted: Mqtt, *topics: str, heard: Heard | None = None) -> AsyncIterator[DeviceLane]:
    """A lane that runs within the block; the caller waits for what it needs."""
    lane = DeviceLane(wanted, client_id="quotawatt-x-devices", entropy=QuickUuids())
    for topic in topics:
        lane.subscribe(topic, heard or Heard())
    task = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def subscribed(lane: DeviceLane) -> None:
    await until(lambda: lane.subscribed)


async def _everything_works(kind: BrokerKind, folder: Path) -> None:
    async with kind.running(folder) as broker:
        heard, device = Heard(), Heard()
        # mosquitto has both versions; the other has a port for each, and is found out.
        asked = kind.protocol if kind.name == "mosquitto" else MqttProtocol.AUTO
        async with (
            aiomqtt.Client("127.0.0.1", broker.port, protocol=broker.version) as other,
            running(settings(broker.port, asked), *TOPICS, "wild/+/state", heard=heard) as lane,
        ):
            await subscribed(lane)
            assert lane.protocol is kind.protocol
            for number, topic in enumerate(TOPICS):
                await other.publish(topic, json.dumps({"n": number, "pad": "x" * (number % 300)}))
            await other.publish("wild/7/state", b"w" * 20_000)
            # A device that publishes with the retain flag is as fresh as any.
            await other.publish(TOPICS[3], b"kept", retain=True)
            await until(lambda: len(heard.messages) == len(TOPICS) + 2)
            # Between topics there is no order, only within one.
            said_by = {
                topic: [message for message in heard.messages if message[0] == topic] for topic in TOPICS
            }
            assert [json.loads(said_by[topic][0][1])["n"] for topic in TOPICS] == list(range(len(TOPICS)))
            assert said_by[TOPICS[3]][1:] == [(TOPICS[3], b"kept", False)]
            assert ("wild/7/state", b"w" * 20_000, False) in heard.messages
            await other.subscribe("cmnd/#", qos=1)
            assert all(lane.publish(f"cmnd/{number}/POWER", b"OFF") for number in range(300))
            await asyncio.wait_for(lane.drained(), 10)
            async for message in other.messages:
                device(str(message.topic), message.payload, message.retain)
                if len(device.messages) == 300:
                    break
            assert len({topic for topic, _, _ in device.messages}) == 300
            assert lane.dropped == {"too-long": 0, "nobody": 0, "unsent": 0}


@pytest.mark.parametrize("kind", BROKERS, ids=str)
async def test_every_broker_in_every_version(kind: BrokerKind, tmp_path: Path) -> None:
    await _everything_works(kind, tmp_path)


def test_in_the_loop_that_the_daemon_runs_in(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_everything_works(BROKERS[0], tmp_path))


async def test_what_the_broker_had_kept_comes_flagged(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, aiomqtt.Client("127.0.0.1", broker.port) as other:
        await other.publish("a", b"old", retain=True)
        for protocol in (MqttProtocol.V5, MqttProtocol.V311):
            heard = Heard()
            async with running(settings(broker.port, protocol), "a", heard=heard):
                await until(lambda: heard.messages)  # noqa: B023  awaited at once
                assert heard.messages == [("a", b"old", True)]


async def _outlives_a_restart(folder: Path) -> None:
    async with mosquitto(folder) as broker:
        heard = Heard()
        async with running(settings(broker.port), "a", heard=heard) as lane:
            await until(lambda: lane.connected)
            await broker.stop()
            await until(lambda: not lane.connected)
            assert not lane.publish("b", b"")
            await broker.start()
            await subscribed(lane)
            async with aiomqtt.Client("127.0.0.1", broker.port) as other:
                await other.publish("a", b"back")
            await until(lambda: heard.messages)
            assert heard.messages == [("a", b"back", False)]


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_outlives_a_restart_of_the_broker(make_loop: Callable[[], Loop], tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(_outlives_a_restart(tmp_path))


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_outlives_a_connection_that_is_gone_at_once(make_loop: Callable[[], Loop], tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            mosquitto(tmp_path) as broker,
            Wire(broker.port) as wire,
            running(settings(wire.port), "a") as lane,
        ):
            for _ in range(3):
                await subscribed(lane)
                await wire.cut()
                await until(lambda: not lane.connected)
                await wire.mend()
            await subscribed(lane)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


async def test_a_message_longer_than_is_kept_never_comes_or_is_let_go_by(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, aiomqtt.Client("127.0.0.1", broker.port) as other:
        for protocol, let_by in ((MqttProtocol.V5, 0), (MqttProtocol.V311, 1)):
            heard = Heard()
            async with running(settings(broker.port, protocol), "a", heard=heard) as lane:
                await subscribed(lane)
                await other.publish("a", b"x" * 5_000_000)
                await other.publish("a", b"next")
                await until(lambda: heard.messages)  # noqa: B023  awaited at once
                assert heard.messages == [("a", b"next", False)]
                # MQTT 5 lets the broker know the bound.
                assert lane.dropped["too-long"] == let_by


async def test_tls_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    site, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    server, key = site.issue("broker")
    files = f"cafile {site.ca}\ncertfile {server}\nkeyfile {key}\n"
    options = f"{files}require_certificate true\nallow_anonymous true\nuser root\n"
    async with mosquitto(tmp_path, options) as broker:
        cert, own_key = site.issue("controller")
        wanted = dataclasses.replace(settings(broker.port), tls=True, ca=site.ca, cert=cert, key=own_key)
        heard = Heard()
        async with running(wanted, "a", heard=heard) as lane:
            await subscribed(lane)
            assert lane.publish("a", b"x")
            await asyncio.wait_for(lane.drained(), 5)
        for wrong in (
            dataclasses.replace(wanted, ca=stranger.ca),
            dataclasses.replace(wanted, cert=None, key=None),
            settings(broker.port),
        ):
            async with running(wrong) as lane:
                await asyncio.sleep(1)
                assert not lane.connected


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(path), "site", "right"], check=True)
    return path


async def test_a_name_and_a_password(passwords: Path, tmp_path: Path) -> None:
    options = f"allow_anonymous false\npassword_file {passwords}\nuser root\n"
    async with mosquitto(tmp_path, options) as broker:
        for protocol in (MqttProtocol.V5, MqttProtocol.V311):
            right = dataclasses.replace(settings(broker.port, protocol), username="site", password="right")
            async with running(right) as lane:
                await until(lambda: lane.connected)
            with structlog.testing.capture_logs() as logs:
                async with running(dataclasses.replace(right, password="wrong")) as lane:
                    await asyncio.sleep(1.5)
                    assert not lane.connected
            told = [entry for entry in logs if entry["log_level"] == "warning"]
            assert [entry["event"] for entry in told] == ["broker not reached for devices"]
            assert "refuses" in told[0]["error"]


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


CONNECT = packet(
    0x10,  # MQTT 3.1.1, clean session, a retained will of QoS 1
    _text("MQTT") + b"\x04\x2e\0\x3c" + _text("plug-1") + _text("plug-1/online") + _text("false"),
)
SUBSCRIBE = packet(0x82, b"\0\x01" + _text("plug-1/command/switch:0") + b"\x01")


async def test_a_plug_that_vanishes_is_absent_as_soon_as_its_broker_knows(tmp_path: Path) -> None:
    plug = load_profile("shelly-gen2-plug")
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as lane:
        loop, table = asyncio.get_running_loop(), SiteTable([plug.period_s])
        fleet = MqttFleet([(0, Device("p", plug, MqttAddress("plug-1"), plug.period_s))], table, lane)
        listening = asyncio.create_task(fleet.run())
        await until(lambda: len(lane._dispatch.filters) == 2)
        await subscribed(lane)
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
        status = json.dumps({"apower": 3100.5, "output": True}).encode()
        writer.write(CONNECT + SUBSCRIBE)
        writer.write(said("plug-1/online", b"true", v5=False, retained=True))
        writer.write(said("plug-1/status/switch:0", status, v5=False, retained=True))
        await until(lambda: table.freeze(loop.time()).value(0, Quantity.POWER) == 3100.5)
        fleet.order(0, 0)
        async with asyncio.timeout(5):
            await reader.readuntil(b"plug-1/command/switch:0")
            assert b"off" in await reader.read(100)
        # Not a goodbye: the broker speaks the will.
        writer.transport.abort()
        await until(lambda: table.freeze(loop.time()).value(0, Quantity.POWER) is None)
        assert table.freeze(loop.time()).absence(0, Quantity.POWER) is Absence.NOT_CONNECTED
        listening.cancel()
        await asyncio.wait([listening])
