"""Every fault of the simulated devices, as the real drivers meet it: in virtual time, byte for byte."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.address import parse_address
from drivers.device import Device
from drivers.ports import Absence, Fleet, WriteResult
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from sim_devices.faults import AnswerFault, Shown
from sim_devices.plant import Plant
from sim_devices.scenario import load_scenario
from tests.world.loop import VirtualClock, VirtualLoop, run_virtual
from tests.world.recording_sink import RecordingSink, Sample, running

BAD, GOOD = "m-01-01", "m-01-02"
POWER, SETPOINT, ENERGY = Quantity.POWER, Quantity.SETPOINT, Quantity.ENERGY_IMPORT


@dataclass
class Watched:
    """A plant, and a fleet that polls all of it every second."""

    plant: Plant
    fleet: Fleet
    sink: RecordingSink

    def row(self, device: str) -> int:
        return [each.id for each in self.plant.devices].index(device)

    async def seen(self, seconds: float) -> "Seen":
        """What comes in meanwhile."""
        samples, failures = len(self.sink.samples), len(self.sink.failures)
        await asyncio.sleep(seconds)
        return Seen(self, self.sink.samples[samples:], self.sink.failures[failures:])

    async def order(self, device: str, watts: float | None) -> WriteResult:
        """Order it, and wait for the outcome."""
        self.fleet.order(self.row(device), watts)
        await asyncio.sleep(2.5)
        return self.sink.writes[-1].result


@dataclass
class Seen:
    watched: Watched
    all_samples: list[Sample]
    all_failures: list[Any]

    def samples(self, device: str) -> list[Sample]:
        return [sample for sample in self.all_samples if sample.row == self.watched.row(device)]

    def values(self, device: str, quantity: Quantity) -> list[float | None]:
        return [sample.values[quantity] for sample in self.samples(device)]

    def reasons(self, device: str) -> set[Absence]:
        return {failure.reason for failure in self.all_failures if failure.row == self.watched.row(device)}


@contextlib.asynccontextmanager
async def watched(loop: VirtualLoop, miners: int = 3, **options: Any) -> AsyncIterator[Watched]:
    options = {"pdus": 0, "disobedient_share": 0.0, "mix": {"sim-miner": 1}, **options}
    async with Plant(miners, clock=VirtualClock(loop), **options) as plant:
        devices = [
            Device(each.id, load_profile(each.profile), parse_address(each.address), 1.0)
            for each in plant.devices
        ]
        sink = RecordingSink()
        async with running(devices, sink) as fleet:
            await asyncio.sleep(3)
            assert not sink.failures
            yield Watched(plant, fleet, sink)


def scene(play: Callable[[Watched], Awaitable[None]], **options: Any) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with watched(loop, **options) as world:
            await play(world)

    run_virtual(main)


WRONG: list[tuple[dict[str, Any], set[Absence]]] = [
    ({"silent": True}, {Absence.TIMED_OUT}),
    ({"refuse": True}, {Absence.NOT_CONNECTED}),
    ({"latency_s": 3.0}, {Absence.TIMED_OUT}),
    ({"drop_every": 1}, {Absence.TIMED_OUT}),
    ({"drop_share": 1.0}, {Absence.TIMED_OUT}),
    ({"byte_pause_s": 0.1}, {Absence.TIMED_OUT}),
    ({"exception": 4}, {Absence.REFUSED}),
    ({"exception": 6}, {Absence.REFUSED}),
    ({"exception": 0x0B}, {Absence.REFUSED, Absence.NOT_CONNECTED}),
    ({"answer": AnswerFault.SHORT}, {Absence.INVALID}),
    ({"answer": AnswerFault.LONG}, {Absence.INVALID}),
    ({"answer": AnswerFault.LYING_COUNT}, {Absence.INVALID}),
    ({"answer": AnswerFault.GARBAGE}, {Absence.INVALID, Absence.NOT_CONNECTED}),
    ({"answer": AnswerFault.WRONG_UNIT}, {Absence.INVALID}),
    ({"answer": AnswerFault.WRONG_FUNCTION}, {Absence.INVALID}),
    ({"answer": AnswerFault.WRONG_TRANSACTION}, {Absence.TIMED_OUT, Absence.INVALID}),
]


@pytest.mark.parametrize(("faults", "reasons"), WRONG, ids=[str(faults) for faults, _ in WRONG])
def test_a_device_that_answers_badly_is_absent_and_the_others_are_not(
    faults: dict[str, Any], reasons: set[Absence]
) -> None:
    async def play(world: Watched) -> None:
        for name, value in faults.items():
            setattr(world.plant.faults[BAD], name, value)
        # What was under way may still be right.
        await asyncio.sleep(1.5)
        seen = await world.seen(10)
        assert not seen.samples(BAD)
        # Once a link is down, its reason is that.
        assert seen.reasons(BAD) & reasons
        assert seen.reasons(BAD) <= reasons | {Absence.NOT_CONNECTED, Absence.TIMED_OUT}
        assert not seen.reasons(GOOD)
        assert len(seen.samples(GOOD)) == 10
        world.plant.faults[BAD].clear()
        await asyncio.sleep(65)
        healed = await world.seen(5)
        assert len(healed.samples(BAD)) == 5
        assert not healed.reasons(BAD)

    scene(play)


def test_each_device_shows_its_own_registers_again_and_again() -> None:
    async def play(world: Watched) -> None:
        seen = await world.seen(5)
        for name, load in world.plant.truth.loads.items():
            assert seen.values(name, POWER) == [pytest.approx(load.reported_w, abs=1)] * 5
            assert len(set(seen.values(name, ENERGY))) > 1
        assert len({seen.values(name, POWER)[0] for name in world.plant.truth.loads}) > 30

    scene(play, miners=40, gateways=1)


def test_a_device_that_is_slow_within_its_deadline_is_read_all_the_same() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].latency_s = 0.3
        await asyncio.sleep(1)
        seen = await world.seen(10)
        assert len(seen.samples(BAD)) == 10
        assert all(sample.at - sample.started > 0.299 for sample in seen.samples(BAD))
        assert all(sample.at - sample.started < 0.1 for sample in seen.samples(GOOD))

    scene(play)


def test_an_answer_that_comes_byte_by_byte_is_put_together() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].byte_pause_s = 0.005
        await asyncio.sleep(1)
        seen = await world.seen(10)
        load = world.plant.truth.loads[BAD]
        assert seen.values(BAD, POWER) == [pytest.approx(load.reported_w, abs=1)] * 10
        # 9 + 36 bytes.
        assert all(sample.at - sample.started > 43 * 0.005 for sample in seen.samples(BAD))

    scene(play)


def test_each_third_request_is_lost() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].drop_every = 3
        seen = await world.seen(30)
        assert len(seen.samples(BAD)) == pytest.approx(20, abs=2)
        assert seen.reasons(BAD) == {Absence.TIMED_OUT}

    scene(play)


def test_what_is_dropped_by_chance_is_drawn_by_seed() -> None:
    def course(seed: int) -> list[float]:
        times: list[float] = []

        async def play(world: Watched) -> None:
            world.plant.faults[BAD].drop_share = 0.3
            seen = await world.seen(60)
            times.extend(sample.at for sample in seen.samples(BAD))

        scene(play, seed=seed)
        return times

    first = course(1)
    assert 30 < len(first) < 55
    assert course(1) == first
    assert course(2) != first


def test_a_write_whose_answer_is_lost_was_carried_out() -> None:
    async def play(world: Watched) -> None:
        faults = world.plant.faults[BAD]
        faults.drop_every, faults.lose_answers = 1, True
        assert await world.order(BAD, 2000) is WriteResult.TIMED_OUT
        assert world.plant.truth.loads[BAD].ordered_w == 2000
        faults.lose_answers = False
        assert await world.order(BAD, 2500) is not WriteResult.ACKNOWLEDGED
        assert world.plant.truth.loads[BAD].ordered_w == 2000

    scene(play)


def test_a_peer_that_vanished_is_noticed_and_connected_to_again() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].vanish()
        seen = await world.seen(20)
        assert Absence.TIMED_OUT in seen.reasons(BAD)
        assert not seen.reasons(GOOD)
        assert len((await world.seen(5)).samples(BAD)) == 5

    scene(play)


def test_sentinels_are_absent_values_of_a_sweep_that_succeeded() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].unavailable = True
        await asyncio.sleep(1)
        seen = await world.seen(3)
        assert seen.values(BAD, POWER) == seen.values(BAD, ENERGY) == [None] * 3
        assert not seen.reasons(BAD)
        assert None not in seen.values(GOOD, POWER)

    scene(play)


def test_frozen_values_are_repeated_while_the_truth_moves_on() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].frozen = True
        await asyncio.sleep(1)
        assert await world.order(BAD, 0) is WriteResult.ACKNOWLEDGED
        seen = await world.seen(10)
        for quantity in (POWER, ENERGY, SETPOINT):
            assert len(seen.values(BAD, quantity)) == 10
            assert len(set(seen.values(BAD, quantity))) == 1
        assert seen.samples(BAD)[-1].values[POWER] == pytest.approx(3500, rel=0.1)
        assert world.plant.truth.loads[BAD].draw_w == 30
        world.plant.faults[BAD].frozen = False
        await asyncio.sleep(1.1)
        assert (await world.seen(1)).samples(BAD)[-1].values[POWER] == pytest.approx(30, abs=2)
        world.plant.faults[BAD].frozen = True
        await asyncio.sleep(1.1)
        assert (await world.seen(1)).samples(BAD)[-1].values[POWER] == pytest.approx(30, abs=2)

    scene(play)


def test_a_frozen_meter_answers_with_fresh_timestamps() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults["meter"].frozen = True
        await asyncio.sleep(1)
        seen = await world.seen(10)
        assert len({(sample.values[POWER], sample.values[ENERGY]) for sample in seen.samples("meter")}) == 1
        started = [sample.started for sample in seen.samples("meter")]
        assert started == sorted(set(started))

    scene(play)


def test_refused_writes_leave_the_set_point_and_the_reading_alone() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].refuse_writes = 4
        assert await world.order(BAD, 2000) is WriteResult.REFUSED
        assert world.plant.truth.loads[BAD].ordered_w is None
        assert len((await world.seen(5)).samples(BAD)) == 5

    scene(play)


def test_ok_and_no_obedience() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].disobey = True
        assert await world.order(BAD, 2000) is WriteResult.ACKNOWLEDGED
        await asyncio.sleep(10)
        seen = await world.seen(2)
        assert seen.values(BAD, SETPOINT) == [2000, 2000]
        assert seen.values(BAD, POWER)[0] == pytest.approx(3500, rel=0.1)

    scene(play)


@pytest.mark.parametrize(("watts", "shown"), [(3000, 3000), (0, 0), (None, 3500)])
def test_a_wrong_set_point_is_read_back_while_the_right_one_is_obeyed(
    watts: float | None, shown: float
) -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].readback = Shown(watts)
        assert await world.order(BAD, 2000) is WriteResult.ACKNOWLEDGED
        await asyncio.sleep(10)
        last = (await world.seen(2)).samples(BAD)[-1].values
        assert last[SETPOINT] is None if watts is None and last[SETPOINT] is None else last[SETPOINT] == shown
        assert last[POWER] == pytest.approx(2000, rel=0.1)

    scene(play)


def test_a_liar_shows_more_than_it_draws_and_counts_on_from_where_it_was() -> None:
    async def play(world: Watched) -> None:
        await asyncio.sleep(100)
        before = (await world.seen(2)).samples(BAD)[-1].values
        world.plant.faults[BAD].lie = 0.2
        after = (await world.seen(101)).samples(BAD)[-1].values
        assert after[POWER] == pytest.approx(1.2 * (before[POWER] or 0), abs=1)
        assert (after[ENERGY] or 0) - (before[ENERGY] or 0) == pytest.approx(
            1.2 * (before[POWER] or 0) * 101 / 3600, abs=4
        )
        assert world.plant.faults[BAD].lie == pytest.approx(0.2)
        assert world.plant.truth.loads[BAD].draw_w == pytest.approx(3500, rel=0.06)

    scene(play)


@pytest.mark.parametrize("device", ["meter", "pdu-01", "cooling"])
def test_whatever_measures_can_lie(device: str) -> None:
    async def play(world: Watched) -> None:
        await asyncio.sleep(2)
        before = (await world.seen(2)).samples(device)[-1].values[POWER]
        world.plant.faults[device].lie = -0.5
        await asyncio.sleep(2)
        after = (await world.seen(2)).samples(device)[-1].values[POWER]
        assert before is not None
        assert after == pytest.approx(0.5 * before, rel=0.02)

    scene(play, pdus=1)


def test_a_reboot_forgets_the_set_point() -> None:
    async def play(world: Watched) -> None:
        await world.order(BAD, 0)
        await asyncio.sleep(10)
        assert (await world.seen(1)).values(BAD, POWER) == [pytest.approx(30, abs=2)]
        world.plant.faults[BAD].reboot()
        await asyncio.sleep(60)
        last = (await world.seen(1)).samples(BAD)[-1].values
        assert last[POWER] == pytest.approx(3500, rel=0.1)
        assert last[SETPOINT] != 0

    scene(play)


def test_a_load_without_work_idles_and_is_back_within_a_second() -> None:
    async def play(world: Watched) -> None:
        faults = world.plant.faults[BAD]
        faults.no_work = True
        await asyncio.sleep(1.1)
        last = (await world.seen(1)).samples(BAD)[-1].values
        assert last[POWER] == pytest.approx(200, rel=0.05)
        assert last[Quantity.HASHRATE] == 0
        faults.no_work = False
        await asyncio.sleep(1.1)
        last = (await world.seen(1)).samples(BAD)[-1].values
        assert last[POWER] == pytest.approx(3500, rel=0.1)
        assert last[Quantity.HASHRATE] == pytest.approx(200)

    scene(play)


def test_an_order_taken_while_there_is_no_work_counts_when_it_is_back() -> None:
    async def play(world: Watched) -> None:
        world.plant.faults[BAD].no_work = True
        await world.order(BAD, 2000)
        await asyncio.sleep(10)
        world.plant.faults[BAD].no_work = False
        await asyncio.sleep(1.1)
        assert (await world.seen(1)).values(BAD, POWER) == [pytest.approx(2000, rel=0.06)]

    scene(play)


def test_a_meters_register_jumps_counts_down_and_rolls_over() -> None:
    async def play(world: Watched) -> None:
        async def register() -> int:
            return int((await world.seen(1)).samples("meter")[-1].values[ENERGY] or 0)

        faults, meter = world.plant.faults["meter"], world.plant.truth.meter
        before = await register()
        faults.jump(70_000)
        assert 70_000 <= await register() - before < 70_100
        faults.backwards = True
        high = await register()
        await asyncio.sleep(100)
        low = await register()
        assert low < high - 200
        assert meter.true_energy_wh > 200
        faults.backwards = False
        await asyncio.sleep(100)
        assert await register() > low
        width = meter.register_wh + 100
        faults.roll_over(100)
        await asyncio.sleep(100)
        assert 0 < await register() < width
        assert await register() < 1000

    scene(play)


def test_units_behind_a_gateway_share_its_address_and_none_of_its_neighbours_faults() -> None:
    async def play(world: Watched) -> None:
        plant = world.plant
        (gateway,) = plant.gateways.values()
        addresses = {each.id: each.address for each in plant.devices}
        assert len({addresses[unit].rpartition("/")[0] for unit in gateway}) == 1
        assert [addresses[unit].rpartition("/")[2] for unit in gateway] == [str(n) for n in range(1, 21)]
        plant.faults[gateway[3]].silent = True
        await asyncio.sleep(30)
        seen = await world.seen(20)
        assert not seen.samples(gateway[3])
        for unit in gateway[:3] + gateway[4:]:
            assert len(seen.samples(unit)) == pytest.approx(20, abs=1)
        assert await world.order(gateway[5], 0) is WriteResult.ACKNOWLEDGED
        assert [load.id for load in plant.truth.loads.values() if load.ordered_w == 0] == [gateway[5]]

    scene(play, miners=40, gateways=1)


def test_a_gateway_that_refuses_takes_all_behind_it_along() -> None:
    async def play(world: Watched) -> None:
        plant = world.plant
        (gateway,) = plant.gateways.values()
        for unit in gateway:
            plant.faults[unit].refuse = True
        await asyncio.sleep(3)
        seen = await world.seen(10)
        absent = {each.id for each in plant.devices if not seen.samples(each.id)}
        assert absent == set(gateway)
        assert set().union(*(seen.reasons(unit) for unit in gateway)) == {Absence.NOT_CONNECTED}
        for unit in gateway:
            plant.faults[unit].clear()
        await asyncio.sleep(35)
        healed = await world.seen(3)
        assert all(healed.samples(unit) for unit in gateway)

    scene(play, miners=40, gateways=1)


def test_one_that_is_refusing_behind_a_gateway_is_silent_there() -> None:
    async def play(world: Watched) -> None:
        (gateway,) = world.plant.gateways.values()
        world.plant.faults[gateway[0]].refuse = True
        await asyncio.sleep(20)
        seen = await world.seen(10)
        assert not seen.samples(gateway[0])
        assert len(seen.samples(gateway[1])) == pytest.approx(10, abs=1)

    scene(play, miners=20, gateways=1)


def test_what_is_off_line_from_the_start_draws_and_cannot_be_reached() -> None:
    async def main(loop: VirtualLoop) -> None:
        plant = Plant(20, pdus=0, offline_share=0.1, lying_share=0.2, lie=0.2, clock=VirtualClock(loop))
        off = [device for device, faults in plant.faults.items() if faults.refuse]
        liars = [each for each in plant.truth.loads if plant.faults[each].lie == pytest.approx(0.2)]
        assert (len(off), len(liars)) == (2, 4)
        assert all(plant.truth.loads[each].draw_w > 2500 for each in off)

    run_virtual(main)


def test_the_scenario_of_every_fault_through_the_real_fleet() -> None:
    scenario = load_scenario(Path(__file__).parents[1] / "scenarios" / "every-fault.toml")
    assert scenario.plant is not None
    options = scenario.plant.model_dump(exclude={"lie_percent", "racks"})

    def course() -> list[tuple[float, int, Absence]]:
        found: list[tuple[float, int, Absence]] = []

        async def play(world: Watched) -> None:
            names = [each.id for each in world.plant.devices]
            behind = {unit for units in world.plant.gateways.values() for unit in units}
            healthy = {name for name in names if not name.startswith("m-02-")} - behind
            seen = await world.seen(34)
            assert not set().union(*(seen.reasons(name) for name in healthy))
            # Half-open is not refused: it is asked, and is silent.
            assert Absence.TIMED_OUT in seen.reasons("m-02-04")
            assert seen.reasons("m-02-05") == {Absence.NOT_CONNECTED}
            # Half of them wait for a probe of their breaker or a reconnection still.
            await asyncio.sleep(70)
            end = await world.seen(5)
            assert {name for name in names if len(end.samples(name)) >= 4} == set(names)
            found.extend((failure.at, failure.row, failure.reason) for failure in world.sink.failures)

        scene(play, scenario=scenario, seed=scenario.seed, **options)
        return found

    first = course()
    assert len({row for _, row, _ in first}) > 10
    assert course() == first
