"""The installed service when what it relies on is gone: broker, exchange, disk."""

import asyncio

import pytest

from tests.service.installed_site import INTERVAL_S, STATE, UNIT, InstalledSite
from tests.world.mqtt import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

FAILSAFE, LOWER = 0.4, 0.45
"""As shares of the plant's power at full load."""
STEP_S = 10


async def test_without_broker_and_exchange_it_goes_on_and_falls_by_ramp(running: InstalledSite) -> None:
    site, failsafe_w = running, running.share_w(FAILSAFE)
    limits: list[float] = []
    site.configure_service(lease_timeout_s="6")
    # How long a lease counts is settled when it is taken: a reload does not shorten the one that is held.
    await site.machine.done("systemctl", "restart", UNIT)
    await site.steady(site.quota_w)
    pid = await site.main_pid()

    await site.wire.cut()
    await site.exchange.stop()
    async with asyncio.timeout(60):
        while not limits or limits[-1] > failsafe_w:
            limits.append((await site.http_state())["limit_w"])
            await asyncio.sleep(0.5)

    await site.true_power_at_most(failsafe_w, within_s=30)
    assert (await site.active(), await site.main_pid()) == (True, pid)
    assert limits == sorted(limits, reverse=True)
    assert len({limit_w for limit_w in limits if failsafe_w < limit_w < site.quota_w}) >= 5, limits
    await site.wire.mend()
    await site.exchange.start()
    await site.dispatch.state_like(limit_w=site.quota_w, within_s=40)


async def test_on_a_full_disk_it_stays_and_curtails(running: InstalledSite) -> None:
    site, pid = running, await running.main_pid()
    lower_w = site.share_w(FAILSAFE * 0.8)
    await site.dispatch.quota((0, site.quota_w), (STEP_S, lower_w))
    await site.dispatch.state_like(quota_rev=site.dispatch.rev)

    async with asyncio.timeout(45):
        # Again and again: the samples for charts make room for the ledger first.
        while "records" not in alarms(site):
            await site.machine.run("sh", "-c", f"cat /dev/zero >>{STATE}/filler")
            await asyncio.sleep(0.5)

    await site.true_power_at_most(lower_w, within_s=STEP_S + 30)
    assert (await site.active(), await site.main_pid()) == (True, pid)
    await site.machine.done("rm", f"{STATE}/filler")
    await until(lambda: "records" not in alarms(site), 40)


async def test_nothing_that_was_drawn_meanwhile_is_lost(running: InstalledSite) -> None:
    ended_s = int(running.now_s() // INTERVAL_S * INTERVAL_S)

    await running.book.holds(ended_s, within_s=40)

    running.book.assert_unbroken(INTERVAL_S)
    assert running.book.assert_energy(running.plant.history) > 0


def alarms(site: InstalledSite) -> set[str]:
    return {alarm["type"] for alarm in site.dispatch.state["alarms"]}
