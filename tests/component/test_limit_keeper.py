"""What a start resumes from the disk: limit in force, failsafe that is not over, uncontrolled load."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.authority.machine import Cause, Moment, Ramp, Source, Unfinished, unfinished_of
from daemon.cycle.controller import CycleResult
from daemon.cycle.keeper import Keeper, kept_value
from daemon.cycle.limit_keeper import KeptLimit, LimitKeeper, load_limit
from daemon.cycle.uncontrolled_keeper import UncontrolledKeeper, load_uncontrolled
from daemon.errors import StoreError
from daemon.store import Store
from tests.world.authority_bench import MW, AuthorityBench
from tests.world.inline_store import connect_inline
from tests.world.loop import VirtualClock, VirtualLoop, run_virtual
from tests.world.pure_site import PureSite
from tests.world.virtual_site import VirtualSite


async def _kept(folder: Path, clock: VirtualClock, site: PureSite) -> KeptLimit | None:
    store = await Store.open(folder / "site.db", connect_inline)
    try:
        assert await load_limit(store) is None
        keeper = LimitKeeper(store, clock)
        await keeper.flush()
        assert await load_limit(store) is None
        assert site.result is not None
        keeper.take(site.result)
        await keeper.flush()
        return await load_limit(store)
    finally:
        await store.close()


def test_limit_source_causes_and_ramp_are_read_as_they_were_written(tmp_path: Path) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        site = PureSite.build(miners=4, racks=0)
        site.quota((0, None))
        site.silent = {"meter"}
        site.run(350)
        authority = site.controller.authority
        assert authority.causes == {Cause.METER}
        assert authority.ramp is not None
        assert await _kept(tmp_path, clock, site) == KeptLimit(
            authority.last_limit_w, Source.FAILSAFE, unfinished_of(authority, "boot-1", 0.0)
        )

    run_virtual(scenario)


def test_times_are_kept_by_the_boot_clock() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.without_meter(400)
    kept = unfinished_of(bench.authority, "boot-1", 700.0)
    assert bench.authority.ramp is not None
    assert kept.meter_lost_s == bench.boottime_s - 400
    ramp = bench.authority.ramp
    assert kept.ramp == Ramp(25 * MW, ramp.starts_s + 700, 300.0)
    assert kept == Unfinished("boot-1", frozenset({Cause.METER}), "hash-1", kept.ramp, kept.meter_lost_s)


@pytest.mark.parametrize("stop_s", [3.0, 400.0])
def test_a_restart_is_no_way_out_of_a_failsafe_for_a_lost_meter(tmp_path: Path, stop_s: float) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        site = VirtualSite(loop, tmp_path, miners=4, racks=1, control="failsafe_ramp_s = 600")
        async with site:
            await site.start()
            site.dispatcher.quota((0, None))
            await site.run(60)
            site.plant.faults["meter"].silent = True
            await site.run(600)
            before = site.state
            assert before["state"] == "failsafe"
            await site.stop()
            await asyncio.sleep(stop_s)
            await site.start()
            limits = []
            for _ in range(60):
                await site.run(2)
                limits.append(site.state["limit_w"])
                assert site.state["state"] == "failsafe"
            assert limits == sorted(limits, reverse=True)
            assert limits[0] <= before["limit_w"]
            site.plant.faults["meter"].silent = False
            await site.run(90)
            assert site.state["state"] == "controlled"

    run_virtual(scenario)


# --- what nobody controls ---


async def _uncontrolled(folder: Path) -> float | None:
    store = await Store.open(folder / "state" / "site.db", connect_inline)
    try:
        return await load_uncontrolled(store)
    finally:
        await store.close()


def test_what_nobody_controls_is_known_from_the_first_moment_after_a_restart(tmp_path: Path) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        site = VirtualSite(loop, tmp_path, miners=20, racks=1)
        async with site:
            await site.start()
            site.dispatcher.quota((0, None))
            await site.run(200)
            assert site.daemon is not None
            before_w = site.daemon._loop.controller.metering.uncontrolled_w
            await site.stop()
            kept_w = await _uncontrolled(tmp_path)
            assert before_w is not None
            assert kept_w == pytest.approx(before_w, abs=0.005 * site.full_w)
            # Even while its meter is silent.
            site.plant.faults["meter"].silent = True
            await site.start()
            await site.run(1)
            assert site.daemon._loop.controller.metering.uncontrolled_w == kept_w
            await site.run(15)
            assert site.state["power_source"] == "estimate"
            assert site.daemon._loop.controller.last is not None
            plan = site.daemon._loop.controller.last.plan
            assert plan is not None
            assert kept_w is not None
            assert plan.uncontrolled_w >= kept_w

    run_virtual(scenario)


def result_of(uncontrolled_w: float | None, at_s: float, *, unsure: bool = False) -> CycleResult:
    site = PureSite.build(miners=4, racks=0)
    site.run(20)
    assert site.result is not None
    power = replace(site.result.power, unsure=unsure)
    return replace(site.result, uncontrolled_w=uncontrolled_w, moment=Moment(0.0, at_s), power=power)


def test_it_is_written_when_it_has_moved_and_at_most_once_a_minute(tmp_path: Path) -> None:
    async def scenario(_loop: VirtualLoop) -> list[float | None]:
        store = await Store.open(tmp_path / "site.db", connect_inline)
        keeper = UncontrolledKeeper(store, 1_000_000)
        found = []
        for result in (
            result_of(None, 0.0),
            result_of(50_000.0, 1.0, unsure=True),
            result_of(50_000.0, 2.0),
            result_of(60_000.0, 61.0),
            result_of(51_900.0, 63.0),
            result_of(60_000.0, 64.0),
        ):
            keeper.take(result)
            await keeper.flush()
            found.append(await load_uncontrolled(store))
        await store.close()
        return found

    assert run_virtual(scenario) == [None, None, 50_000.0, 50_000.0, 50_000.0, 60_000.0]


def test_a_disk_that_refuses_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(_loop: VirtualLoop) -> list[str | None]:
        store = await Store.open(tmp_path / "site.db", connect_inline)
        keeper = Keeper(store, "name")
        running = asyncio.create_task(keeper.run())
        found = []
        with monkeypatch.context() as patch:
            patch.setattr(store, "transaction", _refuse)
            keeper.offer("1")
            await asyncio.sleep(1)
            found.append(await kept_value(store, "name"))
        await asyncio.sleep(5)
        found.append(await kept_value(store, "name"))
        keeper.offer("2")
        await asyncio.sleep(0.1)
        found.append(await kept_value(store, "name"))
        running.cancel()
        await store.close()
        return found

    assert run_virtual(scenario) == [None, "1", "2"]


def _refuse() -> None:
    raise StoreError("the disk is full")
