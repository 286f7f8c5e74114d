"""Points that are read seldom: in a sweep of their own, behind everything else."""

import asyncio

import pytest

from drivers.address import ModbusTcpAddress
from drivers.device import Device
from drivers.ports import Absence
from drivers.profiles import parse_profile
from drivers.quantity import Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import Asked, ScriptedPeer, frame
from tests.world.profile_texts import METER
from tests.world.recording_sink import RecordingSink, running

SLOW = METER + '[[points]]\nname = "serial"\naddress = 200\ntype = "u32"\nslow = true\n'
SERIAL = {(1, 200): 1, (1, 201): 2}


def device(port: int, unit: int = 1) -> Device:
    return Device(
        f"d{unit}", parse_profile("t", SLOW, "t.toml"), ModbusTcpAddress("127.0.0.1", port, unit), 1.0
    )


def asked_for_serial(peer: ScriptedPeer) -> list[float]:
    return [asked.at for asked in peer.asked if asked.address == 200]


def test_slow_points_are_read_after_the_connection_and_then_once_a_minute() -> None:
    async def main(loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers=dict(SERIAL)), RecordingSink()
        _, port = await peer.listen()
        start = loop.time()
        async with running([device(port)], sink):
            await asyncio.sleep(0.5)
            assert [asked.address for asked in peer.asked] == [10, 200]
            await asyncio.sleep(200)
            assert [at - start for at in asked_for_serial(peer)] == pytest.approx([0, 61, 121, 181], abs=1.1)
            peer.open[0].transport.abort()  # type: ignore[union-attr]  # it is open
            await asyncio.sleep(5)
            assert len(asked_for_serial(peer)) == 5
        assert len(sink.samples) >= 200
        assert {sample.values[Quantity.SERIAL] for sample in sink.slow_sweeps} == {65538.0}
        assert set(sink.samples[-1].values) == {Quantity.POWER, Quantity.ENERGY_IMPORT}
        assert sink.decoded[0].tolist()[5] == 65538.0

    run_virtual(main)


def test_on_a_gateway_they_come_behind_all_control_reads() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.02), RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, unit=unit) for unit in range(1, 11)], sink):
            await asyncio.sleep(0.05)
            peer.asked.clear()
            await asyncio.sleep(60)
        assert {asked.unit for asked in peer.asked if asked.address == 200} == set(range(1, 11))
        assert all(len(sink.of(row)) >= 60 for row in range(10))

    run_virtual(main)


@pytest.mark.parametrize("answer", [b"\x83\x02", b"\x83\x06", None])
def test_slow_points_that_fail_cost_the_others_nothing(answer: bytes | None) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()

        def spoil(asked: Asked) -> bytes | None:
            if asked.address != 200:
                return peer.right(asked)
            return None if answer is None else frame(asked.transaction, asked.unit, answer)

        peer.answer = spoil
        async with running([device(port)], sink) as fleet:
            await asyncio.sleep(90.5)
            assert fleet.counters()[Absence.TIMED_OUT] == 0
        assert len(asked_for_serial(peer)) == (1 if answer == b"\x83\x02" else 2)
        assert len(sink.samples) >= 88
        assert not sink.slow_sweeps
        assert sink.refusals == ([(0, frozenset({Quantity.SERIAL}))] if answer == b"\x83\x02" else [])
        assert peer.connections == 1

    run_virtual(main)
