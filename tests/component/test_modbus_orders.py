"""Orders: ahead of the reads, acknowledged only by their own echo, never forgotten without a word."""

import asyncio

import pytest

from drivers.ports import WriteResult
from drivers.quantity import Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import Answerer, ScriptedPeer, answering, good
from tests.world.recording_sink import RecordingSink, modbus_device, running


def test_a_write_goes_ahead_of_all_waiting_reads_and_the_newest_order_wins() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.04), RecordingSink()
        _, port = await peer.listen()
        devices = [modbus_device(port, unit) for unit in range(1, 21)]
        async with running(devices, sink) as fleet:
            await asyncio.sleep(0.5)
            asked = len(peer.asked)
            for watts in (3000, 2500, 2000):
                fleet.order(19, watts)
            assert not sink.writes
            await asyncio.sleep(0.3)
            first = peer.asked[asked]
            assert (first.unit, first.function, first.address) == (20, 16, 16)
            assert sink.results() == [(2000, WriteResult.ACKNOWLEDGED)]
            assert sink.writes[0].started == first.at
            await asyncio.sleep(1.5)
            assert sink.of(19)[-1].values[Quantity.SETPOINT] == 2000
            assert sum(a.function == 16 for a in peer.asked) == 1

    run_virtual(main)


def test_sleep_and_no_limit_are_written_and_read_back_as_what_they_are() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port)], sink) as fleet:
            for watts, held in ((0, 0.0), (None, 3500.0), (100, 1750.0)):
                fleet.order(0, watts)
                await asyncio.sleep(1.5)
                assert sink.samples[-1].values[Quantity.SETPOINT] == held
            assert sink.results() == [
                (0, WriteResult.ACKNOWLEDGED),
                (None, WriteResult.ACKNOWLEDGED),
                (100, WriteResult.ACKNOWLEDGED),
            ]

    run_virtual(main)


def test_one_register_is_written_by_function_6() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port, profile="sim-miner-m60s")], sink) as fleet:
            fleet.order(0, 2401)
            await asyncio.sleep(0.5)
        (write,) = [asked for asked in peer.asked if asked.function != 3]
        assert (write.function, write.address, write.length) == (6, 16, 70)

    run_virtual(main)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        pytest.param(lambda _: None, WriteResult.TIMED_OUT, id="silence"),
        pytest.param(lambda a: good(a._replace(address=17)), WriteResult.TIMED_OUT, id="another echo"),
        pytest.param(answering(b"\x90\x03"), WriteResult.REFUSED, id="exception 03"),
        pytest.param(answering(b"\x90\x06"), WriteResult.TIMED_OUT, id="exception 06"),
        pytest.param(answering(b"\x90\x0b"), WriteResult.NOT_CONNECTED, id="exception 0B"),
        pytest.param(lambda _: b"\xff" * 16, WriteResult.TIMED_OUT, id="garbage"),
    ],
)
def test_a_write_is_never_acknowledged_by_anything_but_its_echo(
    answer: Answerer, result: WriteResult
) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda asked: answer(asked) if asked.function == 16 else peer.right(asked)
        async with running([modbus_device(port)], sink) as fleet:
            await asyncio.sleep(0.5)
            fleet.order(0, 2000)
            await asyncio.sleep(4)
            assert sink.results() == [(2000, result)]
            assert sink.samples[-1].at > sink.writes[0].at

    run_virtual(main)


def test_an_order_to_a_device_that_is_gone_is_told_so_and_not_from_within_the_order() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        server, port = await peer.listen()
        server.close()
        async with running([modbus_device(port)], sink) as fleet:
            await asyncio.sleep(0.2)
            fleet.order(0, 2000)
            assert not sink.writes
            await asyncio.sleep(0.1)
            assert sink.results() == [(2000, WriteResult.NOT_CONNECTED)]
            # It is forgotten: who ordered decides whether to order again.
            await peer.listen(port=port)
            await asyncio.sleep(31)
            assert sink.samples
            assert all(asked.function == 3 for asked in peer.asked)

    run_virtual(main)


def test_a_sink_that_orders_from_within_its_callbacks_is_served() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer = ScriptedPeer()
        _, port = await peer.listen()

        class Ordering(RecordingSink):
            def swept(self, row: int, started: float, slow: bool) -> None:  # noqa: FBT001  FleetSink
                del started, slow
                if len(self.writes) < 3:
                    fleet.order(row, 2000)

        sink = Ordering()
        async with running([modbus_device(port, unit) for unit in (1, 2)], sink) as fleet:
            await asyncio.sleep(5)
        assert len(sink.writes) >= 3
        assert {write.result for write in sink.writes} == {WriteResult.ACKNOWLEDGED}

    run_virtual(main)
