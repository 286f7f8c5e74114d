"""Loads that do not obey, do not answer, or were not seen to fall: ordered, and counted on by nobody."""

import math
from dataclasses import replace

import numpy as np

from tests.world.paper_loads import MINER, STOCK, Park, loads_of


def miners(count: int) -> Park:
    """S21-class miners at full power: 30, 1750, 2450, 3150, 3500 W, an order takes 2 s."""
    return Park(loads_of(*[MINER] * count))


def unanswered(park: Park, load: int, for_s: float) -> Park:
    """One load has not been measured for so long, the others just now."""
    seen_s = np.full(len(park.loads), park.now_s - 0.5)
    seen_s[load] = park.now_s - for_s
    park.memory = replace(park.memory, seen_s=seen_s)
    park.measured_w[load] = math.nan
    return park


def test_who_does_not_obey_is_ordered_off_with_the_first_and_nothing_counts_on_it() -> None:
    park = miners(3)
    park.carry_out(park.plan(8_800))
    rebel = int(park.memory.level.argmin())
    watts = park.memory.at_level_w().copy()
    watts[rebel] = 3_500.0
    park.look(6, *watts)
    assert park.memory.obeys.tolist().count(False) == 1
    plan = park.plan(8_800)
    assert plan.level[rebel] == 0
    assert plan.counted_w[rebel] == 3_500
    assert plan.loads_w <= 8_800


def test_who_does_not_obey_is_not_let_up_before_all_are() -> None:
    park = miners(2).at(0, 0)
    park.memory = replace(park.memory, obeys=np.array([False, True]))
    park.measured_w = np.array([3_500.0, 30.0])
    assert park.plan(6_000).level.tolist() == [0, 2]
    all_up = park.plan(7_300)
    assert all_up.level.tolist() == [4, 4]
    park.measured_w[0] = 3_700.0
    assert park.plan(7_300).counted_w.tolist() == [3_700, 3_500]


def test_who_does_not_answer_is_not_counted_on() -> None:
    plan = unanswered(miners(3), 1, 20).plan(7_200)
    assert plan.level[1] == 4
    assert plan.counted_w[1] == 3_500
    assert plan.loads_w <= 7_200


def test_who_does_not_answer_for_a_blip_is_ordered_like_the_others() -> None:
    park = unanswered(miners(3), 1, 8)
    assert park.plan(5_300).level.tolist() == [1, 1, 1]


def test_who_does_not_answer_is_ordered_off_with_the_last() -> None:
    plan = unanswered(miners(3), 1, 20).plan(3_000)
    assert plan.level.tolist() == [0, 0, 0]
    assert plan.counted_w.tolist() == [30, 3_500, 30]
    assert plan.unreachable_w == 560


def test_an_order_to_who_does_not_answer_makes_it_count_no_less() -> None:
    park = unanswered(miners(3), 1, 20)
    park.carry_out(park.plan(0))
    assert park.counted().tolist() == [30, 3_500, 30]


def test_who_does_not_answer_does_not_rise_while_there_is_not_room_for_all() -> None:
    park = unanswered(miners(3).at(0, 0, 0), 1, 20)
    assert park.plan(9_000).level[1] == 0


def test_who_was_not_seen_since_its_order_should_have_arrived_is_bridged() -> None:
    park = miners(4)
    park.carry_out(park.plan(8_000))
    assert park.memory.level.tolist() == [2, 1, 1, 1]
    begun_s = park.now_s
    for _ in range(5):
        park.look(1, *park.memory.at_level_w()[:3], math.nan)
        assert park.plan(8_000, deadline_s=begun_s + 30).late_w == 0
    park.look(1, *park.memory.at_level_w()[:3], math.nan)
    plan = park.plan(8_000, deadline_s=begun_s + 30)
    assert plan.late_w == 1_750
    assert plan.counted_w[:3].sum() <= 8_000 - 3_500
    assert plan.at_deadline_w <= 8_000


def test_who_was_seen_to_follow_is_not_bridged() -> None:
    park = miners(4)
    park.carry_out(park.plan(8_000))
    for _ in range(20):
        park.look(1)
        assert park.plan(8_000).late_w == 0


def test_in_an_overloaded_circuit_the_doubtful_are_ordered_off_too() -> None:
    park = Park(loads_of(MINER, MINER, MINER, circuits=[0, 0, -1]), (3_000.0,), (-1,))
    park.memory = replace(park.memory, obeys=np.array([False, True, True]))
    plan = park.plan(99_000)
    assert plan.level.tolist() == [0, 0, 4]
    assert plan.counted_w.tolist() == [3_500, 30, 3_500]


def test_who_was_seen_not_to_have_fallen_when_it_should_have_is_bridged_before_the_deadline() -> None:
    park = Park(loads_of(*[STOCK] * 4, *[MINER] * 6))
    target_w, deadline_s = 24_000.0, park.now_s + 30
    first = park.plan(target_w, deadline_s=deadline_s)
    park.carry_out(first)
    fast_w = park.memory.at_level_w()[4:]
    park.look(23, *[3_050.0] * 4, *fast_w)  # asked half a second before the order should have arrived
    assert park.plan(target_w, deadline_s=deadline_s).loads_w >= first.loads_w
    park.look(1, *[3_050.0] * 4, *fast_w)
    bridged = park.plan(target_w, deadline_s=deadline_s)
    assert bridged.late_w > 0
    assert bridged.at_deadline_w <= target_w
    park.look(1, 3_050.0, 3_050.0, 60.0, 60.0, *fast_w)
    assert 0 < park.plan(target_w, deadline_s=deadline_s).late_w < bridged.late_w
