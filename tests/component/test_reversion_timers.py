"""Devices that let go of a limit when they hear no more, under the whole daemon: it never lets them."""

from pathlib import Path

import numpy as np

from sim_devices.scenario import load_scenario
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import VirtualSite
from tests.world.world import World

SCENARIO = load_scenario(Path(__file__).parent.parent / "scenarios" / "reversion.toml")
KILLED_S, BACK_S, END_S = 480.0, 630.0, 760.0
LOOK_S = 5.0
AFTER_S = {"sim-miner-s21-reverting": 120.0, "sim-miner-t21-reverting": 90.0}


class Watch:
    """Looks at the timers of a plant while time passes."""

    def __init__(self, site: VirtualSite) -> None:
        self.truth = site.plant.truth
        after_s = {device.id: AFTER_S.get(device.profile, 0.0) for device in site.plant.devices}
        self.after_s = np.array([after_s[load] for load in self.truth.fleet.index])
        self.told = self.after_s == AFTER_S["sim-miner-s21-reverting"]

    @property
    def left_share(self) -> np.ndarray:
        """(loads,): of each timer what is left."""
        left_s = self.truth.reversions.left_s(self.truth.now_s, np.arange(len(self.after_s)))
        share: np.ndarray = left_s / self.after_s
        return share

    @property
    def ended(self) -> int:
        return int(self.truth.reversions.ended.sum())


def test_no_timer_ends_while_the_daemon_runs_and_whoever_reverted_is_held_again(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with World(loop, tmp_path, SCENARIO) as world:
            watch = Watch(world)
            await world.play(20.0)
            least = np.ones(len(watch.after_s))
            while world.at_s < KILLED_S:
                await world.play(LOOK_S)
                disturbed = 280 <= world.at_s < 400  # killed for a moment; and nothing could be written
                if not disturbed:
                    least = np.minimum(least, watch.left_share)
            # Stops, outages and a refusal of half of a timer's time included.
            assert watch.ended == 0
            assert least.min() > 2 / 3 - 0.1

            # One order for each that changes something; one at each start; the timers; and what was refused.
            feeds = float((3 * KILLED_S / watch.after_s).sum())
            assert 0.8 * feeds < world.writes - world.switches < 1.1 * feeds + 3 * len(watch.after_s)
            writes = world.writes

            # Nobody speaks to them any more.
            await world.play(BACK_S - LOOK_S - KILLED_S)
            assert world.writes == writes
            assert watch.truth.reversions.ended.tolist() == [1] * len(watch.after_s)
            ordered_w = watch.truth.fleet.ordered_w
            assert np.isnan(ordered_w[~watch.told]).all()
            np.testing.assert_array_equal(ordered_w[watch.told], 0.0)
            limit_w = 0.45 * world.full_w
            assert watch.truth.true_power_w > 1.2 * limit_w

            await world.play(END_S - world.at_s)
            assert watch.ended == len(watch.after_s)
            assert 0.97 * limit_w < watch.truth.true_power_w < limit_w
            assert watch.left_share.min() > 2 / 3 - 0.1
            assert world.judge.violations == []
            assert world.judge.minutes >= 4

    run_virtual(main)


def test_a_stop_leaves_every_timer_armed_with_its_share_of_the_failsafe_limit(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with VirtualSite(
            loop,
            tmp_path,
            miners=8,
            racks=0,
            pdus=0,
            mix={"sim-miner-s21-reverting": 1},
            disobedient_share=0.0,
            failsafe_share=0.75,
        ) as site:
            watch, truth = Watch(site), site.plant.truth
            site.dispatcher.quota((0, round(0.9 * site.full_w)))
            await site.start()
            await site.run(100)
            # Whoever restarts forgets what it was armed with, and is told again at once.
            site.plant.faults["m-01-03"].reboot()
            assert np.isnan(truth.reversions.limit_w[2])
            await site.run(15)
            assert (truth.reversions.limit_w > 0).all()

            before_w = truth.fleet.ordered_w.copy()
            await site.stop()
            np.testing.assert_array_equal(truth.fleet.ordered_w, before_w)
            assert watch.left_share.min() > 2 / 3 - 0.1
            assert 0.9 * site.failsafe_w > truth.reversions.limit_w.sum() > 0.7 * site.failsafe_w
            await _pass(loop, 20)
            np.testing.assert_array_equal(truth.fleet.ordered_w, before_w)
            await _pass(loop, 130)
            assert watch.ended == 8
            assert truth.true_power_w < site.failsafe_w

            await site.start()
            await site.run(180)
            assert watch.ended == 8
            assert site.state["limit_source"] == "quota"
            assert truth.true_power_w > 0.85 * site.full_w

    run_virtual(main)


async def _pass(loop: VirtualLoop, seconds: float) -> None:
    waited = loop.create_future()
    loop.call_later(seconds, waited.set_result, None)
    await waited
