"""MQTT devices that publish on several topics, are switched on and off, and say when they are gone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from daemon.table import SiteTable
from drivers.address import MqttAddress
from drivers.device import Device
from drivers.mqtt.fleet import MqttFleet
from drivers.ports import Absence, WriteResult
from drivers.profiles import load_profile, parse_profile
from drivers.quantity import Quantity
from tests.world.hand_bus import HandBus
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.recording_sink import RecordingSink, running

PLUG = load_profile("tasmota-plug")
SENSOR, STATE, LWT = "tele/p7/SENSOR", "tele/p7/STATE", "tele/p7/LWT"
PERIOD_S = 12.0
D40 = load_profile("bitdeer-d40")


def plug(period_s: float = PERIOD_S) -> Device:
    return Device("p7", PLUG, MqttAddress("p7"), period_s)


@asynccontextmanager
async def filling(table: SiteTable, bus: HandBus) -> AsyncIterator[MqttFleet]:
    """The plug's messages go into a site table."""
    fleet = MqttFleet([(0, plug())], table, bus)
    task = asyncio.create_task(fleet.run())
    try:
        yield fleet
    finally:
        task.cancel()
        await asyncio.wait([task])


def sensor(bus: HandBus, power_w: float = 3400, total_kwh: float = 3.185, *, retained: bool = False) -> None:
    body = {"Time": "x", "ENERGY": {"Total": total_kwh, "Power": power_w, "Voltage": 230}}
    bus.say(SENSOR, json.dumps(body), retained=retained)


def test_the_values_of_two_topics_stand_side_by_side_and_the_powers_topic_gives_the_age() -> None:
    async def main(loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([plug()], sink, bus):
            await asyncio.sleep(1)
            assert set(bus.handlers) == {SENSOR, STATE, LWT}
            bus.say(STATE, '{"POWER": "ON"}')
            # Nothing is known of its power yet: it is not taken for a device that was read.
            assert sink.samples[-1].started == float("-inf")
            assert sink.reasons(0) == [Absence.NEVER_READ]
            sensor(bus)
            heard_at = loop.time()
            assert sink.samples[-1].values == {Quantity.POWER: 3400.0, Quantity.ENERGY_IMPORT: 3185.0}
            await asyncio.sleep(5)
            bus.say(STATE, '{"POWER": "OFF"}')
            assert sink.samples[-1].values == {Quantity.SETPOINT: 0.0}
            assert sink.samples[-1].started == sink.samples[-2].started == heard_at - 1.0
            assert len(sink.failures) == 1

    run_virtual(main)


def test_a_topic_that_falls_silent_takes_its_own_values_away_and_no_others() -> None:
    async def main(loop: VirtualLoop) -> None:
        bus, table = HandBus(), SiteTable([PERIOD_S])
        async with filling(table, bus) as fleet:
            await asyncio.sleep(1)
            for _ in range(5):
                sensor(bus)
                bus.say(STATE, '{"POWER": "ON"}')
                await asyncio.sleep(10)
            for _ in range(4):
                sensor(bus)
                await asyncio.sleep(10)
            sensor(bus)
            seen = table.freeze(loop.time())
            assert seen.value(0, Quantity.POWER) == 3400.0
            assert seen.fresh(Quantity.POWER)[0] == 3400.0
            assert seen.value(0, Quantity.SETPOINT) is None
            assert seen.absence(0, Quantity.SETPOINT) is Absence.SILENT
            assert fleet.counters()[Absence.SILENT] == 2  # told again once a period
            bus.say(STATE, '{"POWER": "ON"}')
            sensor(bus)
            seen = table.freeze(loop.time())
            assert seen.value(0, Quantity.SETPOINT) == 3500.0
            assert seen.reason(0) is None

    run_virtual(main)


def test_without_the_powers_topic_the_device_grows_old_whatever_else_it_says() -> None:
    async def main(loop: VirtualLoop) -> None:
        bus, table = HandBus(), SiteTable([PERIOD_S])
        async with filling(table, bus):
            await asyncio.sleep(1)
            sensor(bus)
            for _ in range(8):
                bus.say(STATE, '{"POWER": "ON"}')
                await asyncio.sleep(10)
            seen = table.freeze(loop.time())
            assert seen.fresh(Quantity.POWER)[0] != 3400.0
            assert seen.age_s[0] == pytest.approx(81.0)
            assert seen.reason(0) is Absence.SILENT

    run_virtual(main)


def test_many_that_fall_silent_at_once_are_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        devices = [Device(f"p{n}", PLUG, MqttAddress(f"p{n}"), PERIOD_S) for n in range(50)]
        async with running(devices, sink, bus):
            await asyncio.sleep(120)

    run_virtual(main)
    (record,) = caplog.records
    assert record.getMessage().startswith("nothing comes any more on 100 topics, as tele/p0/SENSOR, ")


def test_a_plug_that_was_told_to_publish_more_seldom_is_waited_for_longer() -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([plug(period_s=60.0)], sink, bus):
            await asyncio.sleep(179)
            assert not sink.failures
            await asyncio.sleep(3)
            assert set(sink.reasons(0)) == {Absence.SILENT}

    run_virtual(main)


@pytest.mark.parametrize("retained", [False, True])
def test_the_last_will_takes_the_values_away_at_once(retained: bool) -> None:  # noqa: FBT001
    async def main(loop: VirtualLoop) -> None:
        bus, table = HandBus(), SiteTable([PERIOD_S])
        async with filling(table, bus) as fleet:
            await asyncio.sleep(1)
            sensor(bus)
            bus.say(STATE, '{"POWER": "ON"}')
            bus.say(LWT, "Offline", retained=retained)
            seen = table.freeze(loop.time())
            assert {seen.value(0, quantity) for quantity in Quantity} == {None}
            assert seen.absence(0, Quantity.POWER) is Absence.NOT_CONNECTED
            fleet.order(0, 0)
            await asyncio.sleep(0)
            assert not bus.published
            assert [o.result for o in table.freeze(loop.time()).outcomes] == [WriteResult.NOT_CONNECTED]
            # Its return says nothing of its values; its next message does.
            bus.say(LWT, "Online", retained=True)
            assert table.freeze(loop.time()).value(0, Quantity.POWER) is None
            sensor(bus)
            assert table.freeze(loop.time()).fresh(Quantity.POWER)[0] == 3400.0
            fleet.order(0, 0)
            assert bus.published == [("cmnd/p7/POWER", "OFF")]

    run_virtual(main)


def test_a_message_after_a_late_will_shows_that_the_device_is_there() -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([plug()], sink, bus) as fleet:
            await asyncio.sleep(1)
            bus.say(LWT, "Offline")
            bus.say(LWT, "Offline")
            bus.say(LWT, "offline?")
            assert sink.reasons(0) == [Absence.NOT_CONNECTED]
            sensor(bus)
            fleet.order(0, None)
            assert bus.published == [("cmnd/p7/POWER", "ON")]

    run_virtual(main)


def test_what_the_broker_had_kept_is_not_a_measurement() -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([plug()], sink, bus):
            await asyncio.sleep(1)
            sensor(bus, retained=True)
            assert not sink.samples
            await asyncio.sleep(40)
            assert Absence.SILENT in sink.reasons(0)

    run_virtual(main)


@pytest.mark.parametrize(("watts", "word"), [(0, "OFF"), (None, "ON"), (3500, "ON")])
def test_a_switch_is_acknowledged_by_its_read_back(watts: float | None, word: str) -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        async with running([plug()], sink, bus) as fleet:
            await asyncio.sleep(1)
            fleet.order(0, watts)
            assert bus.published == [("cmnd/p7/POWER", word)]
            bus.say(STATE, '{"POWER": "' + ("ON" if word == "OFF" else "OFF") + '"}')
            sensor(bus)
            assert not sink.writes
            # The next STATE of a plug without SetOption59 is a period away.
            await asyncio.sleep(PERIOD_S)
            assert not sink.writes
            bus.say(STATE, '{"POWER": "' + word + '"}')
            assert sink.results() == [(watts, WriteResult.ACKNOWLEDGED)]
            await asyncio.sleep(60)
            assert len(sink.writes) == 1

    run_virtual(main)


def test_a_switch_that_says_off_and_goes_on_drawing_is_acknowledged_and_measured() -> None:
    async def main(loop: VirtualLoop) -> None:
        bus, table = HandBus(), SiteTable([PERIOD_S])
        async with filling(table, bus) as fleet:
            await asyncio.sleep(1)
            fleet.order(0, 0)
            bus.say(STATE, '{"POWER": "OFF"}')
            sensor(bus, 3400)
            seen = table.freeze(loop.time())
            # An OK is no obedience: the control sees what it draws.
            assert [o.result for o in seen.outcomes] == [WriteResult.ACKNOWLEDGED]
            assert seen.fresh(Quantity.POWER)[0] == 3400.0
            assert seen.fresh(Quantity.SETPOINT)[0] == 0.0

    run_virtual(main)


def container(bus: HandBus, kilowatts: str) -> None:
    bus.say("C024_D40MainData", json.dumps({"PowerData": {"TotalPower": kilowatts}}))


def test_without_a_read_back_the_measured_power_acknowledges_and_nothing_else_does() -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        device = Device("c24", D40, MqttAddress("C024_D40"), 5.0)
        async with running([device], sink, bus) as fleet:
            await asyncio.sleep(1)
            container(bus, "600.0")
            assert sink.samples[-1].values == {Quantity.POWER: 600_000.0}
            fleet.order(0, 0)
            ((topic, payload),) = bus.published
            assert topic == "C024_D40PDUOperate"
            assert json.loads(payload) == {"PDUIndex": "-1", "SocketIndex": "-1", "Operate": "0"}
            container(bus, "598.1")
            bus.say("C024_D40RunningInfo", '{"RunningState": "0", "AlarmState": "0"}')
            assert not sink.writes
            container(bus, "5.2")
            assert sink.results() == [(0, WriteResult.ACKNOWLEDGED)]

            fleet.order(0, 0)
            for _ in range(5):
                container(bus, "598.1")
                await asyncio.sleep(5)
            assert sink.results()[1:] == [(0, WriteResult.TIMED_OUT)]

            # Who may draw more need not: there is nothing to wait for.
            fleet.order(0, None)
            await asyncio.sleep(0)
            assert sink.results()[2:] == [(None, WriteResult.ACKNOWLEDGED)]

    run_virtual(main)


WILD = """
title = "T"
role = "circuit-meter"
trust = "simulated"
sources = ["s"]
nameplate_w = 0
period_s = 1.0
[mqtt]
state_topic = "{prefix}/+/power"
period_s = 1.0
format = "plain"
[[mqtt.topics]]
name = "event"
topic = "{prefix}/event"
[[points]]
name = "power"
[[points]]
name = "serial"
topic = "event"
field = "sn"
[[points]]
name = "energy_import"
topic = "event"
field = "wh"
"""


def test_an_event_topic_is_never_silent_and_says_only_what_changed() -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        device = Device("w", parse_profile("wild", WILD, "wild.toml"), MqttAddress("hall/w"), 1.0)
        async with running([device], sink, bus):
            await asyncio.sleep(0.1)
            assert set(bus.handlers) == {"hall/w/+/power", "hall/w/event"}
            bus.say("hall/w/event", '{"sn": 7}')
            assert sink.samples[-1].values == {Quantity.SERIAL: 7.0}
            for _ in range(20):
                bus.say("hall/w/+/power", "12.5")
                await asyncio.sleep(1)
            assert {s.values.get(Quantity.POWER) for s in sink.samples[1:]} == {12.5}
            assert Absence.SILENT not in sink.reasons(0)

    run_virtual(main)
