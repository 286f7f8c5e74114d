"""The last resort, and what keeps flash from wearing out, in the whole daemon against the simulated plant."""

from pathlib import Path

import numpy as np
import pytest

from daemon.dispatch import Dispatcher, Endurance
from drivers.profiles import load_profile
from sim_devices.layout import lay_out
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.pure_site import PureSite
from tests.world.virtual_site import VirtualSite

PERIOD_S = 5.0


def test_what_obeys_nobody_is_switched_off_at_its_outlet_and_comes_back_with_the_limit(
    tmp_path: Path,
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        async with VirtualSite(loop, tmp_path, miners=10, racks=1, period_s=PERIOD_S) as site:
            loads = site.plant.truth.loads
            rebels = [load for load in loads.values() if load.id.startswith("m-")][:3]
            rack = next(load for load in loads.values() if not load.id.startswith("m-"))
            for load in (*rebels, rack):
                site.plant.faults[load.id].disobey = True
            await site.start()
            site.dispatcher.quota((0, None))
            await site.run(40)
            site.dispatcher.quota((0, 0))
            await site.run(90)
            assert [load.powered for load in rebels] == [False] * 3
            assert rack.powered  # a rack is never switched off
            assert all(load.powered for load in loads.values() if not load.disobeys)
            (text,) = [
                event["text"]
                for event in site.dispatcher.events
                if event["type"] == "alarm" and event["alarm"] == "outlets-off"
            ][-1:]
            assert all(load.id in text for load in rebels)
            # The daemon knows that they draw nothing, and its next run who switched them off.
            await site.stop()
            await site.start()
            await site.run(60)
            assert [load.powered for load in rebels] == [False] * 3
            site.dispatcher.quota((0, None))
            await site.run(240)
            assert [load.powered for load in rebels] == [True] * 3

    run_virtual(scenario)


@pytest.mark.parametrize("bounded", [False, True])
def test_a_budget_holds_back_rises_and_never_a_shed(bounded: bool) -> None:  # noqa: FBT001
    """Six steps down and up in 8 minutes, the loads' flash being worth 24 writes a day."""
    plant = lay_out(miners=8, racks=0, pdus=0, seed=3, profile=load_profile, disobedient_share=0.0)
    site = PureSite(plant, int(1.15 * plant.nameplate_w), ramp_up_pct_per_min=200.0)
    if bounded:
        layout, count = site.layout, len(site.layout.loads)
        endurance = Endurance(np.full(count, 24.0), np.full(count, np.inf))
        site.controller.dispatcher = Dispatcher(layout.loads, layout.sleeps, site.fleet, endurance)
    site.quota((0, None))
    site.run(60)
    full_w, rises = site.plant.model.true_power_w, np.zeros(8, dtype=np.int64)
    order, last_w = site.fleet.order, np.full(8, np.inf)

    def counted(row: int, watts: float | None) -> None:
        load = list(site.layout.loads.rows).index(row)
        now_w = np.inf if watts is None else watts
        rises[load] += now_w > last_w[load]
        last_w[load] = now_w
        order(row, watts)

    site.fleet.order = counted  # type: ignore[method-assign] # listens in
    for _ in range(6):
        for share in (0.4, 1.0):
            site.quota((0, int(share * full_w)))
            site.run(40)
            watts = np.mean([watts for _, watts, _ in site.history[-100:]])
            assert watts <= share * full_w
    # Four writes were saved up, and two went on the way down; further sheds are free.
    assert int(rises.max()) <= 2 if bounded else int(rises.max()) >= 5
