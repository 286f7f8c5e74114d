"""Every site delivers its intervals at a moment of its own, so that thousands do not in the same second."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.cycle.policy import upload_offset_s
from daemon.ledger.chain import payload_of
from daemon.timestamps import parse_utc
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.settling_site import receipt_claims
from tests.world.site_files import write_site
from tests.world.virtual_site import SITE, VirtualSite

SOON_S = 3.0
"""From then on, until the cycle has recorded it and it is delivered. A receipt tells whole seconds."""


def test_an_interval_is_delivered_at_the_sites_own_moment_also_after_a_restart(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with VirtualSite(loop, tmp_path, miners=2, racks=0, period_s=10) as site:
            # Every answer to an order is a record, too.
            site.dispatcher.leasing = False
            expected_s = upload_offset_s(site.config)
            assert SOON_S < expected_s < 30
            await site.start()
            await site.run(450)
            await site.stop()
            await site.start()
            await site.run(600)
            delays = delays_s(site)
        assert len(delays) >= 3
        assert all(expected_s - 1 < each <= expected_s + SOON_S for each in delays), (expected_s, delays)

    run_virtual(main)


def delays_s(site: VirtualSite) -> list[float]:
    """From the end of each interval to its receipt. One that ended while the daemon was away is not one."""
    book = site.exchange.book
    delays = []
    for epoch in book.openings(SITE):
        head = book.head(SITE, epoch)
        assert head is not None
        for seq, jws in book.known(SITE, epoch, 1, head.seq).items():
            members = payload_of(jws)
            receipt = book.receipt(SITE, epoch, seq)
            assert receipt is not None
            if members["kind"] == "interval":
                received_s = parse_utc(receipt_claims(receipt, site.exchange.public_jwk)["received_at"])
                delays.append(received_s - parse_utc(members["start"]) - members["dur_s"])
    return delays


@pytest.mark.parametrize(("interval_s", "longest_s"), [(300, 30), (900, 60), (86_400, 60), (1, 0.1)])
def test_sites_are_spread_over_a_tenth_of_an_interval(
    tmp_path: Path, interval_s: int, longest_s: float
) -> None:
    config = load_config(write_site(tmp_path), {})
    configs = [
        replace(config, site=replace(config.site, id=f"site-{number}", interval_s=interval_s))
        for number in range(3_000)
    ]
    offsets = [upload_offset_s(each) for each in configs]
    assert offsets == [upload_offset_s(each) for each in configs]
    assert 0 <= min(offsets) < longest_s / 100 < longest_s * 0.99 < max(offsets) < longest_s
    # Thirty equal parts: a hundred sites in each, give or take.
    parts = Counter(int(each / longest_s * 30) for each in offsets)
    assert len(parts) == 30
    assert max(parts.values()) < 150
