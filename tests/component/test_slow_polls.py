"""The whole daemon where meter, cooling and loads are read only every half minute."""

from pathlib import Path

import pytest

from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import VirtualSite

LOWER_S, END_S = 617.0, 900.0
SHARE = 0.6
MIDNIGHT_S = 20_718 * 86_400


async def _course(loop: VirtualLoop, folder: Path) -> list[tuple[float, float]]:
    """(second, power as a share of the limit) of every step of the plant since the limit fell."""
    site = VirtualSite(loop, folder, miners=7, racks=0, period_s=30.0, wall_s=MIDNIGHT_S)
    async with site:
        site.dispatcher.lease_every_s = 30.0
        await site.start()
        limit_w = int(SHARE * site.full_w)
        site.dispatcher.quota((0, None), (LOWER_S, limit_w))
        await site.run(END_S)
        await site.stop()
        course = [(m.wall_s - MIDNIGHT_S - LOWER_S, m.true_power_w / limit_w) for m in site.plant.history]
    return [(at_s, share) for at_s, share in course if at_s > 1]


def test_an_announced_step_is_not_exceeded_when_samples_of_different_ages_come_together(
    tmp_path: Path,
) -> None:
    course = run_virtual(lambda loop: _course(loop, tmp_path))
    assert [(at_s, share) for at_s, share in course if share > 1] == []
    used = [share for at_s, share in course if at_s > 120]
    assert sum(used) / len(used) == pytest.approx(0.98, abs=0.02)
