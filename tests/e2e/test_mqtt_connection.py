"""The connection to the broker against a real mosquitto, in both versions of MQTT."""

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from daemon.config.settings import MqttProtocol
from daemon.mqtt.connection import MqttConnection
from sim_devices.broker import EmbeddedBroker
from tests.world.mosquitto import Mosquitto, free_port, mosquitto
from tests.world.mqtt import Heard, QuickUuids, running, settings, until

VERSIONS = [MqttProtocol.V5, MqttProtocol.V311]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as started:
        yield started


def link(port: int, client_id: str | None, protocol: MqttProtocol = MqttProtocol.AUTO) -> MqttConnection:
    return MqttConnection(settings(port, protocol), client_id=client_id, entropy=QuickUuids())


@pytest.mark.parametrize("version", VERSIONS)
async def test_messages_go_out_and_come_in(broker: Mosquitto, version: MqttProtocol) -> None:
    heard = Heard()
    site = link(broker.port, "site", version)
    site.subscribe("a/+", heard)
    async with running(site), running(link(broker.port, None, version)) as other:
        assert site.protocol is version
        for number in range(300):
            assert other.publish(f"a/{number}", b"x" * 1000)
        await until(lambda: len(heard.messages) == 300)
        assert [topic for topic, _, _ in heard.messages] == [f"a/{number}" for number in range(300)]
        await asyncio.wait_for(other.drained(), 5)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_order_sent_during_a_cut_arrives_after_it(broker: Mosquitto, version: MqttProtocol) -> None:
    heard = Heard()
    async with running(link(broker.port, None)) as other:
        site = link(broker.port, "site", version)
        site.subscribe("cmd", heard)
        async with running(site):
            pass
        other.publish("cmd", b"1")
        await asyncio.wait_for(other.drained(), 5)
        site = link(broker.port, "site", version)
        site.subscribe("cmd", heard)
        async with running(site):
            await until(lambda: heard.messages)
        assert heard.messages == [("cmd", b"1", False)]


async def test_retained_shows_on_mqtt_5_even_for_a_subscription_that_stands(broker: Mosquitto) -> None:
    heard = Heard()
    site = link(broker.port, "site")
    site.subscribe("cmd", heard)
    async with running(site), running(link(broker.port, None)) as other:
        other.publish("cmd", b"1", retain=True)
        other.publish("cmd", b"2")
        await until(lambda: len(heard.messages) == 2)
        assert [retained for _, _, retained in heard.messages] == [True, False]


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_is_there_again_when_the_broker_is(broker: Mosquitto, version: MqttProtocol) -> None:
    heard, connects = Heard(), []
    site = link(broker.port, "site", version)
    site.subscribe("a", heard)
    site.on_connected(lambda: connects.append(1))
    async with running(site):
        await broker.stop()
        await until(lambda: not site.connected)
        assert not site.publish("b", b"now or never")
        assert site.publish("a", b"an answer", expires_s=60)
        await broker.start()
        await until(lambda: len(connects) == 2)
        assert site.protocol is version
        async with running(link(broker.port, None)) as other:
            other.publish("a", b"again")
            await until(lambda: (("a", b"again", False)) in heard.messages)


async def test_what_waits_for_a_connection_goes_out_with_it(broker: Mosquitto) -> None:
    heard = Heard()
    listener = link(broker.port, None)
    listener.subscribe("rsp", heard)
    site = link(broker.port, "site")
    assert site.publish("rsp", b"late", expires_s=60)
    assert site.publish("rsp", b"too late", expires_s=0.0)
    async with running(listener), running(site):
        await until(lambda: heard.messages)
        await asyncio.wait_for(site.drained(), 5)
    assert [payload for _, payload, _ in heard.messages] == [b"late"]


async def test_a_subscription_made_later_takes_effect(broker: Mosquitto) -> None:
    heard = Heard()
    async with running(link(broker.port, "site")) as site, running(link(broker.port, None)) as other:
        site.subscribe("late", heard)
        other.publish("late", b"kept", retain=True)
        await until(lambda: heard.messages)


GONE = """
import asyncio, os, sys
from daemon.config.settings import MqttProtocol
from daemon.mqtt.connection import LastWill, MqttConnection
from tests.world.mqtt import QuickUuids, running, settings

async def main():
    site = MqttConnection(
        settings(int(sys.argv[1]), MqttProtocol(sys.argv[2])),
        client_id="site", entropy=QuickUuids(), will=lambda: LastWill("state", b"gone"),
    )
    async with running(site):
        os._exit(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_will_is_said_when_the_site_is_gone_without_a_word(
    broker: Mosquitto, version: MqttProtocol
) -> None:
    heard = Heard()
    listener = link(broker.port, None, version)
    listener.subscribe("state", heard)
    async with running(listener):
        site = await asyncio.create_subprocess_exec(sys.executable, "-c", GONE, str(broker.port), version)
        assert await site.wait() == 0
        await until(lambda: heard.messages)
    assert heard.messages == [("state", b"gone", version is MqttProtocol.V5)]


async def test_a_broker_of_only_one_version_is_spoken_to_in_it() -> None:
    async with EmbeddedBroker() as embedded:
        for url, version in ((embedded.url_v311, MqttProtocol.V311), (embedded.url_v5, MqttProtocol.V5)):
            heard = Heard()
            site = link(int(url.rpartition(":")[2]), f"site-{version}")
            site.subscribe("a", heard)
            async with running(site), running(link(int(url.rpartition(":")[2]), None, version)) as other:
                assert site.protocol is version
                other.publish("a", b"1")
                await until(partial(len, heard.messages))


async def test_a_broker_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    site = link(port, "site")
    task = asyncio.create_task(site.run())
    try:
        await asyncio.sleep(1.0)
        assert not site.connected
        broker = Mosquitto(port, tmp_path)
        await broker.start()
        try:
            await until(lambda: site.connected)
            assert site.protocol is MqttProtocol.V5
        finally:
            await broker.stop()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_ends_when_told_to_in_the_moment_in_which_the_broker_goes(broker: Mosquitto) -> None:
    for _ in range(5):
        site = link(broker.port, "site")
        task = asyncio.create_task(site.run())
        await until(partial(getattr, site, "connected"))
        assert broker.process is not None
        broker.process.kill()
        await broker.process.wait()
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done
        assert task.cancelled()
        await broker.start()
