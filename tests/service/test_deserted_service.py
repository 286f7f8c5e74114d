"""The installed service when broker and exchange are gone."""

import asyncio

import pytest

from tests.service.installed_site import INTERVAL_S, InstalledSite
from tests.service.machine import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILSAFE = 0.4
"""As a share of the plant's power at full load."""


async def test_without_broker_and_exchange_it_goes_on_and_falls_by_ramp(running: InstalledSite) -> None:
    site, failsafe_w = running, running.share_w(FAILSAFE)
    limits: list[float] = []
    site.configure_service(lease_timeout_s="6")
    # The lease that is held is shorter at once.
    await site.reload()
    pid = await site.main_pid()

    await site.wire.cut()
    await site.exchange.stop()
    async with asyncio.timeout(PATIENCE_S):
        while not limits or limits[-1] > failsafe_w:
            limits.append((await site.http_state())["limit_w"])
            await asyncio.sleep(0.5)

    await site.true_power_at_most(failsafe_w, within_s=PATIENCE_S)
    assert (await site.active(), await site.main_pid()) == (True, pid)
    assert limits == sorted(limits, reverse=True)
    assert len({limit_w for limit_w in limits if failsafe_w < limit_w < site.quota_w}) >= 3, limits
    await site.wire.mend()
    await site.exchange.start()
    await site.dispatch.state_like(limit_w=site.quota_w, within_s=PATIENCE_S)


async def test_nothing_that_was_drawn_meanwhile_is_lost(running: InstalledSite) -> None:
    ended_s = int(running.now_s() // INTERVAL_S * INTERVAL_S)

    await running.book.holds(ended_s, within_s=PATIENCE_S)

    running.book.assert_unbroken(INTERVAL_S)
    assert running.book.assert_energy(running.plant.history) > 0
