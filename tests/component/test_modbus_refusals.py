"""What a device refuses for good is left alone, and nothing else suffers."""

import asyncio

import pytest

from drivers.address import ModbusTcpAddress
from drivers.device import Device
from drivers.modbus.reading import REFUSED_S
from drivers.ports import Absence, WriteResult
from drivers.profiles import parse_profile
from drivers.quantity import Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import Answerer, Asked, ScriptedPeer, frame
from tests.world.profile_texts import LOAD, METER
from tests.world.recording_sink import RecordingSink, running

RIGHT = {(1, 100): 7, (1, 110): 0x4143, (1, 111): 0x4D45}
POWER_AT, ENERGY_AT, MODEL_AT = 10, 13, 100


def device(port: int, text: str, unit: int = 1) -> Device:
    profile = parse_profile("t", text.replace("[modbus]", "[modbus]\nmax_gap = 0"), "t.toml")
    return Device(f"d{unit}", profile, ModbusTcpAddress("127.0.0.1", port, unit), 1.0)


def refusing(peer: ScriptedPeer, code: int, *addresses: int) -> Answerer:
    def answer(asked: Asked) -> bytes:
        if asked.address not in addresses:
            return peer.right(asked)
        return frame(asked.transaction, asked.unit, bytes((asked.function | 0x80, code)))

    return answer


def times_asked(peer: ScriptedPeer, address: int) -> int:
    return sum(asked.address == address for asked in peer.asked)


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_refused_block_is_not_asked_again_and_the_others_go_on(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, METER)], sink):
            await asyncio.sleep(2.5)
            assert sink.samples[-1].values == {Quantity.POWER: 10, Quantity.ENERGY_IMPORT: 13 << 16 | 14}
            peer.answer = refusing(peer, code, ENERGY_AT)
            await asyncio.sleep(REFUSED_S / 2)
            before = times_asked(peer, ENERGY_AT)
            assert before == 4
            assert len(sink.samples) > REFUSED_S / 2
            # Absent, not as it was.
            assert sink.samples[-1].values == {Quantity.POWER: 10, Quantity.ENERGY_IMPORT: None}
            assert sink.refusals == [(0, frozenset({Quantity.ENERGY_IMPORT}))]
            assert not sink.failures
            await asyncio.sleep(REFUSED_S / 2 + 2)
            assert times_asked(peer, ENERGY_AT) == before + 1
            peer.answer = None
            await asyncio.sleep(REFUSED_S)
            assert sink.samples[-1].values[Quantity.ENERGY_IMPORT] == 13 << 16 | 14
            assert sink.refusals[-1] == (0, frozenset())

    run_virtual(main)
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_after_a_new_connection_everything_is_asked_again() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = refusing(peer, 2, ENERGY_AT)
        async with running([device(port, METER)], sink):
            await asyncio.sleep(5.5)
            assert times_asked(peer, ENERGY_AT) == 1
            peer.answer = None
            peer.open[0].transport.abort()  # type: ignore[union-attr]  # it is open
            await asyncio.sleep(3)
        assert sink.samples[-1].values[Quantity.ENERGY_IMPORT] == 13 << 16 | 14

    run_virtual(main)


def test_a_device_that_refuses_everything_is_absent_with_that_reason_and_left_in_peace() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = refusing(peer, 2, POWER_AT, ENERGY_AT)
        async with running([device(port, METER), device(port, METER, 2)], sink):
            await asyncio.sleep(20.5)
            assert sink.reasons(0) == [Absence.REFUSED]
            assert len(peer.asked) == 4
            assert not sink.samples
            peer.answer = None
            await asyncio.sleep(REFUSED_S)
            assert {sample.row for sample in sink.samples} == {0, 1}

    run_virtual(main)


def test_a_device_that_refuses_to_say_what_it_is_is_left_in_peace_but_for_an_order() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers=dict(RIGHT)), RecordingSink()
        _, port = await peer.listen()
        peer.answer = refusing(peer, 2, MODEL_AT)
        async with running([device(port, LOAD)], sink) as fleet:
            await asyncio.sleep(20.5)
            assert sink.reasons(0) == [Absence.REFUSED]
            assert len(peer.asked) == 1
            fleet.order(0, 700)
            await asyncio.sleep(1)
            assert sink.results() == [(700, WriteResult.REFUSED)]
            assert all(asked.function == 3 for asked in peer.asked)
            peer.answer = None
            fleet.order(0, 800)
            await asyncio.sleep(1)
            assert sink.results()[-1] == (800, WriteResult.ACKNOWLEDGED)
            await asyncio.sleep(2)
            assert sink.samples

    run_virtual(main)


@pytest.mark.parametrize(
    ("code", "polls_in_20_s", "reason"),
    [
        (4, 6, Absence.REFUSED),
        (5, 21, Absence.REFUSED),
        (6, 21, Absence.REFUSED),
        (0x0A, 6, Absence.NOT_CONNECTED),
        (0x0B, 6, Absence.NOT_CONNECTED),
    ],
)
def test_a_unit_that_fails_is_probed_seldom_one_that_is_busy_is_polled_on_and_the_gateway_stays(
    code: int, polls_in_20_s: int, reason: Absence
) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        refuse = refusing(peer, code, POWER_AT)
        peer.answer = lambda asked: refuse(asked) if asked.unit == 1 else peer.right(asked)
        async with running([device(port, METER), device(port, METER, 2)], sink):
            await asyncio.sleep(20.2)
        assert len(sink.reasons(0)) == pytest.approx(polls_in_20_s, abs=1)
        assert set(sink.reasons(0)) == {reason}
        assert len(sink.of(1)) >= 20
        assert peer.connections == 1

    run_virtual(main)
