"""A start on a disk that cannot be read: the site is held at its failsafe limit, and goes on when it can."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.config import Config
from daemon.errors import ConfigurationError, StoreError, StoreTakenError
from daemon.ledger.chain import payload_of
from daemon.standby import open_or_stand_by
from daemon.store import Store
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import VirtualSite

CONTROL = "ramp_up_pct_per_min = 200"

Play = Callable[[VirtualSite], Coroutine[Any, Any, None]]


class Disk:
    """A way to the store that can be shut."""

    def __init__(self, site: VirtualSite, error: Exception | None) -> None:
        self.error = error
        self.tried = 0
        self._open = site.outside().open_store

    async def open_store(self, config: Config) -> Store:
        self.tried += 1
        if self.error is not None:
            raise self.error
        return await self._open(config)


def play(folder: Path, what: Play) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with VirtualSite(
            loop, folder, miners=4, racks=0, period_s=10.0, step_s=5.0, control=CONTROL
        ) as site:
            await what(site)

    run_virtual(main)


async def run(site: VirtualSite, disk: Disk, stop: asyncio.Event) -> None:
    """As `quotawatt run` does."""
    outside = replace(site.outside(), open_store=disk.open_store)
    daemon = await open_or_stand_by(site.config, outside, stop)
    if daemon is not None:
        await daemon.run(stop)


def test_the_site_is_held_at_its_failsafe_limit_until_the_store_can_be_opened(tmp_path: Path) -> None:
    async def what(site: VirtualSite) -> None:
        await site.start()
        site.dispatcher.quota((0, site.contract_w))
        await site.run(320)
        assert site.plant.truth.true_power_w > 0.9 * site.full_w
        await site.kill()

        disk, stop = Disk(site, StoreError("site.db: disk I/O error")), asyncio.Event()
        running = asyncio.create_task(run(site, disk, stop))
        site.dispatcher.quota((0, site.contract_w))
        await asyncio.sleep(400)
        assert not running.done()
        assert disk.tried > 35
        assert site.plant.truth.true_power_w <= site.failsafe_w
        assert (site.state["limit_w"], site.state["limit_source"]) == (site.failsafe_w, "failsafe")
        assert "records" in {alarm["type"] for alarm in site.state["alarms"]}
        assert site.state["ledger"] == {"epoch": 0, "seq": 0, "acked_seq": 0}

        disk.error = None
        await asyncio.sleep(500)
        assert "records" not in {alarm["type"] for alarm in site.state["alarms"]}
        assert site.state["limit_w"] == site.contract_w
        assert site.plant.truth.true_power_w > 0.9 * site.full_w
        stop.set()
        await running
        await _nothing_is_missing(site, disk)

    play(tmp_path, what)


async def _nothing_is_missing(site: VirtualSite, disk: Disk) -> None:
    """What was drawn in the dark is told as gaps, with the energy."""
    store = await disk.open_store(site.config)
    try:
        rows = await store.fetch_all("SELECT jws FROM records WHERE kind IN ('interval', 'gap') ORDER BY seq")
    finally:
        await store.close()
    records = [payload_of(row[0]) for row in rows]
    own = [each for each in records if each["point"] == records[0]["point"]]
    assert [each["kind"] for each in own].count("gap") >= 2
    told = [each for each in own if each["wh"] is not None]
    assert sum(each["wh"] for each in told) == told[-1]["reg_end_wh"] - told[0]["reg_start_wh"]


def test_a_stop_in_the_dark_is_a_clean_one(tmp_path: Path) -> None:
    async def what(site: VirtualSite) -> None:
        disk, stop = Disk(site, StoreError("site.db: unable to open database file")), asyncio.Event()
        running = asyncio.create_task(run(site, disk, stop))
        await asyncio.sleep(25)
        stop.set()
        await asyncio.wait_for(running, 1)
        assert site.state["online"] is False

    play(tmp_path, what)


@pytest.mark.parametrize("error", [StoreTakenError("another"), ConfigurationError(["schema 9"])])
def test_a_store_of_somebody_else_is_not_waited_for(tmp_path: Path, error: Exception) -> None:
    async def what(site: VirtualSite) -> None:
        with pytest.raises(type(error)):
            await run(site, Disk(site, error), asyncio.Event())
        disk, stop = Disk(site, StoreError("not now")), asyncio.Event()
        running = asyncio.create_task(run(site, disk, stop))
        await asyncio.sleep(5)
        disk.error = error
        with pytest.raises(type(error)):
            await running

    play(tmp_path, what)
