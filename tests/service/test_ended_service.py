"""The installed service ended against its will: killed, stopped in its tracks, blocked."""

import asyncio
import shutil

import pytest

from tests.service.installed_site import INTERVAL_S, UNIT, InstalledSite
from tests.service.machine import PATIENCE_S
from tests.world.daemon_child import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")

WATCHDOG_S = 8


async def test_killed_it_comes_back_and_moves_no_setpoint(running: InstalledSite) -> None:
    site, pid = running, await running.main_pid()

    async with site.no_setpoint_moves():
        await site.machine.done("kill", "-KILL", str(pid))
        await site.restarted(pid)
        await site.dispatch.state_where(lambda state: bool(state["online"]), PATIENCE_S)
        await asyncio.sleep(3)
    await site.true_power_at_most(site.quota_w, within_s=PATIENCE_S)


async def test_stopped_in_its_tracks_the_watchdog_ends_it(running: InstalledSite) -> None:
    site, pid = running, await running.main_pid()

    async with site.no_setpoint_moves():
        await site.machine.done("kill", "-STOP", str(pid))
        await site.restarted(pid)
    assert "Watchdog timeout" in await site.machine.journal(UNIT)


async def test_a_blocked_loop_is_seen_by_the_watchdog(running: InstalledSite) -> None:
    site, pid = running, await running.main_pid()
    seen_before = (await site.machine.journal(UNIT)).count("Watchdog timeout")
    shutil.copy(ROOT / "tests/service/thread_stop.py", site.machine.root / "root")
    # The others go on, as they would.
    assert len((await site.machine.done("ls", f"/proc/{pid}/task")).split()) > 1

    async with site.no_setpoint_moves():
        blocking = await site.machine.started("python3.11", "/root/thread_stop.py", str(pid), str(PATIENCE_S))
        assert blocking.stdout is not None
        assert await blocking.stdout.readline() == b"stopped\n"
        await site.restarted(pid)
    assert await blocking.wait() == 0
    assert (await site.machine.journal(UNIT)).count("Watchdog timeout") == seen_before + 1


async def test_the_ledger_is_whole_after_all_this(running: InstalledSite) -> None:
    ended_s = int(running.now_s() // INTERVAL_S * INTERVAL_S)

    await running.book.holds(ended_s, within_s=PATIENCE_S)

    running.book.assert_unbroken(INTERVAL_S)
    assert running.book.assert_energy(running.plant.history) > 0
