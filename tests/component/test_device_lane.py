"""The bulk lane to the broker, in virtual time: versions, cuts, silence, bounds."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from daemon.config.settings import MqttProtocol
from daemon.mqtt import lane as lane_module
from daemon.mqtt.connection import LinkState
from daemon.mqtt.lane import DeviceLane
from tests.world.broker_peer import V5, V311, BrokerPeer, packet, said
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.mqtt import Heard, settings
from tests.world.orders import CountedUuids


class Jitter(CountedUuids):
    """Waits as long as it may, and remembers between what it might choose."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges: list[tuple[float, float]] = []

    def uniform(self, low: float, high: float) -> float:
        self.ranges.append((low, high))
        return high


def lane_to(peer: BrokerPeer, protocol: MqttProtocol = MqttProtocol.AUTO) -> DeviceLane:
    return DeviceLane(settings(peer.port, protocol), client_id="quotawatt-x-devices", entropy=Jitter())


@asynccontextmanager
async def running(lane: DeviceLane) -> AsyncIterator[None]:
    task = asyncio.create_task(lane.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


@pytest.mark.parametrize("version", [V5, V311])
def test_a_device_that_has_gone_is_unsubscribed_from(version: int) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, heard, other = BrokerPeer(versions=(version,)), Heard(), Heard()
        await peer.listen()
        lane = lane_to(peer)
        for topic, handler in (("a", heard), ("b", heard), ("b", other)):
            lane.subscribe(topic, handler)
        async with running(lane):
            await asyncio.sleep(1)
            lane.unsubscribe("b", heard)
            lane.unsubscribe("a", heard)
            # Gone again before the broker heard of it.
            lane.subscribe("c", heard)
            lane.unsubscribe("c", heard)
            await asyncio.sleep(0.1)
            assert peer.last.unsubscribes == [(b"\0" if version == V5 else b"") + b"\0\x01a"]
            assert peer.last.subscribes == [["a", "b"]]
            for topic in ("a", "b"):
                peer.last.say(topic, b"x")
            await asyncio.sleep(0.1)
            assert (heard.messages, other.messages) == ([], [("b", b"x", False)])
            # Back again, and over another connection only what is there still.
            lane.subscribe("a", heard)
            await asyncio.sleep(0.1)
            assert peer.last.subscribes[-1] == ["a"]
            lane.unsubscribe("a", heard)
            peer.last.transport.close()
            await asyncio.sleep(60)
            assert peer.last.subscribes == [["b"]]
            assert len(peer.connections) > 1

    run_virtual(main)


@pytest.mark.parametrize("version", [V5, V311])
def test_it_hears_and_says_in_the_version_that_the_broker_speaks(version: int) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, heard = BrokerPeer(versions=(version,)), Heard()
        await peer.listen()
        lane = lane_to(peer)
        lane.subscribe("hall/m1/state", heard)
        assert not lane.publish("early", b"x")
        async with running(lane):
            await asyncio.sleep(1)
            assert lane.connected
            assert (peer.last.version, peer.last.subscribes) == (version, [["hall/m1/state"]])
            assert lane.protocol is (MqttProtocol.V5 if version == V5 else MqttProtocol.V311)
            peer.last.say("hall/m1/state", b"{}")
            peer.last.say("hall/m1/state", b"old", retained=True)
            peer.last.say("hall/m1/state", b"y" * 200)
            assert lane.publish("hall/m1/set", b"on", qos=1)
            assert lane.publish("hall/m1/ask", b"?", qos=0)
            await asyncio.sleep(0.1)
            topic = "hall/m1/state"
            assert heard.messages == [
                (topic, b"{}", False),
                (topic, b"old", True),
                (topic, b"y" * 200, False),
            ]
            assert peer.last.published == [("hall/m1/set", b"on", 2), ("hall/m1/ask", b"?", 0)]
            await asyncio.wait_for(lane.drained(), 1)
        assert peer.last.ended

    run_virtual(main)


def test_a_device_that_publishes_with_the_retain_flag_is_heard_as_fresh() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer = BrokerPeer()
        await peer.listen()
        lane = lane_to(peer)
        lane.subscribe("a", Heard())
        async with running(lane):
            await asyncio.sleep(1)
            # Bit 3 is Retain As Published: with it every message of such a device would look old.
            assert peer.last.options == {0x04}

    run_virtual(main)


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_broker_without_mqtt_5_is_asked_in_3_1_1_and_remembered(hangs_up: bool) -> None:  # noqa: FBT001
    async def main(_loop: VirtualLoop) -> None:
        peer = BrokerPeer(versions=(V311,), hangs_up=hangs_up)
        await peer.listen()
        lane = lane_to(peer)
        async with running(lane):
            await asyncio.sleep(0.5)
            assert [c.version for c in peer.connections] == [V5, V311]
            peer.last.transport.close()
            await asyncio.sleep(3)
            assert [c.version for c in peer.connections] == [V5, V311, V311]

    run_virtual(main)


def test_a_version_that_was_asked_for_is_the_only_one_tried() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer = BrokerPeer(versions=(V311,))
        await peer.listen()
        async with running(lane_to(peer, MqttProtocol.V5)):
            await asyncio.sleep(20)
        assert {c.version for c in peer.connections} == {V5}

    run_virtual(main)


def test_it_comes_back_with_a_growing_jittered_pause_warns_once_and_subscribes_anew() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, heard = BrokerPeer(), Heard()
        await peer.listen()
        lane = lane_to(peer)
        lane.subscribe("a", heard)
        with structlog.testing.capture_logs() as logs:
            async with running(lane):
                await asyncio.sleep(1)
                peer.stop()
                await asyncio.sleep(120)
                assert lane.state is not LinkState.CONNECTED
                assert not lane.publish("a", b"")
                lane.subscribe("b", heard)
                await peer.listen()
                await asyncio.sleep(31)
                assert lane.connected
                assert peer.last.subscribes == [["a", "b"]]
        jitter = lane._entropy
        assert isinstance(jitter, Jitter)
        assert [high for _, high in jitter.ranges[:7]] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
        assert {low for low, _ in jitter.ranges} == {0.2}
        warned = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
        assert warned == ["broker connection for devices lost"]
        assert len([entry for entry in logs if entry["log_level"] == "debug"]) > 5

    run_virtual(main)


def test_a_broker_that_is_silent_is_left_and_one_that_answers_pings_is_not() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer = BrokerPeer()
        await peer.listen()
        async with running(lane_to(peer)):
            await asyncio.sleep(300)
            assert len(peer.connections) == 1
            assert 300 / 15 <= peer.last.pings <= 300 / 5
            peer.answers_pings = False
            await asyncio.sleep(45)
            assert peer.connections[0].ended

    run_virtual(main)


def test_a_broker_that_never_answers_is_given_up_within_seconds() -> None:
    async def main(loop: VirtualLoop) -> None:
        peer = BrokerPeer(silent=True)
        await peer.listen()
        started = loop.time()
        async with running(lane_to(peer)):
            await asyncio.sleep(11)
            assert [c.version for c in peer.connections[:2]] == [V5, V311]
            assert peer.connections[1].at - started == pytest.approx(lane_module.CALL_S)
            assert peer.connections[0].ended

    run_virtual(main)


def test_ten_thousand_topics_go_out_in_few_packets_and_a_refused_one_is_named() -> None:
    async def main(_loop: VirtualLoop) -> None:
        topics = [f"tele/plug-{n:05}/SENSOR" for n in range(10_000)]
        peer, heard = BrokerPeer(refused=frozenset({topics[7]})), Heard()
        await peer.listen()
        lane = lane_to(peer)
        for topic in topics:
            lane.subscribe(topic, heard)
        with structlog.testing.capture_logs() as logs:
            async with running(lane):
                await asyncio.sleep(1)
                assert [name for part in peer.last.subscribes for name in part] == topics
                assert 10 < len(peer.last.subscribes) < 20
                lane.subscribe("late", heard)
                lane.subscribe("later", heard)
                await asyncio.sleep(1)
                assert peer.last.subscribes[-1] == ["late", "later"]
        assert [e["topics"] for e in logs if e["event"] == "broker refuses subscriptions"] == [[topics[7]]]

    run_virtual(main)


def test_what_reaches_nobody_is_counted_and_a_packet_too_long_is_let_go_by() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, heard = BrokerPeer(), Heard()
        await peer.listen()
        lane = lane_to(peer)
        lane.subscribe("a", heard)
        async with running(lane):
            await asyncio.sleep(1)
            huge = said("a", b"z" * 3_000_000, v5=True)
            for start in range(0, len(huge), 65_536):
                peer.last.send(huge[start : start + 65_536])
            peer.last.say("a", b"after")
            peer.last.say("elsewhere", b"?")
            await asyncio.sleep(1)
            assert heard.messages == [("a", b"after", False)]
            assert len(lane._session.wire._rest) == 0  # type: ignore[union-attr]  # it is connected
            assert lane.dropped == {"too-long": 1, "nobody": 1, "unsent": 0}

    run_virtual(main)


def test_no_more_orders_are_under_way_than_the_broker_takes_and_a_cut_counts_the_rest() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer = BrokerPeer(connack_properties=b"\x21\x00\x14\x13\x00\x1e", acknowledges=False)
        await peer.listen()
        lane = lane_to(peer)
        async with running(lane):
            await asyncio.sleep(1)
            assert all(lane.publish(f"m{n}/set", b"off") for n in range(100))
            await asyncio.sleep(1)
            assert len(peer.last.published) == 20
            for _, _, packet_id in peer.last.published[:5]:
                peer.last.acknowledge(packet_id, 0x87)
            await asyncio.sleep(1)
            assert [topic for topic, _, _ in peer.last.published] == [f"m{n}/set" for n in range(25)]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(lane.drained(), 1)
            peer.last.transport.close()
            await asyncio.sleep(0.1)
            assert lane.dropped["unsent"] == 95
            await asyncio.wait_for(lane.drained(), 1)

    run_virtual(main)


NONSENSE = {
    "a length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "a topic longer than its packet": packet(0x30, b"\x00\x09a"),
    "a PUBLISH without a topic": packet(0x30, b""),
    "properties longer than their packet": packet(0x30, b"\x00\x01a\x7f"),
    "a topic that is no text": packet(0x30, b"\x00\x01\xff\x00"),
    "a packet of QoS 1, which nobody asked for": packet(0x32, b"\x00\x01a\x00\x01\x00"),
    "a second CONNACK": packet(0x20, b"\0\0\0"),
    "a SUBSCRIBE from the broker": packet(0x82, b"\0\x01\0"),
    "a SUBACK of one byte": packet(0x90, b"\0"),
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
def test_what_is_not_mqtt_ends_the_connection_and_nothing_else(data: bytes) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, heard = BrokerPeer(), Heard()
        await peer.listen()
        lane = lane_to(peer)
        lane.subscribe("a", heard)
        async with running(lane):
            await asyncio.sleep(1)
            peer.last.send(data)
            peer.last.say("a", b"never")
            await asyncio.sleep(5)
            assert len(peer.connections) == 2
            peer.last.say("a", b"again")
            await asyncio.sleep(1)
        assert heard.messages == [("a", b"again", False)]

    run_virtual(main)


def test_what_a_handler_did_not_foresee_is_not_swallowed() -> None:
    def broken(_topic: str, _payload: bytes, _retained: bool) -> None:  # noqa: FBT001  TopicHandler
        raise KeyError("nobody foresaw this")

    async def main(loop: VirtualLoop) -> None:
        peer = BrokerPeer()
        await peer.listen()
        lane = lane_to(peer)
        lane.subscribe("a", broken)
        task = asyncio.create_task(lane.run())
        await asyncio.sleep(1)
        # What a transport does with an error of its protocol; the one in memory does not.
        loop.set_exception_handler(lambda _, context: lost(context["exception"]))

        def lost(error: Exception) -> None:
            assert lane._session is not None
            lane._session.wire.connection_lost(error)

        peer.last.say("a", b"x")
        with pytest.raises(KeyError, match="foresaw"):
            await asyncio.wait_for(task, 5)

    run_virtual(main)


def test_packets_come_whole_however_they_are_cut() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, heard = BrokerPeer(), Heard()
        await peer.listen()
        lane = lane_to(peer)
        lane.subscribe("a", heard)
        payloads = [b"", b"x", b"y" * 125, b"z" * 130, b"w" * 20_000]
        properties = b"\x26" + struct.pack(">H", 1) + b"k" + struct.pack(">H", 100) + b"v" * 100
        stream = b"".join(
            said("a", payload, v5=True, properties=properties if index % 2 else b"")
            for index, payload in enumerate(payloads)
        )
        async with running(lane):
            await asyncio.sleep(1)
            for size in (1, 2, 3, 127, 4096):
                heard.messages.clear()
                for start in range(0, len(stream), size):
                    peer.last.send(stream[start : start + size])
                await asyncio.sleep(0.1)
                assert [payload for _, payload, _ in heard.messages] == payloads

    run_virtual(main)
