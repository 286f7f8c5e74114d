"""MQTT devices: their messages, their silence, their orders; in virtual time."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from drivers.address import MqttAddress
from drivers.device import Device
from drivers.mqtt.message import MessageError, table_reader
from drivers.ports import Absence, TopicHandler, WriteResult
from drivers.profile import MqttMap
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.recording_sink import RecordingSink, running

RACK = load_profile("sim-gpu-rack")
STATE = {"power_w": 20_100, "energy_wh": 5_000_000, "gpu_active": 16, "power_limit_w": None, "serial": 7}


@dataclass
class HandBus:
    """A broker's connection worked by hand."""

    connected: bool = True
    handlers: dict[str, TopicHandler] = field(default_factory=dict)
    published: list[tuple[str, object]] = field(default_factory=list)

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        self.handlers[topic_filter] = handler

    def unsubscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        assert self.handlers.pop(topic_filter) is handler

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        assert (qos, retain) == (1, False)
        if self.connected:
            self.published.append((topic, json.loads(payload)))
        return self.connected

    def say(self, *, retained: bool = False, **changed: object) -> None:
        self.handlers["hall/r1/state"]("hall/r1/state", json.dumps({**STATE, **changed}).encode(), retained)


def rack() -> Device:
    return Device("r1", RACK, MqttAddress("hall/r1"), 1.0)


def test_a_message_is_a_sample_no_younger_than_the_message_before() -> None:
    async def main(loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([rack()], sink, bus):
            await asyncio.sleep(0.1)
            bus.say()
            (sample,) = sink.samples
            assert sample.started == loop.time() - 1.0
            assert sample.values == {
                Quantity.POWER: 20_100.0,
                Quantity.ENERGY_IMPORT: 5_000_000.0,
                Quantity.GPU_ACTIVE: 16.0,
                Quantity.SETPOINT: 20_400.0,
                Quantity.SERIAL: 7.0,
            }
            bus.say(power_w=None)
            assert sink.samples[-1].values[Quantity.POWER] is None
            # How old a retained message is nobody knows.
            bus.say(retained=True)
            assert len(sink.samples) == 2

    run_virtual(main)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"12",
        b'{"power_w": "12"}',
        b'{"power_w": true}',
        b'{"power_w": NaN}',
        b'{"power_w": 1e999}',
        b'{"power_w": -Infinity}',
        b'{"power_w": 1' + b"0" * 400 + b"}",
        b'{"power_w": ' + b"[" * 50_000,
        b'{"power_w": 1}' + b" " * 70_000,
    ],
)
def test_what_is_no_message_is_invalid_and_no_value(payload: bytes) -> None:
    assert isinstance(RACK.map, MqttMap)
    with pytest.raises(MessageError):
        table_reader(RACK.map, RACK.map.topics[0], RACK.setpoint).read(payload)

    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([rack()], sink, bus) as fleet:
            await asyncio.sleep(0.1)
            bus.handlers["hall/r1/state"]("hall/r1/state", payload, False)  # noqa: FBT003  TopicHandler
            assert sink.reasons(0) == [Absence.INVALID]
            assert not sink.samples
            assert fleet.counters()[Absence.INVALID] == 1

    run_virtual(main)


def test_silence_for_more_than_three_periods_is_said_until_it_speaks_again() -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([rack()], sink, bus):
            await asyncio.sleep(0.1)
            for _ in range(5):
                bus.say()
                await asyncio.sleep(1)
            await asyncio.sleep(1.9)
            assert not sink.failures
            await asyncio.sleep(1)
            assert sink.reasons(0) == [Absence.SILENT]
            await asyncio.sleep(5)
            assert len(sink.reasons(0)) == pytest.approx(6, abs=1)
            silent = len(sink.failures)
            bus.say()
            await asyncio.sleep(2)
            assert len(sink.failures) == silent

    run_virtual(main)


@pytest.mark.parametrize(
    ("watts", "payload", "shown"),
    [
        (15_000, {"power_limit_w": 15_000}, 15_000),
        (0, {"power_limit_w": 0}, 0),
        (None, {"power_limit_w": None}, None),
    ],
)
def test_an_order_is_acknowledged_when_the_device_shows_that_it_holds_it(
    watts: float | None, payload: object, shown: float | None
) -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([rack()], sink, bus) as fleet:
            await asyncio.sleep(0.1)
            fleet.order(0, watts)
            assert bus.published == [("hall/r1/set", payload)]
            bus.say(power_limit_w=13_000)
            assert not sink.writes
            bus.say(power_limit_w=shown)
            assert sink.results() == [(watts, WriteResult.ACKNOWLEDGED)]
            bus.say(power_limit_w=shown)
            assert len(sink.writes) == 1

    run_virtual(main)


def test_an_order_that_is_not_shown_times_out_and_one_without_a_broker_says_so() -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([rack()], sink, bus) as fleet:
            await asyncio.sleep(0.1)
            fleet.order(0, 15_000)
            for _ in range(6):
                bus.say()
                await asyncio.sleep(1)
            assert sink.results() == [(15_000, WriteResult.TIMED_OUT)]
            bus.connected = False
            fleet.order(0, 14_000)
            assert len(sink.writes) == 1
            await asyncio.sleep(0)
            assert sink.results()[1:] == [(14_000, WriteResult.NOT_CONNECTED)]

    run_virtual(main)
