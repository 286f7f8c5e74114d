"""The installed service when its disk is full."""

import asyncio

import pytest

from tests.service.installed_site import INTERVAL_S, STATE, InstalledSite
from tests.service.machine import PATIENCE_S
from tests.world.mqtt import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOWER = 0.32
"""As a share of the plant's power at full load."""
STEP_S = 10


async def test_on_a_full_disk_it_stays_and_curtails(running: InstalledSite) -> None:
    site, pid = running, await running.main_pid()
    lower_w = site.share_w(LOWER)
    await site.dispatch.quota((0, site.quota_w), (STEP_S, lower_w))
    await site.dispatch.state_like(PATIENCE_S, quota_rev=site.dispatch.rev)

    async with asyncio.timeout(PATIENCE_S):
        # Again and again: the samples for charts make room for the ledger first.
        while "records" not in alarms(site):
            await site.machine.run("sh", "-c", f"cat /dev/zero >>{STATE}/filler")
            await asyncio.sleep(0.5)

    await site.true_power_at_most(lower_w, within_s=PATIENCE_S)
    assert (await site.active(), await site.main_pid()) == (True, pid)
    await site.machine.done("rm", f"{STATE}/filler")
    await until(lambda: "records" not in alarms(site), PATIENCE_S)


async def test_nothing_that_was_drawn_meanwhile_is_lost(running: InstalledSite) -> None:
    ended_s = int(running.now_s() // INTERVAL_S * INTERVAL_S)

    await running.book.holds(ended_s, within_s=PATIENCE_S)

    running.book.assert_unbroken(INTERVAL_S)
    assert running.book.assert_energy(running.plant.history) > 0


def alarms(site: InstalledSite) -> set[str]:
    return {alarm["type"] for alarm in site.dispatch.state["alarms"]}
