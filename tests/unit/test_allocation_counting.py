"""What a load counts at: the most that it may draw without another order. A test for each clause."""

import math
from dataclasses import replace

import numpy as np
import pytest

from daemon.allocation.counting import Look
from daemon.allocation.learning import adopted, observed
from daemon.allocation.memory import UNKNOWN, LoadMemory, tolerated_w
from tests.world.paper_loads import MINER, RACK, STOCK, Park, loads_of, profile_of

NAN = math.nan


def park(*levels: int) -> Park:
    """Miners (30, 1750, 2450, 3150, 3500 W; settle window 5 s) that have been at these levels for ever."""
    return Park(loads_of(*[MINER] * len(levels))).at(*levels)


def ordered_down(level: int = 1) -> Park:
    """A miner that was ordered down this instant."""
    one = park(4)
    plan = one.plan(one.loads.watts[0, level])
    assert plan.level.tolist() == [level]
    one.carry_out(plan)
    return one


def test_inside_its_settle_window_as_commanded_whatever_it_still_draws() -> None:
    one = ordered_down()
    one.look(1, 3500)
    assert one.counted().tolist() == [1750]
    one.look(3.9, 3500)
    assert one.counted().tolist() == [1750]


def test_afterwards_obeying_the_learned_power_even_when_it_draws_less() -> None:
    one = ordered_down()
    one.look(6, 1700)
    one.look(5, 400)  # the pool is away
    one.look(600, 400)
    assert one.memory.obeys.tolist() == [True]
    assert one.counted()[0] == pytest.approx(1750, abs=60)


def test_not_obeying_as_measured() -> None:
    one = ordered_down()
    one.look(6, 3400)
    assert one.memory.obeys.tolist() == [False]
    assert one.counted().tolist() == [3400]
    one.look(1, 2600)
    assert one.counted().tolist() == [2600]


def test_not_obeying_and_not_measured_at_nameplate() -> None:
    one = ordered_down()
    one.look(6, 3400)
    one.look(4, NAN)
    assert one.counted().tolist() == [3500]


def test_not_obeying_never_less_than_ordered() -> None:
    one = ordered_down()
    one.look(6, 3400)
    one.memory = replace(one.memory, obeys=np.array([False]))
    one.measured_w = np.array([200.0])
    assert one.counted().tolist() == [1750]


def test_obeying_and_not_measured_for_a_blip_as_commanded_then_at_nameplate() -> None:
    one = park(1)
    one.look(1)
    one.look(10, NAN)
    assert one.counted().tolist() == [1750]
    one.look(5, NAN)
    assert one.counted().tolist() == [3500]


def test_a_load_that_is_not_measured_any_more_does_not_stay_in_its_window() -> None:
    one = ordered_down()
    one.look(30, NAN)
    assert one.counted().tolist() == [3500]


def test_unknown_at_nameplate() -> None:
    loads = loads_of(MINER, RACK)
    memory = LoadMemory.fresh(loads)
    assert memory.level.tolist() == [UNKNOWN, UNKNOWN]
    assert Look(memory, loads, np.array([NAN, NAN]), 5.0).counted_w.tolist() == [3500, 20400]


def test_a_measurement_that_began_before_the_window_was_over_proves_nothing() -> None:
    one = ordered_down()
    one.now_s += 6
    late = np.array([one.now_s - 2.0])  # asked 4 s after the order, answered late
    one.memory = observed(one.memory, one.loads, np.array([3500.0]), late, one.now_s)
    assert one.memory.obeys.tolist() == [True]
    assert one.counted().tolist() == [1750]
    one.look(1, 3500)
    assert one.memory.obeys.tolist() == [False]


def test_a_retry_does_not_restart_the_window() -> None:
    one = ordered_down()
    began_s = one.memory.ordered_s[0]
    one.look(6, 3400)
    one.carry_out(replace(one.plan(9e9, may_rise=False), level=one.memory.level))
    assert one.memory.ordered_s[0] == began_s
    assert one.counted().tolist() == [3400]


def test_orders_to_others_leave_a_loads_own_times_alone() -> None:
    two = park(4, 4)
    two.carry_out(replace(two.plan(9e9), level=np.array([0, 4])))
    began_s = two.now_s
    two.look(10)
    two.carry_out(replace(two.plan(9e9), level=np.array([0, 1])))
    assert two.memory.ordered_s.tolist() == [began_s, began_s + 10]
    assert two.memory.off_since_s.tolist() == [began_s, -math.inf]
    two.carry_out(replace(two.plan(9e9), level=np.array([2, 1])))
    assert two.memory.off_since_s.tolist() == [-math.inf, -math.inf]
    assert two.memory.rose.tolist() == [True, False]


# --- obedience ---


@pytest.mark.parametrize(
    ("watts", "obeys"), [(1700.0, True), (1880.0, True), (1881.0, False), (3500.0, False)]
)
def test_obeying_is_drawing_no_more_than_ordered_within_a_tolerance(watts: float, *, obeys: bool) -> None:
    assert tolerated_w(np.array([1750.0]))[0] == pytest.approx(1880.0)
    one = ordered_down()
    one.look(6, watts)
    assert one.memory.obeys.tolist() == [obeys]


def test_who_did_not_obey_is_believed_again_once_seen_below_full_power() -> None:
    one = ordered_down()
    one.look(6, 3400)
    one.look(30, 1750)
    assert one.memory.obeys.tolist() == [True]


def test_running_as_it_likes_proves_nothing() -> None:
    one = ordered_down()
    one.look(6, 3400)
    one.memory = replace(one.memory, level=one.loads.top.copy())
    one.look(30, 3400)
    assert one.memory.obeys.tolist() == [False]


def test_not_being_measured_proves_nothing() -> None:
    one = ordered_down()
    one.look(6, NAN)
    assert one.memory.obeys.tolist() == [True]
    one.look(6, 3400)
    one.look(6, NAN)
    assert one.memory.obeys.tolist() == [False]


def test_a_slow_load_is_given_its_own_time() -> None:
    one = Park(loads_of(STOCK))
    one.carry_out(one.plan(2300))
    one.look(29, 3050)
    assert (one.memory.obeys.tolist(), one.counted().tolist()) == ([True], [2290])
    one.look(2, 3050)
    assert (one.memory.obeys.tolist(), one.counted().tolist()) == ([False], [3050])


# --- learning ---


def test_what_a_unit_really_draws_is_learned_at_once_upwards_and_slowly_downwards() -> None:
    one = park(4)
    one.look(1, 3600)
    first = one.memory.learned_w[0, 4]
    assert 3540 < first < 3600
    for _ in range(10):
        one.look(1, 3600)
    assert one.memory.learned_w[0, 4] == pytest.approx(3600, abs=2)
    one.look(1, 3400)
    assert 3500 < one.memory.learned_w[0, 4] < 3600


def test_a_load_that_rose_may_still_be_warming_up() -> None:
    one = park(1)
    one.carry_out(one.plan(9e9))
    for _ in range(30):
        one.look(1, 3200)
    assert one.memory.learned_w[0, 4] > 3460


def test_a_load_without_work_teaches_nothing() -> None:
    one = park(4)
    for _ in range(100):
        one.look(1, 700)
    assert one.memory.learned_w[0].tolist() == one.loads.watts[0].tolist()


def test_the_deviation_of_one_level_is_expected_of_those_that_were_never_met() -> None:
    one = Park(loads_of(MINER))
    one.memory = replace(one.memory, met=np.zeros((1, 5), dtype=np.bool_))
    for _ in range(30):
        one.look(1, 3605)
    assert one.memory.learned_w[0, 1:].tolist() == pytest.approx(
        (one.loads.watts[0, 1:] * 1.03).tolist(), rel=1e-3
    )
    assert one.memory.learned_w[0, 0] == 30


def test_asleep_a_units_deviation_says_nothing_of_its_work() -> None:
    one = park(0)
    one.memory = replace(one.memory, met=np.zeros((1, 5), dtype=np.bool_))
    for _ in range(30):
        one.look(1, 45)
    assert one.memory.learned_w[0, 1:].tolist() == one.loads.watts[0, 1:].tolist()
    assert one.memory.learned_w[0, 0] == pytest.approx(45, abs=1)


def test_a_reading_finer_than_devices_tell_their_power_teaches_nothing() -> None:
    one = park(4)
    before = one.memory
    one.look(1, 3500.04)
    assert one.memory.learned_w is before.learned_w
    assert one.memory.learned_s is before.learned_s
    assert one.memory.seen_s[0] > before.seen_s[0]
    one.look(1, 3500.06)
    assert one.memory.learned_w[0, 4] == pytest.approx(3500.03)
    assert one.memory.learned_s[0] == one.memory.seen_s[0]


def test_a_level_that_was_met_as_promised_was_met() -> None:
    """Else what is learned of another level would be taken over to it."""
    one = park(4)
    one.memory = replace(one.memory, met=np.zeros((1, 5), dtype=np.bool_))
    one.look(1, 3500)
    assert one.memory.met[0].tolist() == [False, False, False, False, True]


@pytest.mark.parametrize(("share", "teaches"), [(0.9999, False), (0.9998, True), (NAN, False)])
def test_an_output_that_is_nearly_as_known_changes_no_rank(share: float, teaches: bool) -> None:  # noqa: FBT001
    one = park(4)
    output = one.loads.output[:, 4] * (share + 1e-9)
    after = observed(one.memory, one.loads, one.measured_w, np.array([1001.0]), 1001.5, lambda: output)
    assert (after.earning is not one.memory.earning) is teaches
    assert bool(after.learned_s[0] == 1001.0) is teaches


def test_the_same_measurement_twice_is_one_measurement() -> None:
    one = park(4)
    one.look(1, 3600)
    once = one.memory
    again = observed(once, one.loads, one.measured_w, np.array([one.now_s - 0.5]), one.now_s + 0.2)
    assert again is once


# --- who is found how ---


def found(watts: float, setpoint_w: float) -> int:
    loads = loads_of(MINER)
    memory = adopted(LoadMemory.fresh(loads), loads, np.array([watts]), np.array([setpoint_w]))
    return int(memory.level[0])


@pytest.mark.parametrize(
    ("watts", "setpoint_w", "level"),
    [
        (3480, 3500, 4),
        (200, 4_294_967_295, 4),  # warming up without a limit: it may draw all
        (200, 3500, 4),
        (1750, 1750, 1),
        (31, 0, 0),
        (3480, 1750, 1),  # told, and not following: counted as measured by the rule above
        (1800, 2000, 2),
        (1750, NAN, 1),
        (35, NAN, 0),
        (NAN, NAN, UNKNOWN),
        (9000, NAN, 4),
    ],
)
def test_a_load_is_taken_to_be_where_it_is_found(watts: float, setpoint_w: float, level: int) -> None:
    assert found(watts, setpoint_w) == level


@pytest.mark.parametrize(
    ("watts", "setpoint_w", "level"), [(400.0, NAN, 4), (400.0, 1750.0, 1), (NAN, NAN, UNKNOWN)]
)
def test_a_load_that_would_name_its_limit_and_names_none_may_draw_all(
    watts: float, setpoint_w: float, level: int
) -> None:
    loads = loads_of(profile_of(shows_limit=True))
    memory = adopted(LoadMemory.fresh(loads), loads, np.array([watts]), np.array([setpoint_w]))
    assert memory.level.tolist() == [level]


def test_what_we_ordered_is_not_adopted_again() -> None:
    one = ordered_down()
    assert adopted(one.memory, one.loads, np.array([3500.0]), np.array([3500.0])) is one.memory


def test_a_load_with_a_single_point_stays_there() -> None:
    one = Park(loads_of(profile_of(((500.0, 1.0),))))
    assert one.plan(0.0).level.tolist() == [0]
    assert one.counted().tolist() == [500]
