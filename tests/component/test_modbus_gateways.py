"""Many units behind one connection: none of them has to suffer for another."""

import asyncio
import itertools
from collections import Counter

import pytest

from drivers.address import ModbusTcpAddress
from drivers.device import Device
from drivers.ports import WriteResult
from drivers.profile import Profile
from drivers.profiles import load_profile, parse_profile
from drivers.quantity import Quantity
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.modbus_peer import Asked, ScriptedPeer, frame
from tests.world.profile_texts import METER
from tests.world.recording_sink import RecordingSink, modbus_device, running

SEVERAL = METER.replace("[modbus]", "[modbus]\nin_flight = 4")


def device(port: int, unit: int, profile: Profile, period_s: float = 1.0) -> Device:
    return Device(f"d{unit}", profile, ModbusTcpAddress("127.0.0.1", port, unit), period_s)


@pytest.mark.parametrize("dead", [1, 11, 20])
def test_one_dead_unit_of_20_leaves_the_others_their_period(dead: int) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.01), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda asked: None if asked.unit == dead else peer.right(asked)
        async with running([modbus_device(port, unit) for unit in range(1, 21)], sink):
            await asyncio.sleep(120.5)
        swept = Counter(sample.row for sample in sink.samples)
        assert dead - 1 not in swept
        assert set(swept.values()) <= {120, 121}
        assert len(swept) == 19
        # Once it is known to be dead, a probe makes nobody miss a sweep.
        for row in swept:
            times = [sample.started for sample in sink.of(row)][10:]
            assert max(later - sooner for sooner, later in itertools.pairwise(times)) < 1.4
        assert peer.connections == 1
        # Three time-outs, then probes that each cost one.
        assert sum(asked.unit == dead for asked in peer.asked) == 7

    run_virtual(main)


@pytest.mark.parametrize("answer", [None, b"\x83\x04", b"\x83\x0b"])
def test_a_unit_that_dies_at_work_is_probed_seldom_too(answer: bytes | None) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.01), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port, unit) for unit in range(1, 5)], sink):
            await asyncio.sleep(10.2)
            peer.asked.clear()

            def without_2(asked: Asked) -> bytes | None:
                if asked.unit != 2:
                    return peer.right(asked)
                return None if answer is None else frame(asked.transaction, 2, answer)

            peer.answer = without_2
            await asyncio.sleep(60)
            assert sum(asked.unit == 2 for asked in peer.asked) in {6, 7}
            peer.answer = None
            await asyncio.sleep(61)
            assert len(sink.of(1)) > 11
        assert all(len(sink.of(row)) >= 130 for row in (0, 2, 3))

    run_virtual(main)


@pytest.mark.parametrize(
    ("units", "period_s", "answers_after_s"), [(20, 1.0, 0.03), (2, 1.0, 0.4), (10, 5.0, 0.45)]
)
def test_a_unit_as_slow_as_its_line_bears_is_found_again(
    units: int, period_s: float, answers_after_s: float
) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=answers_after_s), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda asked: None if asked.unit == 2 else peer.right(asked)
        profile = parse_profile("s", METER, "s.toml")
        async with running([device(port, unit, profile, period_s) for unit in range(1, units + 1)], sink):
            await asyncio.sleep(60)
            assert not sink.of(1)
            peer.answer = peer.right
            await asyncio.sleep(70)
            assert len(sink.of(1)) >= 1

    run_virtual(main)


def test_a_unit_of_many_slow_requests_costs_its_neighbours_one_of_them_at_a_time() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        text = METER.replace("[modbus]", "[modbus]\none_request_per_point = true")
        text += "".join(
            f'[[points]]\nname = "{name}"\naddress = {100 + index}\ntype = "u16"\n'
            for index, name in enumerate(("hashrate", "gpu_active", "serial"))
        )

        def answer(asked: Asked) -> None:
            delay_s = 0.3 if asked.unit == 1 else 0.01
            asyncio.get_running_loop().call_later(delay_s, peer.open[0].send, peer.right(asked))

        peer.answer = answer
        slow = device(port, 1, parse_profile("t", text, "t.toml"), 2.0)
        async with running([slow, *(modbus_device(port, unit) for unit in range(2, 6))], sink):
            await asyncio.sleep(20.5)
        for row in range(1, 5):
            waits = [sample.at - sample.started for sample in sink.of(row)]
            assert len(waits) >= 20
            gaps = [b.started - a.started for a, b in itertools.pairwise(sink.of(row))]
            assert max(gaps) < 1.5
        assert len(sink.of(0)) >= 9

    run_virtual(main)


class CountingPeer(ScriptedPeer):
    """Answers late, and notes how many requests it holds at most."""

    held = 0
    most_held = 0

    def watch(self) -> None:
        def answer(asked: Asked) -> None:
            self.held += 1
            self.most_held = max(self.most_held, self.held)
            asyncio.get_running_loop().call_later(0.3 - 0.01 * (asked.unit % 3), self.let_go, asked)

        self.answer = answer

    def let_go(self, asked: Asked) -> None:
        self.held -= 1
        self.open[0].send(self.right(asked))


@pytest.mark.parametrize(("mixed", "most"), [(False, 4), (True, 1)])
def test_several_requests_are_in_flight_only_where_every_unit_bears_it(mixed: bool, most: int) -> None:  # noqa: FBT001
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = CountingPeer(), RecordingSink()
        peer.registers = {(unit, 10): 1000 + unit for unit in range(1, 13)}
        peer.watch()
        _, port = await peer.listen()
        several, one = parse_profile("s", SEVERAL, "s.toml"), parse_profile("t", METER, "t.toml")
        devices = [device(port, unit, one if mixed and unit == 7 else several) for unit in range(1, 13)]
        async with running(devices, sink):
            await asyncio.sleep(10.2)
        assert peer.most_held == most
        # Answers come in another order than the requests went out.
        for row in range(12):
            values = {sample.values[Quantity.POWER] for sample in sink.of(row)}
            assert values == {1001 + row}
            assert len(sink.of(row)) >= (2 if mixed else 9)

    run_virtual(main)


def test_of_several_in_flight_each_has_its_own_deadline() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = CountingPeer(), RecordingSink()
        peer.watch()
        _, port = await peer.listen()
        late = peer.answer
        assert late is not None
        peer.answer = lambda asked: None if asked.unit == 2 else late(asked)
        profile = parse_profile("s", SEVERAL, "s.toml")
        async with running([device(port, unit, profile) for unit in range(1, 7)], sink):
            await asyncio.sleep(60.5)
        assert not sink.of(1)
        assert all(len(sink.of(row)) >= 60 for row in range(6) if row != 1)
        assert peer.connections == 1
        # However much is asked and answered meanwhile.
        asked = [asked.at for asked in peer.asked if asked.unit == 2]
        told = [failure.at for failure in sink.failures if failure.row == 1]
        assert [end - start for start, end in zip(asked, told, strict=True)] == pytest.approx(
            [1.0] * len(told), abs=0.03
        )

    run_virtual(main)


def test_of_several_silent_ones_the_first_is_told_first() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        peer.answer = lambda _: None
        profile = parse_profile("s", SEVERAL, "s.toml")
        async with running([device(port, unit, profile, 1.6) for unit in (1, 2)], sink):
            await asyncio.sleep(1.5)
        assert [asked.unit for asked in peer.asked] == [1, 2]
        assert sink.failures[0].row == 0
        assert sink.failures[0].at - peer.asked[0].at == pytest.approx(1.0, abs=0.03)

    run_virtual(main)


def test_a_request_that_bears_company_does_not_wait_for_the_answer_to_another() -> None:
    async def main(loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.6), RecordingSink()
        _, port = await peer.listen()
        profile = parse_profile("s", SEVERAL, "s.toml")
        async with running([device(port, unit, profile) for unit in (1, 2)], sink):
            start = loop.time()
            await asyncio.sleep(10.2)
        for unit, phase in ((1, 0.0), (2, 0.5)):
            phases = [(asked.at - start) % 1.0 for asked in peer.asked if asked.unit == unit][1:]
            assert phases == pytest.approx([phase] * len(phases), abs=0.03)

    run_virtual(main)


@pytest.mark.parametrize("answer", [None, b"\x83\x04"])
def test_failures_with_good_answers_in_between_do_not_add_up(answer: bytes | None) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()

        def now_and_then(asked: Asked) -> bytes | None:
            if asked.unit == 1 and sum(before.unit == 1 for before in peer.asked) % 4 == 0:
                return None if answer is None else frame(asked.transaction, 1, answer)
            return peer.right(asked)

        peer.answer = now_and_then
        async with running([modbus_device(port, unit) for unit in (1, 2)], sink):
            await asyncio.sleep(60.5)
        gaps = [after.started - before.started for before, after in itertools.pairwise(sink.of(0))]
        assert max(gaps) < 3.5

    run_virtual(main)


def test_orders_to_all_units_of_a_gateway_leave_the_reads_their_turn() -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.04), RecordingSink()
        _, port = await peer.listen()
        devices = [modbus_device(port, unit) for unit in range(1, 13)]
        async with running(devices, sink) as fleet:
            await asyncio.sleep(1)
            # More orders than the gateway can carry out: each unit has a new one as soon as one is done.
            for _ in range(200):
                for row in range(12):
                    fleet.order(row, 2000)
                await asyncio.sleep(0.1)
            assert {result for _, result in sink.results()} == {WriteResult.ACKNOWLEDGED}
            # A read that has waited for 2 s takes every other turn.
            assert len(sink.writes) > 200
            assert all(len(sink.of(row)) >= 5 for row in range(12))

    run_virtual(main)


def test_the_tick_that_comes_late_is_told_once() -> None:
    async def main(loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(), RecordingSink()
        _, port = await peer.listen()
        async with running([device(port, 1, load_profile("sim-meter"))], sink) as fleet:
            await asyncio.sleep(3.2)
            assert fleet.poll_lag_s() < 0.001
            loop.call_later(0.1, loop.pass_time, 2.5)
            await asyncio.sleep(5)
            assert 1.5 < fleet.poll_lag_s() < 2.6
            assert fleet.poll_lag_s() < 0.001
            assert fleet.counters()["missed"] == 1

    run_virtual(main)


@pytest.mark.parametrize("away_s", [20.0, 45.0, 300.0])
def test_a_gateway_that_was_silent_is_back_with_all_its_units_within_seconds(away_s: float) -> None:
    async def main(loop: VirtualLoop) -> None:
        peer, sink = ScriptedPeer(delay_s=0.01), RecordingSink()
        _, port = await peer.listen()
        async with running([modbus_device(port, unit) for unit in range(1, 21)], sink):
            await asyncio.sleep(30.5)
            peer.answer = lambda _asked: None
            await asyncio.sleep(away_s)
            sink.samples.clear()
            back_s = loop.time()
            peer.answer = None
            await asyncio.sleep(12.0)
        first_s = {row: min(sample.started for sample in sink.of(row)) for row in range(20)}
        # The longest pause, a connection that is half made, and two sweeps.
        assert max(first_s.values()) - back_s < 9.0

    run_virtual(main)
