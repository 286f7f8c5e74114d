"""Operating points worth running at, and steps between them in merit order."""

from dataclasses import replace

import numpy as np
import pytest

from daemon.allocation.loads import Economics, Loads, LoadSpec, Tier, efficient
from daemon.allocation.steps import Steps, affordable, down_steps, enough, fitting, up_steps
from drivers.profile import OperatingPoint, OutputKind
from tests.world.paper_loads import MINER, RACK, STOCK, loads_of, profile_of

YES = np.array([True])


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
    assert (np.diff(loads.worth, axis=1) <= 0).all()


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
    watts = loads.watts
    steps = down_steps(loads, loads.top, watts, watts[:, -1], np.ones(3, dtype=np.bool_), partial_first=False)
    assert steps.load.tolist()[-3:] == [0, 0, 0]
    assert steps.watts.sum() == pytest.approx(watts[:, -1].sum() - watts[:, 0].sum())


def test_the_way_up_is_the_way_down_backwards() -> None:
    loads = loads_of(RACK, MINER, STOCK)
    may = np.ones(3, dtype=np.bool_)
    down = down_steps(loads, loads.top, loads.watts, loads.watts[:, -1], may, partial_first=False)
    up = up_steps(loads, np.zeros(3, dtype=np.int64), loads.watts, loads.watts[:, 0], may)
    assert up.load.tolist() == down.load.tolist()[::-1]
    assert up.watts.tolist() == down.watts.tolist()[::-1]


def test_tiers_come_before_value() -> None:
    loads = loads_of(RACK, MINER, MINER, tiers=[Tier.FIRST_TO_GO, Tier.CRITICAL, Tier.NORMAL])
    may = np.ones(3, dtype=np.bool_)
    down = down_steps(loads, loads.top, loads.watts, loads.watts[:, -1], may, partial_first=False)
    assert down.load.tolist() == [0] * 3 + [2] * 4 + [1] * 4
    up = up_steps(loads, np.zeros(3, dtype=np.int64), loads.watts, loads.watts[:, 0], may)
    assert up.load.tolist() == [1] * 4 + [2] * 4 + [0] * 3


def test_for_bridging_every_partial_step_comes_before_any_sleep() -> None:
    loads = loads_of(MINER, STOCK)
    may = np.ones(2, dtype=np.bool_)
    steps = down_steps(loads, loads.top, loads.watts, loads.watts[:, -1], may, partial_first=True)
    assert sorted(steps.load.tolist()[:-2]) == [0, 0, 0, 1]
    assert sorted(steps.load.tolist()[-2:]) == [0, 1]


def test_a_load_gives_back_what_it_counts_at_not_what_its_level_is_worth() -> None:
    loads = loads_of(MINER)
    steps = down_steps(loads, loads.top, loads.watts, np.array([3700.0]), YES, partial_first=False)
    assert steps.watts.tolist() == [550, 700, 700, 1720]


def test_a_load_that_draws_more_than_ordered_takes_less_room_to_rise() -> None:
    loads = loads_of(MINER)
    steps = up_steps(loads, np.array([1]), loads.watts, np.array([2000.0]), YES)
    assert steps.watts.tolist() == [450, 700, 350]


def test_what_was_learned_of_single_levels_never_changes_the_order_within_a_load() -> None:
    points_of_a_miner = (
        (30.0, 0.0),
        (1750.0, 0.575),
        (2450.0, 0.76),
        (2800.0, 0.845),
        (3150.0, 0.925),
        (3500.0, 1.0),
    )
    loads = loads_of(*[profile_of(points_of_a_miner)] * 2)
    learned = np.array([[30, 1750, 2450, 2884, 3180, 3500.0]] * 2)
    may = np.ones(2, dtype=np.bool_)
    up = up_steps(loads, np.array([2, 2]), learned, learned[:, 2], may)
    assert up.watts.tolist() == [434, 434, 296, 296, 320, 320]
    down = down_steps(loads, loads.top, learned, learned[:, -1], may, partial_first=False)
    assert down.watts.tolist()[:6] == [320, 320, 296, 296, 434, 434]


def test_a_unit_that_draws_more_for_the_same_output_goes_first() -> None:
    loads = loads_of(MINER, MINER)
    learned = np.array([loads.watts[0], loads.watts[1] * 1.04])
    down = down_steps(loads, loads.top, learned, learned[:, -1], np.array([True, True]), partial_first=False)
    assert down.load.tolist()[0] == 1


def test_only_the_loads_that_may_take_steps() -> None:
    loads = loads_of(MINER, MINER)
    down = down_steps(
        loads, loads.top, loads.watts, loads.watts[:, -1], np.array([False, True]), partial_first=False
    )
    assert set(down.load.tolist()) == {1}


STEPS = Steps(np.array([0, 1, 2]), np.array([100.0, 200.0, 300.0]))


@pytest.mark.parametrize(
    ("excess_w", "count"), [(-5, 0), (0, 0), (0.1, 1), (100, 1), (100.1, 2), (300, 2), (600, 3), (9999, 3)]
)
def test_enough_is_as_few_as_possible(excess_w: float, count: int) -> None:
    assert enough(STEPS, excess_w) == count


@pytest.mark.parametrize(
    ("room_w", "count"), [(-5, 0), (0, 0), (99, 0), (100, 1), (299, 1), (300, 2), (9999, 3)]
)
def test_fitting_is_as_many_as_fit(room_w: float, count: int) -> None:
    assert fitting(STEPS, room_w) == count


def test_what_is_too_big_is_passed_over_with_everything_that_builds_on_it() -> None:
    steps = Steps(np.array([0, 1, 2, 1, 0]), np.array([100.0, 500.0, 150.0, 10.0, 40.0]))
    kept = steps.at(affordable(steps, 300.0))
    assert kept.load.tolist() == [0, 2, 0]
    assert kept.watts.tolist() == [100, 150, 40]
    assert affordable(steps, 9999.0).tolist() == [0, 1, 2, 3, 4]
    assert affordable(steps, 0.0).tolist() == []
    nothing = Steps(np.array([], dtype=np.int64), np.array([]))
    assert affordable(nothing, 300.0).tolist() == []


def test_hashes_and_gpus_are_the_only_outputs_that_are_priced() -> None:
    assert set(OutputKind) == {OutputKind.HASH, OutputKind.GPU}
