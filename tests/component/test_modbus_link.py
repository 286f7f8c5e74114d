"""The link and the fleet on top of it, in virtual time, against a peer that answers what we want."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from drivers.modbus.fleet import ModbusFleet
from drivers.modbus.shared import NEVER
from drivers.ports import Absence, WriteResult
from drivers.quantity import COLUMN, Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import Answerer, Asked, ScriptedPeer, answering, frame, good
from tests.world.recording_sink import RecordingSink, modbus_device, running

METER_READ = (0, 10)
"""Address and registers of the one block of `sim-meter`."""
FIFTY_HZ = {(1, 3109): 0x4248, (1, 3110): 0}
"""What makes registers those of a `schneider-pm5340`."""


WRONG = [
    ("fewer registers than asked", answering(b"\x03\x12" + bytes(18)), Absence.INVALID, "stays"),
    ("more registers than asked", answering(b"\x03\x16" + bytes(22)), Absence.INVALID, "stays"),
    ("another function code", lambda a: good(a._replace(function=4)), Absence.INVALID, "stays"),
    ("unknown function code", answering(b"\x63\x02\x00\x01"), Absence.INVALID, "stays"),
    ("byte count that lies", answering(b"\x03\x12" + bytes(20)), Absence.INVALID, "stays"),
    ("wrong unit", lambda a: good(a._replace(unit=9)), Absence.INVALID, "stays"),
    ("transaction id 0", lambda a: good(a._replace(transaction=0)), Absence.TIMED_OUT, "stays"),
    ("wrong transaction id", lambda a: good(a._replace(transaction=77)), Absence.TIMED_OUT, "stays"),
    ("wrong protocol id", lambda a: frame(1, a.unit, bytes(22), protocol=1), Absence.INVALID, "closed"),
    ("absurd length", lambda a: frame(1, a.unit, bytes(22), length=60_000), Absence.INVALID, "closed"),
    ("garbage", lambda _: b"\xff" * 16, Absence.INVALID, "closed"),
    ("HTTP", lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", Absence.INVALID, "closed"),
    ("exception 04", answering(b"\x83\x04"), Absence.REFUSED, "stays"),
    ("exception 06", answering(b"\x83\x06"), Absence.REFUSED, "stays"),
    ("exception 0B", answering(b"\x83\x0b"), Absence.NOT_CONNECTED, "stays"),
]


@pytest.mark.parametrize(
    ("wrong", "reason", "connection"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_a_wrong_answer_is_no_value_and_the_next_good_one_is(
    wrong: Answerer, reason: Absence, connection: str
) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        # Only the first request is answered wrongly.
        peer.answer = lambda asked: wrong(asked) if len(peer.asked) == 1 else peer.right(asked)
        async with running([modbus_device(port, profile="sim-meter")], sink):
            await asyncio.sleep(4.5)
        assert peer.asked[0][4:6] == METER_READ
        assert sink.reasons(0)[0] is reason
        assert sink.failures[0].at <= sink.samples[0].at
        assert len(sink.samples) >= 3
        # One bad answer must not cost a gateway's other units their connection.
        assert (peer.connections == 1) == (connection == "stays")

    run_virtual(main)


def test_an_answer_in_pieces_is_put_together() -> None:
    async def main(loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()

        def drip(asked: Asked) -> None:
            for index, byte in enumerate(peer.right(asked)):
                loop.call_later(0.01 * index, peer.open[0].send, bytes([byte]))

        peer.answer = drip
        async with running([modbus_device(port, profile="sim-meter")], sink):
            await asyncio.sleep(2.5)
        assert [sample.values[Quantity.POWER] for sample in sink.samples] == [1.0, 1.0, 1.0]

    run_virtual(main)


def test_an_answer_that_comes_too_late_is_never_taken_for_the_next() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=1.3), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port, profile="sim-meter")], sink):
            await asyncio.sleep(30)
        assert not sink.samples
        assert set(sink.reasons(0)) <= {Absence.TIMED_OUT, Absence.NOT_CONNECTED}

    run_virtual(main)


def test_a_sweep_of_several_requests_is_one_sample_as_old_as_its_first() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers=dict(FIFTY_HZ), delay_s=0.2), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port, profile="schneider-pm5340")], sink) as fleet:
            await asyncio.sleep(0.9)
            # The frequency shows that it is a meter.
            assert [(a.address, a.length) for a in peer.asked] == [(3109, 2), (3059, 2), (3203, 4)]
            (sample,) = sink.samples
            assert sample.started == peer.asked[1].at
            assert set(sample.values) == {Quantity.POWER, Quantity.ENERGY_IMPORT}
            # The next one under way, its first half there: nobody sees that.
            peer.registers |= {(1, 3059): 0x4248, (1, 3060): 0}
            await asyncio.sleep(0.35)
            assert len(peer.asked) == 5
            assert sink.fleet is not None
            # As if another device of the same kind had been swept.
            for matrix in fleet._modbus._assembly.matrices:
                matrix.changed = True
            sink.fleet.decode_into(sink.decoded)
            assert sink.decoded[0, COLUMN[Quantity.POWER]] == sample.values[Quantity.POWER]
            await asyncio.sleep(0.5)
            sink.fleet.decode_into(sink.decoded)
            assert sink.decoded[0, COLUMN[Quantity.POWER]] == 50_000
            del sink.samples[1:]
            # The second half of a sweep fails: the first half is no sample.
            peer.answer = lambda asked: peer.right(asked) if asked.address == 3059 else None
            await asyncio.sleep(2)
        assert len(sink.samples) == 1
        assert sink.reasons(0)[0] is Absence.TIMED_OUT

    run_virtual(main)


def test_a_right_answer_in_the_midst_of_another_frame_is_none() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port, profile="sim-meter")], sink):
            await asyncio.sleep(2.5)
            before = len(sink.samples)
            peer.open[0].send(b"\0\4\0")
            await asyncio.sleep(1)
            # The stream is out of step: the next answer shows it.
            assert len(sink.samples) == before
            assert sink.reasons(0) == [Absence.INVALID]
            await asyncio.sleep(3)
            assert len(sink.samples) > before

    run_virtual(main)


def test_a_silence_is_seen_when_it_is_too_long_however_seldom_the_device_is_polled() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda _: None
        async with running([replace(modbus_device(port), period_s=10.0)], sink):
            await asyncio.sleep(2)
        assert sink.failures[0].at - peer.asked[0].at == pytest.approx(1.0, abs=0.03)

    run_virtual(main)


def test_an_answer_in_time_leaves_no_deadline_behind() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.1), RecordingSink()
        _, port = await peer.listen()
        devices = [modbus_device(port, unit) for unit in (1, 2)]
        fleet = ModbusFleet(list(enumerate(devices)), sink, Random(1))
        sink.poll(fleet, devices)
        task = asyncio.create_task(fleet.run())
        await asyncio.sleep(3.35)
        assert len(sink.samples) == 7
        assert fleet._shared.first_deadline(NEVER) == NEVER
        task.cancel()

    run_virtual(main)


def test_polls_stay_on_their_grid_and_a_missed_one_is_counted() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(registers=dict(FIFTY_HZ), delay_s=0.7), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port, profile="schneider-pm5340")], sink) as fleet:
            await asyncio.sleep(10.5)
            starts = [sample.started for sample in sink.samples][1:]
            # Two requests of 0.7 s each do not fit into a second: every other tick is skipped. Before
            # the first of them a third one identified the device.
            assert starts == pytest.approx([starts[0] + 2 * index for index in range(4)], abs=0.03)
            assert fleet.counters()["missed"] == 6
            assert fleet.counters()["ok"] == 5

    run_virtual(main)


def test_two_time_outs_make_a_new_connection_with_a_growing_pause() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda _: None
        async with running([modbus_device(port)], sink):
            await asyncio.sleep(120)
            asked, connections = len(peer.asked), peer.connections
            assert asked == pytest.approx(2 * connections, abs=2)
            assert 5 <= connections <= 14
            assert len(peer.open) <= 1
            peer.answer = None
            await asyncio.sleep(32)
            assert sink.samples
        assert not peer.open

    run_virtual(main)


def test_after_an_answer_the_pauses_begin_from_the_shortest() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        server, port = await peer.listen()
        async with running([modbus_device(port)], sink):
            await asyncio.sleep(1.5)
            for _ in range(2):
                server.close()
                peer.open[0].transport.abort()  # type: ignore[union-attr]  # it is open
                await asyncio.sleep(40)
                server, _ = await peer.listen(port=port)
                await asyncio.sleep(31)
                assert peer.open
            peer.open[0].transport.abort()  # type: ignore[union-attr]  # it is open
            await asyncio.sleep(0.6)
            assert peer.open

    run_virtual(main)


def test_nobody_listens_then_somebody_does() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        server, port = await peer.listen()
        server.close()
        async with running([modbus_device(port)], sink) as fleet:
            await asyncio.sleep(5.5)
            assert set(sink.reasons(0)) == {Absence.NOT_CONNECTED}
            assert len(sink.failures) == pytest.approx(6, abs=1)
            assert fleet.counters()[Absence.NOT_CONNECTED] == len(sink.failures)
            await peer.listen(port=port)
            await asyncio.sleep(31)
            assert sink.samples

    run_virtual(main)


def test_a_connection_cut_in_the_middle_comes_back() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.1), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port)], sink):
            await asyncio.sleep(1.05)
            assert peer.open[0].transport is not None
            peer.open[0].transport.abort()
            await asyncio.sleep(3)
        assert Absence.NOT_CONNECTED in sink.reasons(0)
        assert peer.connections == 2
        assert len(sink.samples) >= 2

    run_virtual(main)


def test_a_hung_device_does_not_delay_the_others() -> None:
    async def main(_loop: VirtualLoop) -> None:
        sink, peers = RecordingSink(), [ScriptedPeer() for _ in range(20)]
        ports = [(await peer.listen())[1] for peer in peers]
        peers[3].answer = lambda _: None
        peers[4].answer = lambda _: b"\xff" * 300
        async with running([modbus_device(port) for port in ports], sink):
            await asyncio.sleep(10.01)
        for row in range(20):
            if row not in {3, 4}:
                starts = [sample.started for sample in sink.of(row)]
                assert len(starts) in {10, 11}
                # The grid never shifts by more than a tick.
                assert starts == pytest.approx([starts[0] + i for i in range(len(starts))], abs=0.021)
        assert not sink.of(3)
        assert not sink.of(4)

    run_virtual(main)


def test_a_dead_unit_of_a_gateway_is_probed_at_5_10_30_60_s_and_starves_nobody() -> None:
    async def main(loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda asked: None if asked.unit == 2 else peer.right(asked)
        async with running([modbus_device(port, unit) for unit in (1, 2, 3, 4)], sink):
            start = loop.time()
            await asyncio.sleep(180)
            probes = [a.at - start for a in peer.asked if a.unit == 2]
            gaps = [after - before for before, after in pairwise(probes[2:])]
            # A probe waits for its place in the grid and for its own deadline.
            assert gaps[:4] == pytest.approx([6, 11, 31, 61], abs=1.1)
            for row in (0, 2, 3):
                assert len(sink.of(row)) >= 165
            assert peer.connections == 1
            peer.answer = None
            await asyncio.sleep(62)
            before = len(sink.of(1))
            await asyncio.sleep(10)
            assert len(sink.of(1)) - before == 10

    run_virtual(main)


def test_several_dead_units_once_known_do_not_cost_the_gateway_its_connection() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda asked: None if asked.unit > 2 else peer.right(asked)
        async with running([modbus_device(port, unit) for unit in range(1, 7)], sink) as fleet:
            await asyncio.sleep(60)
            connections = peer.connections
            for row in range(2, 6):
                fleet.order(row, 2000)
            await asyncio.sleep(600)
            assert sink.results() == [(2000, WriteResult.TIMED_OUT)] * 4
            assert peer.connections == connections
            assert len(sink.of(0)) > 500

    run_virtual(main)


def test_a_gateway_that_is_silent_altogether_is_connected_to_again() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda asked: None if peer.connections < 6 else peer.right(asked)
        async with running([modbus_device(port, unit) for unit in (1, 2, 3)], sink):
            await asyncio.sleep(300)
        assert peer.connections >= 6
        assert all(sink.of(row) for row in range(3))

    run_virtual(main)


def test_busy_is_no_reason_to_leave_a_unit_alone() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda asked: frame(asked.transaction, asked.unit, b"\x83\x06")
        async with running([modbus_device(port, unit) for unit in (1, 2)], sink):
            await asyncio.sleep(10.5)
        assert len(sink.reasons(0)) >= 10

    run_virtual(main)


def test_what_was_answered_while_the_loop_was_held_up_is_not_late() -> None:
    async def main(loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.1), RecordingSink()
        # So many that the fleet looks at deadlines before any of the answers is there.
        devices = [modbus_device((await peer.listen())[1]) for _ in range(50)]
        async with running(devices, sink):
            await asyncio.sleep(3.01)
            assert len(peer.asked) > len(sink.samples)
            loop.pass_time(1.5)
            await asyncio.sleep(2)
            assert not sink.failures
        assert peer.connections == 50

    run_virtual(main)


def test_after_a_delay_a_gateway_does_not_wait_for_everyone_else() -> None:
    async def main(loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, gateway = await peer.listen()
        others = [(await peer.listen())[1] for _ in range(40)]
        devices = [modbus_device(gateway, unit) for unit in range(1, 5)]
        devices += [modbus_device(port, 99) for port in others]
        async with running(devices, sink):
            await asyncio.sleep(3.9)
            peer.asked.clear()
            # Almost all slots are due together.
            loop.pass_time(0.9)
            await asyncio.sleep(0.05)
            order = [asked.unit for asked in peer.asked]
        assert order.count(99) > 30
        assert [unit for unit in order[:20] if unit != 99] == [1, 2, 3, 4]

    run_virtual(main)
