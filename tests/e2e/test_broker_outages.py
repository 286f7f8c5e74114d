"""A broker that goes, forgets and comes back: the site is there again, misses nothing, and does not grow."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.clock import SystemClock, SystemEntropy
from daemon.commands.orders import ScheduleEntry
from daemon.commands.sender import Sender, Signed
from daemon.commands.words import Lane, Role
from daemon.mqtt.connection import MqttConnection
from daemon.mqtt.topics import Topics
from daemon.signing import loads
from tests.world.mosquitto import Mosquitto, mosquitto
from tests.world.mqtt import Heard, QuickUuids, running, settings, until
from tests.world.order_site import OrderSite
from tests.world.orders import KEYS, SITE, CountedUuids

BACK_S = 5.0
"""After its return the broker is in use again within this."""


class LazyUuids(CountedUuids):
    """Waits for as long as it may before it connects again."""

    def uniform(self, low: float, high: float) -> float:
        del low
        return high


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as started:
        yield started


def sender(role: Role) -> Sender:
    return Sender(KEYS[role], SITE, SystemClock(), SystemEntropy())


def quota(dispatcher: Sender, rev: int) -> Signed:
    now_s = int(SystemClock().wall())
    return dispatcher.quota(rev, [ScheduleEntry(now_s - 5, now_s + 600, 12_000_000)])


async def publish(broker: Mosquitto, *messages: Signed) -> None:
    """As somebody who is there for this alone."""
    topics = Topics(SITE)
    async with running(MqttConnection(settings(broker.port), client_id=None, entropy=QuickUuids())) as link:
        for message in messages:
            topic = topics.lane(message.lane)
            link.publish(topic, message.jws.encode(), retain=message.lane is Lane.QUOTA)
        await asyncio.wait_for(link.drained(), 5)


async def test_after_a_broker_that_forgot_everything_the_site_is_back_within_five_seconds(
    broker: Mosquitto, tmp_path: Path
) -> None:
    site, dispatcher = OrderSite(settings(broker.port), tmp_path, LazyUuids()), sender(Role.DISPATCHER)
    states = Heard()
    async with site.running() as link:
        await publish(broker, quota(dispatcher, 1))
        await until(lambda: site.paper.of("quota") == [1])
        await broker.stop()
        # Long enough for the longest pause between two tries.
        await asyncio.sleep(9)
        assert not link.connected
        await broker.start()
        began_s = asyncio.get_running_loop().time()
        await until(lambda: link.connected)
        assert asyncio.get_running_loop().time() - began_s < BACK_S
        # Session and subscriptions were lost with the broker.
        await publish(broker, quota(dispatcher, 2), dispatcher.lease(2))
        await until(lambda: site.paper.of("quota") == [1, 2] and site.paper.of("lease"))
        # So was what the site had said of itself.
        listener = MqttConnection(settings(broker.port), client_id=None, entropy=QuickUuids())
        listener.subscribe(Topics(SITE).state, states)
        async with running(listener):
            await until(lambda: states.messages)
        assert loads(states.messages[0][1])["state"] == "limited"


def _ours() -> int:
    gc.collect()
    modules = (str(type(one).__module__) for one in gc.get_objects())
    return sum(module.startswith(("daemon.", "paho.", "aiomqtt")) for module in modules)


async def test_a_flapping_broker_costs_no_order_and_no_memory(broker: Mosquitto, tmp_path: Path) -> None:
    site = OrderSite(settings(broker.port), tmp_path, SystemEntropy())
    operator, dispatcher = sender(Role.OPERATOR), sender(Role.DISPATCHER)
    loop, answers = asyncio.get_running_loop(), Heard()
    hold = operator.command("hold", {"limit_w": 9_500_000, "reason": "crane"}, lane=Lane.OPERATOR)
    async with site.running() as link:
        await asyncio.sleep(1)
        objects, tasks, threads = _ours(), len(asyncio.all_tasks()), threading.active_count()
        for turn in range(8):
            await broker.stop()
            await asyncio.sleep(1)
            await broker.start()
            if turn % 2:
                await publish(broker, hold, quota(dispatcher, turn))
            await asyncio.sleep(1)
        began_s = loop.time()
        await until(lambda: link.connected)
        assert loop.time() - began_s < BACK_S
        listener = MqttConnection(settings(broker.port), client_id=None, entropy=QuickUuids())
        listener.subscribe(Topics(SITE).rsp(hold.jti), answers)
        async with running(listener):
            # Its sender sends the same bytes until they are answered.
            await publish(broker, hold, quota(dispatcher, 99))
            await until(lambda: len(answers.messages) >= 2)
        await until(lambda: site.paper.of("quota")[-1:] == [99])
        assert len(site.paper.of("hold")) == 1
        assert site.refusals.keys() <= {("cmd/operator", "retained")}
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) <= tasks
        assert threading.active_count() <= threads + 2
        assert _ours() <= objects + 150
