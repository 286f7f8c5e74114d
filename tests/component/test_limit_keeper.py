"""What a start resumes: the limit in force and a failsafe that is not over, from the disk."""

import asyncio
from pathlib import Path

import pytest

from daemon.authority.machine import Cause, Ramp, Source, Unfinished, unfinished_of
from daemon.cycle.limit_keeper import KeptLimit, LimitKeeper, load_limit
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
        site = VirtualSite(loop, tmp_path, miners=4, racks=0, control="failsafe_ramp_s = 600")
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
