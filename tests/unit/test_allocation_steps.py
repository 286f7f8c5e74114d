"""Operating points worth running at, and steps between them in merit order."""

from dataclasses import replace

import numpy as np
import pytest

from daemon.allocation.climb import Climb
from daemon.allocation.curves import Curves
from daemon.allocation.loads import Bools, Economics, Loads, LoadSpec, Tier, efficient
from daemon.allocation.merit import in_order
from daemon.allocation.steps import Steps, affordable, bridging_steps, down_steps, enough
from daemon.table.table import Floats
from drivers.profile import OperatingPoint, OutputKind
from tests.world.paper_loads import MINER, RACK, STOCK, loads_of, profile_of

YES = np.array([True])


def curves_of(loads: Loads, learned_w: Floats | None = None, *earning: float) -> Curves:
    """As by the profiles unless told otherwise."""
    learned_w = loads.watts if learned_w is None else learned_w
    return Curves.of(loads, learned_w, np.array(earning or [1.0] * len(loads)))


def every(loads: Loads) -> Bools:
    return np.ones(len(loads), dtype=np.bool_)


def all_down(loads: Loads, learned_w: Floats | None = None, *earning: float) -> Steps:
    """All steps from full power."""
    curves = curves_of(loads, learned_w, *earning)
    return down_steps(curves, loads.top, curves.watts_at(loads.top), every(loads))


def all_up(loads: Loads) -> Steps:
    """All steps from the lowest level."""
    curves = curves_of(loads)
    return Climb.of(curves, np.zeros(len(loads), dtype=np.int64), curves.watts[0], every(loads)).steps()


def points(*pairs: tuple[float, float]) -> list[OperatingPoint]:
    return [OperatingPoint(str(watts), watts, value) for watts, value in pairs]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([(30, 0.0), (1750, 0.575), (3500, 1.0)], [30, 1750, 3500]),
        ([(30, 0.0), (1750, 0.3), (3500, 1.0)], [30, 3500]),  # worth less per watt than full power
        ([(30, 0.0), (1000, 0.4), (2000, 0.4), (3500, 1.0)], [30, 1000, 3500]),  # more watts for nothing
        ([(3500, 1.0), (30, 0.0), (1750, 0.575)], [30, 1750, 3500]),
        ([(30, 0.0), (1000, 0.1), (1000, 0.5), (3500, 1.0)], [30, 1000, 3500]),
        ([(0, 0.0), (1000, 0.25), (2000, 0.5), (4000, 1.0)], [0, 4000]),  # in a line: one step
        ([(500, 1.0)], [500]),
    ],
)
def test_only_points_on_the_upper_hull_are_used(given: list[tuple[float, float]], kept: list[float]) -> None:
    assert [point.watts for point in efficient(points(*given))] == kept


def test_loads_with_different_numbers_of_points_stand_in_one_table() -> None:
    loads = loads_of(MINER, STOCK)
    assert loads.top.tolist() == [4, 2]
    assert loads.watts[1].tolist() == [60, 2290, 3050, 3050, 3050]
    assert curves_of(loads).corners[:, 1].tolist() == [True, True, True, False, False]


def test_a_load_that_cannot_be_told_anything_is_refused() -> None:
    for broken in (replace(MINER, setpoint=None), replace(MINER, operating_points=())):
        with pytest.raises(ValueError, match="cannot be controlled"):
            Loads.build([LoadSpec(0, broken)], Economics())


def test_value_counts_hashes_and_gpus_by_their_price() -> None:
    economics = Economics(per_ths=0.002, per_gpu=2.0)
    assert economics.full_value(MINER) == pytest.approx(0.4)
    assert economics.full_value(RACK) == pytest.approx(32.0)
    assert economics.full_value(profile_of(output=None)) == 0.0


def test_the_way_down_begins_with_what_is_worth_least_and_ends_with_what_is_worth_most() -> None:
    loads = loads_of(RACK, MINER, STOCK)
    steps = all_down(loads)
    assert steps.load.tolist()[-3:] == [0, 0, 0]
    assert steps.watts.sum() == pytest.approx(loads.watts[:, -1].sum() - loads.watts[:, 0].sum())


def test_the_way_up_is_the_way_down_backwards() -> None:
    loads = loads_of(RACK, MINER, MINER, STOCK)
    down, up = all_down(loads), all_up(loads)
    assert up.load.tolist() == down.load.tolist()[::-1]
    assert up.watts.tolist() == down.watts.tolist()[::-1]


def test_tiers_come_before_value() -> None:
    loads = loads_of(RACK, MINER, MINER, tiers=[Tier.FIRST_TO_GO, Tier.CRITICAL, Tier.NORMAL])
    assert all_down(loads).load.tolist() == [0] * 3 + [2] * 4 + [1] * 4
    assert all_up(loads).load.tolist() == [1] * 4 + [2] * 4 + [0] * 3


def test_for_bridging_each_load_goes_to_its_lowest_partial_level_before_any_goes_to_sleep() -> None:
    loads = loads_of(MINER, STOCK)
    steps = bridging_steps(curves_of(loads), loads.top, loads.watts[:, -1], every(loads))
    assert steps.to.tolist() == [1, 1, 0, 0]
    assert sorted(steps.watts.tolist()) == [760, 1720, 1750, 2230]


def test_a_load_gives_back_what_it_counts_at_not_what_its_level_is_worth() -> None:
    loads = loads_of(MINER)
    steps = down_steps(curves_of(loads), loads.top, np.array([3700.0]), YES)
    assert steps.watts.tolist() == [550, 700, 700, 1720]


def test_a_load_that_draws_more_than_ordered_takes_less_room_to_rise() -> None:
    loads = loads_of(MINER)
    steps = Climb.of(curves_of(loads), np.array([1]), np.array([2000.0]), YES).steps()
    assert steps.watts.tolist() == [450, 700, 350]


def test_a_load_that_goes_to_its_level_at_once_takes_one_step() -> None:
    loads = loads_of(MINER, MINER)
    low, to = np.array([1, 0]), np.array([3, 3])
    counted, at_once = loads.watts[[0, 1], low], np.array([True, False])
    climb = Climb.towards(curves_of(loads), low, counted, to, np.arange(2), at_once)
    steps = climb.steps()
    by_load = {load: steps.to[steps.load == load].tolist() for load in (0, 1)}
    assert by_load == {0: [3], 1: [1, 2, 3]}
    assert steps.after(low).tolist() == [3, 3]


def test_at_once_too_it_takes_less_room_if_it_draws_more_than_ordered() -> None:
    loads = loads_of(MINER)
    now, to = np.array([1]), np.array([3])
    climb = Climb.towards(curves_of(loads), now, np.array([2000.0]), to, np.arange(1), YES)
    assert climb.steps().watts.tolist() == [1150]


LEARNED = (30.0, 1750.0, 2450.0, 2884.0, 3180.0, 3500.0)
POINTS = (30.0, 0.0), (1750.0, 0.575), (2450.0, 0.76), (2800.0, 0.845), (3150.0, 0.925), (3500.0, 1.0)


def test_a_level_that_was_learned_not_to_be_worth_it_is_stepped_over() -> None:
    loads = loads_of(*[profile_of(POINTS)] * 2)
    learned = np.array([LEARNED, loads.watts[1]])
    curves = curves_of(loads, learned)
    assert curves.corners.T.tolist() == [[True, True, True, False, False, True], [True] * 6]
    up = Climb.of(curves, np.array([2, 5]), learned[[0, 1], [2, 5]], every(loads)).steps()
    assert (up.to.tolist(), up.watts.tolist()) == ([5], [1050])
    assert all_down(loads, learned).to[all_down(loads, learned).load == 0].tolist() == [2, 1, 0]


def test_from_a_level_that_is_not_worth_it_steps_lead_to_those_that_are() -> None:
    loads = loads_of(profile_of(POINTS))
    learned = np.array([LEARNED])
    curves, at = curves_of(loads, learned), np.array([3])
    assert down_steps(curves, at, learned[0, at], YES).to.tolist() == [2, 1, 0]
    assert Climb.of(curves, at, learned[0, at], YES).steps().to.tolist() == [5]


def test_a_unit_that_draws_more_for_the_same_output_goes_first() -> None:
    loads = loads_of(MINER, MINER)
    learned = np.array([loads.watts[0] * 1.04, loads.watts[1]])
    assert all_down(loads, learned).load.tolist()[0] == 0
    learned = np.array([loads.watts[0], loads.watts[1] * 1.04])
    assert all_down(loads, learned).load.tolist()[0] == 1


def test_a_unit_that_produces_nothing_goes_first_and_at_once() -> None:
    loads = loads_of(MINER, MINER, STOCK)
    steps = all_down(loads, None, 1.0, 0.0, 1.0)
    assert (steps.load[0], steps.to[0]) == (1, 0)
    assert set(steps.load[1:].tolist()) == {0, 2}


def test_only_the_loads_that_may_take_steps() -> None:
    loads = loads_of(MINER, MINER)
    steps = down_steps(curves_of(loads), loads.top, loads.watts[:, -1], np.array([False, True]))
    assert set(steps.load.tolist()) == {1}


def test_steps_of_one_circuit_stand_together_in_their_order() -> None:
    loads = loads_of(MINER, STOCK, MINER, STOCK)
    group = np.array([1, 1, 0, 0])
    steps = down_steps(curves_of(loads), loads.top, loads.watts[:, -1], every(loads), group=group)
    assert steps.group.tolist() == [0] * 6 + [1] * 6
    assert set(steps.load[:6].tolist()) == {2, 3}
    assert steps.spent()[[5, 11]].tolist() == [6460, 6460]
    assert enough(steps, np.array([0.0, 800.0])).group.tolist() == [1, 1]


def test_an_order_is_by_rank_then_merit_then_position() -> None:
    rank, merit = np.array([1, 0, 0, 0, 1, 0]), np.array([-5.0, 2.0, -np.inf, 2.0, -7.0, np.inf])
    assert in_order(rank, merit).tolist() == [2, 1, 3, 5, 4, 0]
    many = np.full(3, 1 << 40)  # more ranks than fit into a word beside merit and position
    assert in_order(many, np.array([3.0, -1.0, 3.0])).tolist() == [1, 0, 2]


def steps_of(watts: list[float], *loads: int) -> Steps:
    load = np.array(loads or range(len(watts)), dtype=np.int64)
    return Steps(
        load, np.ones(len(watts), dtype=np.int64), np.array(watts), np.zeros(len(watts), dtype=np.int64)
    )


STEPS = steps_of([100.0, 200.0, 300.0])


@pytest.mark.parametrize(
    ("excess_w", "count"), [(-5, 0), (0, 0), (0.1, 1), (100, 1), (100.1, 2), (300, 2), (600, 3), (9999, 3)]
)
def test_enough_is_as_few_as_possible(excess_w: float, count: int) -> None:
    assert len(enough(STEPS, np.array([excess_w]))) == count


@pytest.mark.parametrize(
    ("room_w", "count"), [(-5, 0), (0, 0), (99, 0), (100, 1), (299, 1), (300, 2), (9999, 3)]
)
def test_fitting_is_as_many_as_fit(room_w: float, count: int) -> None:
    climb = Climb(np.array([3, 4, 5]), np.array([0.0, 0.0, 0.0, 100.0, 200.0, 300.0]), 3)
    assert len(climb.fitting(room_w)) == count


def test_what_is_too_big_is_passed_over_with_everything_that_builds_on_it() -> None:
    steps = steps_of([100.0, 500.0, 150.0, 10.0, 40.0], 0, 1, 2, 1, 0)
    kept = steps.at(affordable(steps, np.array([300.0])))
    assert kept.load.tolist() == [0, 2, 0]
    assert kept.watts.tolist() == [100, 150, 40]
    assert affordable(steps, np.array([9999.0])).tolist() == [0, 1, 2, 3, 4]
    assert affordable(steps, np.array([0.0])).tolist() == []
    assert affordable(steps_of([]), np.array([300.0])).tolist() == []


def test_each_circuit_passes_over_what_is_too_big_for_itself() -> None:
    steps = replace(steps_of([100.0, 500.0, 150.0, 500.0, 40.0]), group=np.array([0, 0, 0, 1, 1]))
    assert affordable(steps, np.array([300.0, 510.0])).tolist() == [0, 2, 3]


def test_hashes_and_gpus_are_the_only_outputs_that_are_priced() -> None:
    assert set(OutputKind) == {OutputKind.HASH, OutputKind.GPU}
