"""What happens around the control core while it holds the limit: restarts, exclusions, circuits."""

from dataclasses import replace

import numpy as np
import pytest

from daemon.authority.machine import State, start
from daemon.commands.orders import Lease
from daemon.cycle.controller import Controller
from daemon.table import SiteTable
from drivers.profiles import load_profile
from sim_devices.layout import lay_out
from tests.world.pure_site import PureSite


def limited(share: float, seed: int = 1) -> tuple[PureSite, float]:
    """A site that has been held at a share of its full power for a while, and that limit."""
    site = PureSite.build(miners=120, racks=3, seed=seed)
    site.quota((0, None))
    site.run(40)
    limit_w = int(share * site.plant.model.true_power_w)
    site.quota((0, limit_w))
    site.run(160)
    return site, limit_w


def above(site: PureSite, from_s: float) -> list[tuple[int, int]]:
    """(second since `from_s`, W above the limit) of every clock-second whose mean power is above it."""
    seconds = site.means(from_s, site.model_s)
    return [(round(s - from_s), round(watts - limit)) for s, watts, limit in seconds if watts > limit]


def restart(site: PureSite) -> None:
    """The daemon starts anew with what it had kept: nothing of what it had learned of the loads."""
    verdict = site.controller.verdict
    wall = int(site.now.wall_s)
    resumed = start(
        site.controller.policy.authority,
        site.now,
        boot_id="boot",
        boottime_s=site.model_s,
        last_limit_w=verdict.limit_w,
        last_source=verdict.source,
        quota=verdict.authority.quota,
        lease=Lease(site.rev, wall, wall + 300, "boot", site.model_s, site.now.wall_s),
    )
    site.table = SiteTable([1.0] * len(site.layout.devices))
    site.controller = Controller(
        site.layout, site.controller.policy, site.table, site.fleet, resumed, site.now
    )


@pytest.mark.parametrize("share", [0.8, 0.3])
def test_a_restart_is_not_an_event_of_the_grid(share: float) -> None:
    site, limit_w = limited(share)
    before_w = site.plant.model.true_power_w
    restart(site)
    from_s = site.model_s
    site.run(90)
    watts = [watts for _, watts, _ in site.means(from_s, site.model_s)]
    assert min(watts) > 0.97 * before_w
    assert max(watts) < limit_w
    assert site.controller.authority.state is State.LIMITED
    assert site.controller.dispatcher.writes < 60


def test_a_restart_in_the_middle_of_a_step_does_not_miss_it() -> None:
    site, _ = limited(0.95, seed=2)
    lower_w = int(0.6 * site.plant.model.true_power_w)
    from_s = site.model_s
    site.quota((0, lower_w))
    site.run(6)
    restart(site)
    site.run(90)
    assert above(site, from_s + 31) == []


def test_after_a_restart_who_wakes_up_is_put_back() -> None:
    site, _ = limited(0.3)
    restart(site)
    site.run(60)
    from_s = site.model_s
    asleep = [load for load in site.plant.model.loads.values() if load.asleep][:10]
    assert len(asleep) == 10
    for load in asleep:
        load.reboot(site.plant.model.now_s)
    site.run(60)
    assert all(load.ordered_w is not None for load in asleep)
    assert above(site, from_s + 15) == []


def test_an_excluded_load_is_not_written_to_and_made_up_for() -> None:
    site, limit_w = limited(0.95)
    site.controller.excluded_until[:20] = np.inf
    devices = [site.layout.devices[row].id for row in site.layout.loads.rows[:20]]
    before = [site.plant.model.loads[device].ordered_w for device in devices]
    site.quota((0, int(0.6 * limit_w)))
    site.run(30)
    from_s = site.model_s
    site.run(90)
    assert [site.plant.model.loads[device].ordered_w for device in devices] == before
    assert above(site, from_s) == []


def test_a_feeders_limit_is_kept_and_the_rest_of_the_site_runs_on() -> None:
    plant = lay_out(miners=120, racks=3, pdus=None, seed=1, profile=load_profile, disobedient_share=0.0)
    rated_w = {circuit.id: circuit.max_w for circuit in plant.circuits}
    tight = tuple(
        replace(circuit, max_w=circuit.max_w // 2 if circuit.id == "hall-a" else circuit.max_w)
        for circuit in plant.circuits
    )
    site = PureSite(replace(plant, circuits=tight), int(plant.nameplate_w * 1.15))
    site.quota((0, None))
    site.run(90)
    by_hall = {
        hall: sum(plant.model.loads[spec.id].draw_w for spec in plant.specs if spec.circuit == hall)
        for hall in rated_w
    }
    assert by_hall["hall-a"] <= 1.01 * rated_w["hall-a"] // 2  # by the loads' own readings
    assert by_hall["hall-a"] > 0.95 * rated_w["hall-a"] // 2
    assert by_hall["hall-b"] > 0.85 * rated_w["hall-b"]


def test_a_hold_of_zero_and_its_release() -> None:
    site, limit_w = limited(0.6)
    site.hold(0)
    site.run(60)
    assert site.plant.model.true_power_w == pytest.approx(site.plant.model.floor_w(), rel=0.01)
    site.hold(None)
    site.run(8 * 60)
    assert 0.95 * limit_w < site.plant.model.true_power_w < limit_w
