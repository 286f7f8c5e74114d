"""Write budgets and reversion timers: what set-points bear, and how they end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.allocation.memory import UNKNOWN
from daemon.config import load_config
from daemon.cycle.layout import SiteLayout
from daemon.dispatch import Dispatcher, Endurance
from daemon.dispatch.budget import WriteBudget
from daemon.dispatch.reversion import shares_w
from drivers.ports import WriteResult
from drivers.profile import Profile, Role
from drivers.profiles import load_profile
from tests.unit.test_dispatch import Post
from tests.world.paper_loads import MINER, STOCK, Park, loads_of
from tests.world.site_files import GOOD, write_site

INF = np.inf


class WornPost(Post):
    """Of loads whose set-points bear so many writes a day, or fall back after so many seconds."""

    def __init__(
        self, *profiles: Profile, per_day: tuple[float, ...] = (), after_s: tuple[float, ...] = ()
    ) -> None:
        super().__init__(*profiles)
        count = len(self.park.loads)
        endurance = Endurance(np.array(per_day or [INF] * count), np.array(after_s or [INF] * count))
        sleeps = np.ones(count, dtype=np.bool_)
        self.dispatcher = Dispatcher(self.park.loads, sleeps, self.fleet, endurance)

    def spent(self) -> list[bool]:
        sparing = self.dispatcher.sparing(self.park.now_s)
        return [False] * len(self.park.loads) if sparing is None else [bool(one) for one in sparing]


# --- budgets ---


def test_a_budget_runs_out_and_fills_up_again_to_what_may_be_saved_up() -> None:
    budget, first = WriteBudget(np.array([96.0, INF])), np.array([0, 1])
    for _ in range(9):
        assert not budget.spent(0.0).any()
        budget.spend(first, 0.0)
    assert budget.spent(0.0).tolist() == [True, False]
    assert budget.spent(100.0).tolist() == [True, False]
    assert budget.spent(400.0).tolist() == [False, False]  # 900 s a write, 0.6 were left
    for _ in range(9):
        budget.spend(first, 1e6)
    assert budget.spent(1e6).tolist() == [True, False]


def test_who_bears_any_number_of_writes_uses_up_nobody_elses() -> None:
    budget = WriteBudget(np.array([INF, 96.0, INF, 96.0]))
    for _ in range(20):
        budget.spend(np.array([0, 1, 2]), 0.0)
    assert budget.spent(0.0).tolist() == [False, True, False, False]


def test_a_load_whose_writes_are_used_up_is_not_raised_and_yet_shed() -> None:
    post = WornPost(MINER, MINER, per_day=(10.0, INF))
    for level in (3, 4, 3, 4):
        post.park.look(60.0)
        post.order(level, 4)
    post.order(0, 0)
    assert post.spent() == [True, False]
    post.park.look(60.0)
    sparing = post.dispatcher.sparing(post.park.now_s)
    plan = post.park.plan(9_000.0, sparing=sparing)
    assert plan.level.tolist() == [0, 4]
    assert post.park.plan(9_000.0).level.tolist() == [4, 4]
    post.park.at(4, 4)
    shed = post.park.plan(100.0, sparing=sparing)
    assert shed.level.tolist() == [0, 0]
    post.fleet.taken()
    post.order(0, 0)
    assert len(post.fleet.taken()) == 2


def test_who_does_not_obey_is_reminded_only_while_writes_are_left_but_what_was_lost_goes_out() -> None:
    bounded, free = (
        WornPost(MINER, per_day=(4.0,)),
        WornPost(MINER),
    )
    for post in (bounded, free):
        post.order(0)
        post.run(600, 3500.0)
    assert len(free.fleet.taken()) == 1 + 5
    assert len(bounded.fleet.taken()) == 4
    bounded.ended(0, WriteResult.TIMED_OUT)
    bounded.run(301, 3500.0)
    assert len(bounded.fleet.taken()) == 1


def used_up(shown_w: float) -> WornPost:
    """A load that was ordered to 1,750 W with its last write, and by now shows another set-point."""
    post = WornPost(MINER, per_day=(4.0,))
    for level in (3, 2, 3, 1):
        post.order(level)
    post.run(30)
    assert post.spent() == [True]
    post.fleet.taken()
    post.setpoint_w = np.array([shown_w])
    return post


def test_a_shed_that_was_forgotten_is_said_again_at_once_though_its_writes_are_used_up() -> None:
    post = used_up(3_500.0)
    assert post.run(3) == [1]
    assert post.fleet.taken() == [(0, 1_750.0)]


def test_who_shows_another_set_point_for_ever_is_not_told_for_ever_once_its_writes_are_used_up() -> None:
    assert used_up(3_500.0).run(3_000) == [1, 11, 41, 101]


def test_who_holds_less_than_it_was_ordered_to_waits_until_writes_are_left() -> None:
    assert used_up(0.0).run(3_000) == []


# --- reversion timers ---


def test_a_timer_is_fed_long_before_it_ends_and_with_it_the_order() -> None:
    post = WornPost(MINER, STOCK, after_s=(90.0, INF))
    post.order(2, 1)
    post.fleet.taken()
    shares, nobody = np.array([1750.0, 0.0]), np.zeros(2, dtype=np.bool_)
    for _ in range(91):
        post.park.look(1.0)
        post.dispatcher.feed_timers(post.memory, shares, nobody, post.park.now_s)
    assert post.fleet.armed == [(0, 1750.0)] * 4
    assert post.fleet.taken() == [(0, 2450.0)] * 4
    post.dispatcher.feed_timers(post.memory, shares, ~nobody, post.park.now_s + 60)
    assert len(post.fleet.armed) == 4


def test_feeding_a_timer_is_no_order_of_its_own() -> None:
    post = WornPost(MINER, after_s=(90.0,))
    post.order(0)
    before = post.memory
    post.park.look(20.0)
    post.dispatcher.feed_timers(post.memory, np.zeros(1), np.zeros(1, dtype=np.bool_), post.park.now_s)
    assert post.dispatcher.last_sent_s == before.ordered_s[0]


def fed(post: WornPost, seconds: float, excluded: tuple[bool, ...] = (False,)) -> list[float]:
    """When, in so many seconds from now, timers were fed."""
    times: list[float] = []
    begun_s, nobody = post.park.now_s, np.zeros(len(post.park.loads))
    for _ in range(round(seconds)):
        post.park.look(1.0)
        post.dispatcher.feed_timers(post.memory, nobody, np.array(excluded), post.park.now_s)
        times += [post.park.now_s - begun_s] * len(post.fleet.armed)
        post.fleet.armed.clear()
    return times


def test_who_cannot_be_fed_now_is_fed_as_soon_as_it_can() -> None:
    post = WornPost(MINER, after_s=(90.0,))
    post.park.memory = replace(post.memory, level=np.array([UNKNOWN]))
    # Nobody knows yet what it holds: there is nothing to say again.
    assert fed(post, 20) == []
    post.order(2)
    assert fed(post, 40) == [1, 31]
    assert fed(post, 40, excluded=(True,)) == []
    assert fed(post, 2) == [1]


def test_timers_have_their_turns_one_after_the_other_and_none_waits_longer_for_that() -> None:
    post = WornPost(MINER, MINER, MINER, after_s=(90.0, 90.0, 90.0))
    post.order(2, 2, 2)
    nobody = (False, False, False)
    assert fed(post, 31, nobody) == [1, 1, 1, 11, 21, 31]
    assert fed(post, 60, nobody) == [10, 20, 30, 40, 50, 60]


def test_a_feed_that_was_lost_is_soon_repeated_until_its_time_is_over() -> None:
    post = WornPost(MINER, after_s=(90.0,))
    post.order(2)
    assert fed(post, 1) == [1]
    post.ended(0, WriteResult.ACKNOWLEDGED)
    assert fed(post, 30) == [30]
    post.ended(0, WriteResult.TIMED_OUT)
    assert fed(post, 20) == [10, 20]
    # 50 s: it has run for 51 of its 90 s; from then on there is nothing to save.
    assert fed(post, 340) == [10, 20, 30, 330]
    post.ended(0, WriteResult.ACKNOWLEDGED)
    assert fed(post, 60) == [20, 50]


def test_who_comes_back_or_drifts_is_armed_anew_at_once() -> None:
    post = WornPost(MINER, after_s=(90.0,))
    post.order(2)
    assert fed(post, 40) == [1, 31]
    post.setpoint_w[:] = 3500.0
    post.run(1, 2450.0)
    assert fed(post, 5) == [1]


def test_who_comes_back_is_armed_anew_though_all_was_well_and_everybody_was_away() -> None:
    post = WornPost(MINER, after_s=(900.0,))
    post.order(2)
    assert fed(post, 1) == [1]
    post.run(120, 2450.0)
    post.run(60, float("nan"))
    post.run(1, 2450.0)
    assert fed(post, 5) == [1]


def test_what_feeds_a_timer_is_not_there_to_be_spent(tmp_path: Path) -> None:
    config = load_config(write_site(tmp_path, GOOD), {})
    reverting = load_profile("sim-miner-t21-reverting")
    assert reverting.setpoint is not None
    bounded = replace(reverting, setpoint=replace(reverting.setpoint, writes_per_day=3_000.0))
    loads = [device for device in config.devices if device.role is Role.LOAD]
    devices = [
        replace(device, profile=profile, fed_by=None)
        for device, profile in zip(loads[:2], (bounded, reverting), strict=True)
    ]
    endurance = SiteLayout.of(replace(config, devices=tuple(devices))).endurance
    # 90 s, three times in each of them.
    assert endurance.writes_per_day.tolist() == [3_000.0 - 2_880.0, INF]
    assert endurance.reverts_after_s.tolist() == [90.0, 90.0]


@pytest.mark.parametrize(
    ("failsafe_w", "watts"),
    [(7000.0, [3500, 3500]), (3600.0, [1750, 1750]), (3400.0, [0, 0]), (-1.0, [0, 0])],
)
def test_everyone_has_its_share_of_the_failsafe_limit_or_sleeps(
    failsafe_w: float, watts: list[float]
) -> None:
    assert shares_w(Park(loads_of(MINER, MINER)).loads, failsafe_w).tolist() == watts


def test_the_shares_together_stay_below_the_failsafe_limit() -> None:
    loads = loads_of(MINER, STOCK, MINER, STOCK)
    for failsafe_w in range(0, 14_000, 500):
        assert shares_w(loads, float(failsafe_w)).sum() <= failsafe_w
