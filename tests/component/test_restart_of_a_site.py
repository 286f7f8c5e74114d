"""A start finds the loads as the stop left them, and orders nothing."""

from pathlib import Path

import numpy as np
import pytest

from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import VirtualSite


@pytest.mark.parametrize("killed", [False, True])
def test_a_restart_moves_no_setpoint_although_the_pdus_are_heard_before_the_loads(
    tmp_path: Path, *, killed: bool
) -> None:
    async def main(loop: VirtualLoop) -> None:
        # Nothing rises again: what is ordered after the start is ordered because of it.
        async with VirtualSite(
            loop, tmp_path, miners=12, disobedient_share=0.0, control="ramp_up_pct_per_min = 0.001"
        ) as site:
            site.dispatcher.quota((0, round(0.6 * site.full_w)))
            await site.start()
            await site.run(90)
            before_w = site.plant.truth.fleet.ordered_w.copy()
            await (site.kill() if killed else site.stop())

            await site.start()
            await site.run(60)

            assert site.state["limit_source"] == "quota"
            assert np.nanmin(before_w) == 0
            np.testing.assert_array_equal(site.plant.truth.fleet.ordered_w, before_w)

    run_virtual(main)
