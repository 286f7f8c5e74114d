"""Devices come and go while a fleet polls: who stays keeps its connection, its times and its row's values."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from drivers.address import ModbusTcpAddress, MqttAddress
from drivers.device import Device
from drivers.errors import AddressError
from drivers.fleet import SiteFleet
from drivers.ports import Absence, WriteResult
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from tests.world.hand_bus import HandBus
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import ScriptedPeer
from tests.world.recording_sink import RecordingSink, modbus_device, running

PERIOD_S, TICK_S = 1.0, 0.02


def changed(fleet: SiteFleet, sink: RecordingSink, devices: list[Device], bus: HandBus | None = None) -> None:
    """Go by these from now on; what is heard from here on is remembered alone."""
    fleet.go_by(devices, bus)
    sink.poll(fleet, devices)
    sink.samples.clear()
    sink.failures.clear()


def gaps_s(sink: RecordingSink, row: int, last_s: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.diff([last_s, *(sample.started for sample in sink.of(row))])


def test_units_of_a_gateway_come_and_go_over_one_connection() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.01), RecordingSink()
        _, port = await peer.listen()
        units = [modbus_device(port, unit) for unit in range(1, 13)]
        async with running(units[:4], sink) as fleet:
            await asyncio.sleep(10.3)
            last_s = {unit: sink.of(unit - 1)[-1].started for unit in (1, 3)}
            # Two have gone, eight have come, and everyone has another row.
            now = [*units[4:], units[2], units[0]]
            changed(fleet, sink, now)
            peer.asked.clear()
            await asyncio.sleep(20)
            for unit, row in ((3, 8), (1, 9)):
                assert np.abs(gaps_s(sink, row, last_s[unit]) - PERIOD_S).max() < 2 * TICK_S
            assert {asked.unit for asked in peer.asked} == {1, 3, *range(5, 13)}
            assert {sample.row for sample in sink.samples} == set(range(10))
            assert min(len(sink.of(row)) for row in range(10)) >= 19
            assert (peer.connections, sink.failures) == (1, [])
            assert fleet.counters()["missed"] == 0
            # An order finds its device in its new row.
            fleet.order(9, 2_500.0)
            await asyncio.sleep(0.5)
            written = [asked.unit for asked in peer.asked if asked.function in {6, 16}]
            assert written == [1]
            assert [(write.row, write.result) for write in sink.writes] == [(9, WriteResult.ACKNOWLEDGED)]

    run_virtual(main)


@pytest.mark.parametrize("under_way", ["a read", "a read without an answer", "a write", "a write that waits"])
def test_what_was_asked_of_a_device_that_has_gone_concerns_nobody(under_way: str) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.3), RecordingSink()
        _, port = await peer.listen()
        units = [modbus_device(port, unit) for unit in (1, 2)]
        async with running(units, sink) as fleet:
            # Read every second, one half a second after the other.
            await asyncio.sleep(4.85)
            if under_way == "a read without an answer":
                peer.answer = lambda asked: None if asked.unit == 1 else peer.right(asked)
            if under_way == "a write":
                fleet.order(0, 2_000.0)
            else:
                await asyncio.sleep(0.25)
            if under_way == "a write that waits":
                fleet.order(0, 2_000.0)
            await asyncio.sleep(0.02)
            last_s = sink.of(1)[-1].started
            # Who stays has the row now that the other had.
            changed(fleet, sink, units[1:])
            peer.asked.clear()
            await asyncio.sleep(6)
            assert {asked.unit for asked in peer.asked} == {2}
            gaps = gaps_s(sink, 0, last_s)
            # Who did not answer holds up the line once.
            assert gaps.min() > PERIOD_S - (0.7 if under_way.endswith("answer") else 2 * TICK_S)
            assert len(gaps) >= 5
            assert (sink.writes, sink.failures) == ([], [])
            assert peer.connections == 1

    run_virtual(main)


def test_what_waits_for_a_connection_is_not_asked_of_a_device_that_has_gone() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        units = [modbus_device(port, unit) for unit in (1, 2)]
        async with running(units, sink) as fleet:
            fleet.order(0, 2_000.0)
            changed(fleet, sink, units[1:])
            await asyncio.sleep(3)
            assert {asked.unit for asked in peer.asked} == {2}
            assert len(sink.of(0)) >= 2
            assert (sink.writes, sink.failures, peer.connections) == ([], [], 1)

    run_virtual(main)


def test_devices_of_another_kind_shift_the_rows_and_nothing_else() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.01), RecordingSink()
        _, port = await peer.listen()
        miners = [modbus_device(port, unit) for unit in (1, 2)]
        pdus = [modbus_device(port, unit, profile="sim-pdu") for unit in (3, 4)]
        async with running(miners, sink) as fleet:
            await asyncio.sleep(3)
            for devices in ([*pdus, *miners], [*miners[::-1], *pdus], miners):
                changed(fleet, sink, devices)
                await asyncio.sleep(3)
                assert {sample.row for sample in sink.samples} == set(range(len(devices)))
                for sample in sink.samples:
                    assert sample.values[Quantity.POWER] is not None, sample
                assert sink.failures == []

    run_virtual(main)


def test_a_device_that_changed_begins_anew_and_the_others_go_on() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peers = [ScriptedPeer(delay_s=0.01) for _ in range(4)]
        ports = [(await peer.listen())[1] for peer in peers]
        sink = RecordingSink()
        devices = [modbus_device(port) for port in ports]
        async with running(devices[:3], sink) as fleet:
            await asyncio.sleep(5.3)
            last_s = sink.of(0)[-1].started
            other = replace(devices[2], address=ModbusTcpAddress("127.0.0.1", ports[3], 1))
            changed(fleet, sink, [devices[0], replace(devices[1], period_s=0.5), other])
            await asyncio.sleep(10)
            assert np.abs(gaps_s(sink, 0, last_s) - PERIOD_S).max() < 2 * TICK_S
            assert len(sink.of(1)) >= 19
            assert len(sink.of(2)) >= 9
            assert [peer.connections for peer in peers] == [1, 1, 1, 1]
            assert [len(peer.open) for peer in peers] == [1, 1, 0, 1]
            assert sink.failures == []

    run_virtual(main)


def test_an_address_that_leads_nowhere_changes_nothing() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        devices = [modbus_device(port)]
        rack = load_profile("sim-gpu-rack")
        async with running(devices, sink) as fleet:
            await asyncio.sleep(2)
            with pytest.raises(AddressError, match="there is no broker"):
                fleet.go_by([Device("r", rack, MqttAddress("hall/r"), 1.0), *devices], None)
            sink.samples.clear()
            await asyncio.sleep(5)
            assert len(sink.of(0)) == 5

    run_virtual(main)


def test_dead_hosts_come_and_go_and_leave_nothing_behind() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        server, port = await peer.listen()
        gone, gone_port = await ScriptedPeer().listen()
        gone.close()
        devices = [modbus_device(port), modbus_device(gone_port)]
        async with running(devices, sink) as fleet:
            for _ in range(20):
                changed(fleet, sink, devices[:1])
                await asyncio.sleep(0.7)
                assert {failure.row for failure in sink.failures} <= {0}
                changed(fleet, sink, devices)
                await asyncio.sleep(1.1)
            assert sink.reasons(1)
            assert set(sink.reasons(1)) == {Absence.NOT_CONNECTED}
            assert (peer.connections, sink.reasons(0)) == (1, [])
            assert fleet.counters()["missed"] == 0
        server.close()

    run_virtual(main)


def test_mqtt_devices_come_and_go() -> None:
    async def main(_loop: VirtualLoop) -> None:
        bus, sink = HandBus(), RecordingSink()
        rack = load_profile("sim-gpu-rack")
        racks = [Device(f"r{number}", rack, MqttAddress(f"hall/r{number}"), 1.0) for number in range(3)]
        said = '{"power_w": 20100, "energy_wh": 5000000, "gpu_active": 16, "serial": 7}'
        async with running([], sink, bus) as fleet:
            await asyncio.sleep(1)
            changed(fleet, sink, racks[:2], bus)
            await asyncio.sleep(0.1)
            bus.say("hall/r1/state", said)
            assert [sample.row for sample in sink.samples] == [1]
            handler = bus.handlers["hall/r0/state"]
            fleet.order(1, 5_000.0)
            bus.connected = False
            fleet.order(0, 5_000.0)
            bus.connected = True
            changed(fleet, sink, [racks[2], racks[1]], bus)
            assert set(bus.handlers) >= {"hall/r1/state", "hall/r2/state"}
            assert not [topic for topic in bus.handlers if "r0" in topic]
            # A message that was on its way, and what it was ordered.
            handler("hall/r0/state", said.encode(), False)  # noqa: FBT003  TopicHandler
            bus.say("hall/r1/state", said)
            await asyncio.sleep(10)
            assert [(sample.row, sample.values[Quantity.POWER]) for sample in sink.samples] == [(1, 20_100)]
            assert {write.row for write in sink.writes} == {1}

    run_virtual(main)
