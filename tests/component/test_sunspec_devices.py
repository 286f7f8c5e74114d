"""SunSpec devices through the driver: the map is discovered at every connection."""

import asyncio
import struct
from collections.abc import Callable

from drivers.address import ModbusTcpAddress
from drivers.device import Device
from drivers.modbus.inspection import inspect
from drivers.ports import Absence
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import Asked, frame
from tests.world.raw_words import RAW, RawPeer
from tests.world.recording_sink import RecordingSink, running


def refusing_holes(peer: RawPeer, name: str) -> Callable[[Asked], bytes]:
    """Most SunSpec devices refuse what is outside their map."""
    words = RAW[name].words()
    first, last = min(a for _, a in words), max(a for _, a in words)

    def answer(asked: Asked) -> bytes:
        if asked.address < first or asked.address + asked.length - 1 > last:
            return frame(asked.transaction, asked.unit, bytes([asked.function | 0x80, 2]))
        shown = [words.get((3, asked.address + i), 0) for i in range(asked.length)]
        return frame(
            asked.transaction,
            asked.unit,
            struct.pack(f">BB{asked.length}H", asked.function, 2 * asked.length, *shown),
        )

    peer.answer = answer
    return answer


def device(port: int, profile: str) -> Device:
    return Device("d", load_profile(profile), ModbusTcpAddress("127.0.0.1", port, 1), 1.0)


def test_the_map_is_discovered_once_and_then_only_swept() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = RawPeer(), RecordingSink()
        refusing_holes(peer, "sunspec-meter-213")
        _, port = await peer.listen()
        async with running([device(port, "sunspec-meter-213")], sink):
            await asyncio.sleep(2.5)
        asked = [(request.address, request.length) for request in peer.asked]
        # 40000 is refused; then "SunS", each model, the end, the frequency, and the sweeps.
        assert asked[:7] == [(40000, 2), (0, 2), (2, 2), (69, 2), (83, 2), (209, 2), (109, 2)]
        assert asked[7:] == [(111, 2), (151, 2)] * 3
        assert not sink.failures
        assert sink.samples[-1].values[Quantity.POWER] == 1234.5

    run_virtual(main)


def test_after_a_lost_connection_the_map_may_lie_elsewhere() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = RawPeer(), RecordingSink()
        refusing_holes(peer, "sunspec-meter-203")
        _, port = await peer.listen()
        async with running([device(port, "sunspec-meter-203")], sink):
            await asyncio.sleep(0.5)
            moved = {(f, a - 40_000): words for (f, a), words in RAW["sunspec-meter-203"].held.items()}
            peer.hold(type(RAW["sunspec-meter-203"])(moved, 123.4))
            transport = peer.open[0].transport
            assert transport is not None
            transport.abort()
            await asyncio.sleep(4)
        assert peer.connections == 2
        assert peer.asked[-1].address < 1000
        assert abs((sink.samples[-1].values[Quantity.POWER] or 0) - 123.4) < 1e-9

    run_virtual(main)


def test_a_device_without_the_model_is_the_wrong_one() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = RawPeer(), RecordingSink()
        refusing_holes(peer, "sunspec-meter-203")
        _, port = await peer.listen()
        async with running([device(port, "sunspec-meter-213")], sink):
            await asyncio.sleep(2.5)
        assert set(sink.reasons(0)) == {Absence.WRONG_DEVICE}
        assert len(sink.failures) == 3
        assert not sink.samples

    run_virtual(main)


def test_a_map_that_is_cut_off_is_no_reading_and_no_storm() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = RawPeer(), RecordingSink()
        answer = refusing_holes(peer, "sunspec-meter-203")
        peer.answer = lambda asked: answer(asked) if asked.address < 40_070 else None
        _, port = await peer.listen()
        async with running([device(port, "sunspec-meter-203")], sink):
            await asyncio.sleep(20)
            assert not sink.samples
            assert set(sink.reasons(0)) <= {Absence.TIMED_OUT, Absence.NOT_CONNECTED}
            assert len(peer.asked) < 100
            peer.answer = answer
            await asyncio.sleep(31)
        assert sink.samples

    run_virtual(main)


def test_the_bench_shows_a_sunspec_device_too() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer = RawPeer()
        refusing_holes(peer, "sunspec-meter-203")
        _, port = await peer.listen()
        address = ModbusTcpAddress("127.0.0.1", port, 1)
        found = await inspect(address, load_profile("sunspec-meter-203"))
        wrong = await inspect(address, load_profile("sunspec-meter-213"))
        readings = {reading.name: reading for reading in found.readings}
        assert not found.identity_problems
        assert readings["power"].address == 40_088
        assert readings["power"].words == (1234,)
        assert abs(float(readings["power"].value or 0) - 123.4) < 1e-9
        assert readings["energy_export"].problem == "not available"
        assert wrong.identity_problems == ("SunSpec models 1, 203 were found, not 213",)

    run_virtual(main)
