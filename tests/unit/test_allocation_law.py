"""The law of allocation: who is shed, when, and what may rise."""

from dataclasses import replace

import numpy as np
import pytest

from daemon.allocation.loads import Tier
from daemon.allocation.situation import Ahead
from tests.world.paper_loads import MINER, RACK, STOCK, Park, loads_of, profile_of


def miners(count: int) -> Park:
    """S21-class miners at full power: 30, 1750, 2450, 3150, 3500 W, an order takes 2 s."""
    return Park(loads_of(*[MINER] * count))


# --- the target ---


def test_the_target_is_the_limit_less_what_is_uncontrolled_and_the_margin() -> None:
    plan = miners(4).plan(12_000, uncontrolled_w=1_500, margin_w=250)
    assert plan.target_w == 10_250
    assert plan.loads_w <= 10_250
    assert (plan.limit_w, plan.uncontrolled_w, plan.margin_w, plan.unreachable_w) == (12_000, 1_500, 250, 0)


def test_under_a_limit_of_zero_everything_sheddable_is_shed() -> None:
    plan = miners(4).plan(0, uncontrolled_w=1_500)
    assert plan.level.tolist() == [0, 0, 0, 0]
    assert (plan.target_w, plan.unreachable_w) == (0, 120)


def test_nothing_is_switched_without_need() -> None:
    park = miners(4)
    for limit_w in (14_000, 14_001, 30_000):
        assert park.plan(limit_w).level.tolist() == [4, 4, 4, 4]
    park.at(4, 4, 4, 2)
    for limit_w in (12_950, 13_100, 13_649):
        assert park.plan(limit_w, deadband_w=0).level.tolist() == [4, 4, 4, 2]


def test_as_little_is_shed_as_the_steps_allow() -> None:
    plan = miners(4).plan(13_900)
    assert sorted(plan.level.tolist()) == [3, 4, 4, 4]


def test_what_a_load_counts_at_decides_not_what_it_draws() -> None:
    park = miners(4)
    park.look(20, 900, 900, 900, 900)  # no pool
    assert park.plan(8_000).loads_w <= 8_000
    park.at(1, 1, 1, 1)
    park.look(20, 900, 900, 900, 900)
    assert park.plan(7_500).level.tolist() == [1, 1, 1, 1]


# --- who ---


def test_who_earns_least_per_watt_goes_first_and_comes_back_last() -> None:
    park = Park(loads_of(RACK, MINER, STOCK))
    assert park.plan(26_900).level.tolist() == [3, 3, 2]
    assert park.plan(26_500).level.tolist() == [3, 4, 1]
    assert park.plan(12_600).level.tolist() == [1, 0, 0]
    park.at(0, 0, 0)
    assert park.plan(12_700, ceiling_w=12_700).level.tolist() == [1, 0, 0]


def test_first_to_go_before_normal_before_critical() -> None:
    park = Park(loads_of(MINER, MINER, MINER, tiers=[Tier.CRITICAL, Tier.FIRST_TO_GO, Tier.NORMAL]))
    assert park.plan(7_100).level.tolist() == [4, 0, 4]
    assert park.plan(3_600).level.tolist() == [4, 0, 0]
    assert park.plan(90).level.tolist() == [0, 0, 0]


def test_an_excluded_load_is_left_alone_and_counts() -> None:
    excluded = np.array([True, False, False])
    plan = miners(3).plan(7_100, excluded=excluded)
    assert plan.level[0] == 4
    assert plan.loads_w <= 7_100
    assert miners(3).plan(0, excluded=excluded).unreachable_w == 3_560


def test_a_load_that_nobody_has_seen_is_left_alone_and_counts_at_nameplate() -> None:
    park = miners(3)
    park.memory = replace(park.memory, level=np.array([-1, 4, 4]))
    plan = park.plan(7_100)
    assert plan.level[0] == -1
    assert plan.counted_w[0] == 3_500
    assert plan.loads_w <= 7_100


# --- when ---


def test_a_small_excess_is_trimmed_by_loads_that_answer_in_time() -> None:
    park = Park(loads_of(*[STOCK] * 40, *[RACK] * 5))
    full_w = float(park.measured_w.sum())
    soon = {"deadline_s": park.now_s + 3}
    trimmed = park.plan(full_w - 1_000, **soon)
    assert trimmed.level[:40].tolist() == [2] * 40
    assert trimmed.level[40:].min() < 3
    cut = park.plan(full_w - 20_000, deadline_s=park.now_s + 30)
    assert cut.level[:40].min() < 2


def test_loads_that_would_miss_the_deadline_are_bridged_by_fast_ones_partly() -> None:
    park = Park(loads_of(*[STOCK] * 4, *[MINER] * 6))
    target_w = 24_000.0
    plan = park.plan(target_w, deadline_s=park.now_s + 10)
    slow, fast = plan.level[:4], plan.level[4:]
    assert slow.min() < 2  # by merit the old ones go
    assert plan.late_w > 0
    assert plan.at_deadline_w <= target_w  # as they still draw all of it at the deadline, others step in
    assert fast.min() > 0  # with partial power, which comes back quickly
    unhurried = park.plan(target_w, deadline_s=park.now_s + 30)
    assert unhurried.late_w == 0
    assert fast.sum() < unhurried.level[4:].sum()


def test_slow_loads_bridge_nothing() -> None:
    park = Park(loads_of(*[STOCK] * 4, *[MINER] * 6))
    hurried = park.plan(32_500, deadline_s=park.now_s + 10)
    unhurried = park.plan(32_500, deadline_s=park.now_s + 30)
    assert hurried.level[:4].tolist() == unhurried.level[:4].tolist()
    assert hurried.level[4:].sum() < unhurried.level[4:].sum()


def test_bridging_reduces_what_is_worth_more_before_it_puts_anything_to_sleep() -> None:
    park = Park(loads_of(*[STOCK] * 4, *[MINER] * 2, RACK))
    plan = park.plan(29_000, deadline_s=park.now_s + 10)
    assert plan.late_w > 0
    assert plan.level[4:].min() > 0
    assert plan.level[6] < 3


def test_bridging_is_released_as_the_slow_ones_fall() -> None:
    park = Park(loads_of(*[STOCK] * 4, *[MINER] * 6))
    target_w, deadline_s = 24_000.0, park.now_s + 10
    plan = park.plan(target_w, deadline_s=deadline_s)
    park.carry_out(plan)
    bridging_w = plan.loads_w
    for _ in range(19):
        park.look(1, *[3_050.0] * 4, *park.memory.at_level_w()[4:])
        assert park.plan(target_w, deadline_s=max(deadline_s, park.now_s + 3)).loads_w <= bridging_w
    park.look(12)
    released = park.plan(target_w, deadline_s=park.now_s + 3)
    assert released.late_w == 0
    assert bridging_w < released.loads_w <= target_w


def test_without_fast_loads_the_deadline_is_missed_and_the_limit_met_all_the_same() -> None:
    park = Park(loads_of(*[STOCK] * 4))
    plan = park.plan(6_000, deadline_s=park.now_s + 10)
    assert plan.loads_w <= 6_000
    assert plan.at_deadline_w > 6_000


def proven(park: Park) -> Park:
    """All of them were seen to obey before."""
    park.memory = replace(park.memory, proven=np.ones(len(park.loads), dtype=np.bool_))
    return park


def ordered_ahead(park: Park, limit_w: float) -> dict[int, int]:
    """How many seconds before an announced limit each load is ordered."""
    full_w = float(park.measured_w.sum())
    ordered_at: dict[int, int] = {}
    for second in range(60):
        in_s = 60 - second
        plan = park.plan(full_w, ahead=[Ahead(float(in_s), limit_w)])
        for load in np.flatnonzero(plan.level < park.memory.level):
            ordered_at.setdefault(int(load), in_s)
        park.carry_out(plan)
        park.look(1)
    return ordered_at


def test_an_announced_step_is_ordered_to_each_load_its_latency_earlier() -> None:
    ordered_at = ordered_ahead(proven(Park(loads_of(*[STOCK] * 3, *[MINER] * 3))), 400.0)
    assert all(23 <= ordered_at[load] <= 30 for load in range(3))
    assert all(2 <= ordered_at[load] <= 6 for load in range(3, 6))


def test_before_an_announced_step_no_load_is_bridged_that_was_ordered_in_time() -> None:
    park = proven(Park(loads_of(*[STOCK] * 4, *[MINER] * 6)))
    limit_w = float(park.measured_w.sum()) - 9_000
    ordered_at = ordered_ahead(park, limit_w)
    assert limit_w - 3_000 < park.memory.at_level_w().sum() <= limit_w
    assert set(ordered_at.values()) <= {30, 5}


def test_who_was_never_seen_to_obey_is_ordered_so_early_that_another_can_stand_in() -> None:
    park = Park(loads_of(*[MINER] * 4))
    first = ordered_ahead(park, 8_000.0)
    assert all(in_s > 2 + park.loads.period_s[0] + 2 for in_s in first.values())
    park = Park(loads_of(*[MINER] * 4))
    for second in range(30):
        plan = park.plan(14_000.0, ahead=[Ahead(30.0 - second, 8_000.0)])
        park.carry_out(plan)
        obeying_w = park.memory.at_level_w()
        park.look(1, 3_500.0, *obeying_w[1:])  # the first one does as it likes
    assert float(park.measured_w.sum()) <= 8_000.0


def test_where_all_that_obey_are_not_enough_the_others_are_told_before_the_step_too() -> None:
    park = proven(Park(loads_of(*[MINER] * 4)))
    park.memory = replace(park.memory, obeys=np.array([False, True, True, True]))
    full_w = float(park.measured_w.sum())
    enough = park.plan(full_w, ahead=[Ahead(4.0, 8_000.0)])
    assert enough.level[0] == 4
    assert park.plan(full_w, ahead=[Ahead(4.0, 0.0)]).level.tolist() == [0, 0, 0, 0]
    assert park.plan(full_w, ahead=[Ahead(40.0, 0.0)]).level.tolist() == [4, 4, 4, 4]


def test_what_slow_loads_still_draw_at_an_announced_step_is_bridged_by_then() -> None:
    park = proven(Park(loads_of(*[STOCK] * 4, *[MINER] * 6)))
    full_w = float(park.measured_w.sum())
    park.carry_out(park.plan(full_w, ahead=[Ahead(26.0, 24_000.0)]))
    fast_w = park.memory.at_level_w()[4:]
    park.look(24, *[3_050.0] * 4, *fast_w)  # none of the slow ones has fallen
    plan = park.plan(full_w, ahead=[Ahead(2.0, 24_000.0)])
    assert 4 * 3_050 + plan.counted_w[4:].sum() <= 24_000


def test_nothing_rises_into_an_announced_step() -> None:
    park = Park(loads_of(*[STOCK] * 3)).at(0, 0, 0)
    assert park.plan(9_200).level.tolist() == [2, 2, 2]
    assert park.plan(9_200, ahead=[Ahead(20.0, 180.0)]).level.tolist() == [0, 0, 0]


def test_of_several_announced_steps_each_is_met() -> None:
    park = Park(loads_of(*[MINER] * 4))
    plan = park.plan(14_000, ahead=[Ahead(2.0, 10_000.0), Ahead(4.0, 5_000.0), Ahead(20.0, 120.0)])
    assert plan.loads_w <= 5_000
    assert plan.level.max() > 0


# --- up ---


def test_a_rise_fills_the_room_and_not_more() -> None:
    park = miners(4).at(0, 0, 0, 0)
    plan = park.plan(9_000, deadband_w=100)
    assert 8_900 - 700 < plan.loads_w <= 8_900
    two = miners(2).at(0, 0)
    assert two.plan(7_000).loads_w == 7_000
    assert two.plan(7_000, deadband_w=100).loads_w <= 6_900


@pytest.mark.parametrize("blocked", [{"may_rise": False}, {"ceiling_w": 120.0}, {"uncontrolled_w": 9_000.0}])
def test_without_leave_or_room_nothing_rises(blocked: dict[str, float]) -> None:
    assert miners(4).at(0, 0, 0, 0).plan(9_000, **blocked).level.tolist() == [0, 0, 0, 0]


def test_what_was_lowered_in_this_allocation_does_not_rise_in_it() -> None:
    park = Park(loads_of(RACK, MINER, MINER))
    plan = park.plan(27_000)
    assert (plan.level <= park.memory.level).all()


def test_the_ramp_is_waited_for_in_merit_order() -> None:
    park = Park(loads_of(RACK, MINER)).at(0, 0)
    now_w = float(park.measured_w.sum())
    assert park.plan(23_900, ceiling_w=now_w + 2_000).level.tolist() == [0, 0]
    assert park.plan(23_900, ceiling_w=now_w + 8_000).level.tolist() == [1, 0]


def test_what_the_limit_has_no_room_for_is_passed_over() -> None:
    park = Park(loads_of(RACK, MINER)).at(0, 0)
    assert park.plan(8_200).level.tolist() == [0, 4]


def test_a_start_waits_for_the_minimum_off_time_and_a_shed_does_not() -> None:
    park = Park(loads_of(*[profile_of(min_off_s=60.0)] * 2))
    park.carry_out(park.plan(0))
    for after_s in (1, 30, 28.9):
        park.look(after_s)
        assert park.plan(7_000).level.tolist() == [0, 0]
    park.look(0.2)
    up = park.plan(7_000)
    assert up.level.tolist() == [4, 4]
    park.carry_out(up)
    park.look(1)
    assert park.plan(0).level.tolist() == [0, 0]


def test_off_time_counts_from_the_order_to_sleep_not_from_a_repetition() -> None:
    park = Park(loads_of(profile_of(min_off_s=60.0)))
    park.carry_out(park.plan(0))
    for _ in range(6):
        park.look(10.1)
        park.carry_out(park.plan(0))
    assert park.plan(3_500).level.tolist() == [4]
