"""Devices that must be read their own way, and devices that are not what they should be."""

import asyncio
from itertools import pairwise

import pytest

from drivers.address import ModbusTcpAddress
from drivers.device import Device
from drivers.ports import Absence, WriteResult
from drivers.profile import Profile
from drivers.profiles import parse_profile
from drivers.quantity import Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import ScriptedPeer, answering
from tests.world.profile_texts import LOAD, METER
from tests.world.recording_sink import RecordingSink, running

RIGHT = {(1, 100): 7, (1, 110): 0x4143, (1, 111): 0x4D45}
WRONG = {(1, 100): 9}


def profile(text: str, *modbus: str) -> Profile:
    return parse_profile("t", text.replace("[modbus]", "[modbus]\n" + "\n".join(modbus)), "t.toml")


def device(port: int, kind: Profile, unit: int = 1) -> Device:
    return Device(f"d{unit}", kind, ModbusTcpAddress("127.0.0.1", port, unit), 1.0)


def reads(peer: ScriptedPeer) -> list[tuple[int, int]]:
    return [(asked.address, asked.length) for asked in peer.asked if asked.function == 3]


@pytest.mark.parametrize(
    ("modbus", "asked"),
    [
        ((), [(10, 5)]),
        (("length_multiple = 2",), [(10, 6)]),
        (("start_multiple = 4",), [(8, 7)]),
        (("max_gap = 1",), [(10, 1), (13, 2)]),
        (("one_request_per_point = true",), [(10, 1), (13, 2)]),
        (("max_span = 3",), [(10, 1), (13, 2)]),
        (("readable = [[0, 12], [13, 20]]",), [(10, 1), (13, 2)]),
        (("address_base = 1",), [(9, 5)]),
    ],
)
def test_the_driver_asks_as_the_profile_says(modbus: tuple[str, ...], asked: list[tuple[int, int]]) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, profile(METER, *modbus))], sink):
            await asyncio.sleep(0.5)
        assert reads(peer) == asked
        base = 1 if "address_base = 1" in modbus else 0
        power, energy = 10 - base, (13 - base) << 16 | 14 - base
        assert sink.samples[0].values == {Quantity.POWER: power, Quantity.ENERGY_IMPORT: energy}

    run_virtual(main)


def test_requests_keep_the_pauses_of_the_slowest_unit() -> None:
    async def main(loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        slow = profile(METER, "pause_after_connect_s = 0.3", "pause_between_requests_s = 0.1", "max_gap = 0")
        start = loop.time()
        async with running([device(port, slow), device(port, profile(METER), 2)], sink):
            await asyncio.sleep(5)
        assert peer.asked[0].at - start == pytest.approx(0.3, abs=0.05)
        assert all(after.at - before.at >= 0.099 for before, after in pairwise(peer.asked))
        assert len(sink.of(0)) >= 4
        assert len(sink.of(1)) >= 4
        assert peer.connections == 1

    run_virtual(main)


def test_a_connection_is_closed_after_each_sweep_where_the_device_wants_it() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers=dict(RIGHT)), RecordingSink()
        server, port = await peer.listen()
        async with running([device(port, profile(LOAD, "close_after_sweep = true"))], sink) as fleet:
            await asyncio.sleep(4.5)
            assert len(sink.samples) == peer.connections == 5
            assert not peer.open
            fleet.order(0, 700)
            await asyncio.sleep(0.4)
            assert sink.results() == [(700, WriteResult.ACKNOWLEDGED)]
            # It is gone while nobody looks: the next sweep says so, and so does an order.
            server.close()
            await asyncio.sleep(1)
            fleet.order(0, 800)
            await asyncio.sleep(1)
            assert sink.results()[-1] == (800, WriteResult.NOT_CONNECTED)
            assert sink.reasons(0)[0] is Absence.NOT_CONNECTED
            await peer.listen(port=port)
            before = len(sink.samples)
            await asyncio.sleep(31)
            assert len(sink.samples) > before

    run_virtual(main)


def test_a_device_is_identified_once_before_it_is_read() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers=dict(RIGHT)), RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, profile(LOAD))], sink):
            await asyncio.sleep(2.5)
        assert reads(peer) == [(100, 1), (110, 2), (10, 5), (10, 5), (10, 5)]
        assert [sample.values[Quantity.POWER] for sample in sink.samples] == [10, 10, 10]
        assert not sink.failures

    run_virtual(main)


@pytest.mark.parametrize("wrong", [(1, 100), (1, 110)])
def test_a_device_that_is_another_is_absent_with_that_reason_and_never_written(
    wrong: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers=RIGHT | {wrong: 9}), RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, profile(LOAD))], sink) as fleet:
            fleet.order(0, 700)
            await asyncio.sleep(2.5)
            fleet.order(0, 800)
            await asyncio.sleep(1)
            assert not sink.samples
            assert set(sink.reasons(0)) == {Absence.WRONG_DEVICE}
            assert sink.results() == [(700, WriteResult.REFUSED), (800, WriteResult.REFUSED)]
            assert all(asked.function == 3 for asked in peer.asked)
            # Somebody puts the right one there.
            peer.registers |= RIGHT
            await asyncio.sleep(1)
            fleet.order(0, 900)
            await asyncio.sleep(1)
            assert sink.samples
            assert sink.results()[-1] == (900, WriteResult.ACKNOWLEDGED)

    run_virtual(main)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "is 9, not 7 or 8" in warnings[0].message or "not 'ACME'" in warnings[0].message


def test_an_order_waits_for_the_identity_and_goes_ahead_of_the_sweep() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers=dict(RIGHT), delay_s=0.02), RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, profile(LOAD))], sink) as fleet:
            fleet.order(0, 600)
            fleet.order(0, 700)
            await asyncio.sleep(0.5)
        assert [(asked.function, asked.address) for asked in peer.asked] == [
            (3, 100),
            (3, 110),
            (6, 20),
            (3, 10),
        ]
        assert sink.results() == [(700, WriteResult.ACKNOWLEDGED)]

    run_virtual(main)


@pytest.mark.parametrize("loss", ["connection", "silence", "gateway"])
def test_after_every_loss_a_device_is_identified_again_before_it_is_written(loss: str) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers=dict(RIGHT)), RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, profile(LOAD))], sink) as fleet:
            await asyncio.sleep(0.5)
            assert len(sink.samples) == 1
            peer.registers |= WRONG
            if loss == "connection":
                peer.open[0].transport.abort()  # type: ignore[union-attr]  # it is open
            else:
                peer.answer = answering(b"\x83\x0b") if loss == "gateway" else lambda _: None
            await asyncio.sleep(2)
            peer.answer, asked = None, len(peer.asked)
            fleet.order(0, 700)
            await asyncio.sleep(31)
            if loss == "connection":
                assert peer.connections == 2
            assert len(sink.samples) == 1
            assert all(request.function == 3 for request in peer.asked[asked:])
            assert WriteResult.ACKNOWLEDGED not in {result for _, result in sink.results()}
            assert sink.reasons(0)[-1] is Absence.WRONG_DEVICE

    run_virtual(main)


def test_a_percentage_is_scaled_by_the_nominal_value_that_the_device_holds() -> None:
    text = METER.replace('type = "u16"', 'type = "u16"\nscale = 0.01\ntimes = "nominal"', 1)
    text += '[[points]]\nname = "nominal"\naddress = 11\ntype = "u16"\nsentinel = 0xFFFF\n'

    async def main(_loop: VirtualLoop) -> None:
        peer = ScriptedPeer(registers={(1, 10): 50, (1, 11): 3000, (2, 10): 50, (2, 11): 0xFFFF})
        sink = RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, profile(text), unit) for unit in (1, 2)], sink):
            await asyncio.sleep(1)
        assert sink.of(0)[0].values == {Quantity.POWER: 1500.0, Quantity.ENERGY_IMPORT: 13 << 16 | 14}
        assert sink.of(1)[0].values[Quantity.POWER] is None

    run_virtual(main)


def test_a_power_of_ten_travels_with_its_value() -> None:
    text = METER.replace('type = "u16"', 'type = "u16"\nexponent = "sf"', 1)
    text += '[[points]]\nname = "sf"\naddress = 11\ntype = "s16"\nsentinel = 0x8000\n'

    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers={(1, 10): 1234, (1, 11): 0xFFFF}), RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, profile(text))], sink):
            await asyncio.sleep(0.5)
            peer.registers[1, 11] = 2
            await asyncio.sleep(1)
            peer.registers[1, 11] = 0x8000
            await asyncio.sleep(1)
            peer.registers[1, 11] = 300
            await asyncio.sleep(1)
        powers = [sample.values[Quantity.POWER] for sample in sink.samples]
        assert powers == [pytest.approx(123.4), 123_400.0, None, None]

    run_virtual(main)
