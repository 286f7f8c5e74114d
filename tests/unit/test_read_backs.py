"""Which read-backs say that a load holds its order: kept up order by order, as if looked at anew."""

import numpy as np

from daemon.dispatch.read_back import ReadBacks
from daemon.table.rows import neighbours
from tests.world.paper_loads import MINER, RACK, loads_of

LOADS = loads_of(MINER, RACK, MINER, MINER)
SLEEPS = np.array([True, True, False, True])


def test_a_device_may_round_its_set_point() -> None:
    wanted_w = np.where(SLEEPS, 0.0, LOADS.watts[:, 0])
    asleep = np.zeros(4, dtype=np.int64)
    for off_w, differs in ((29.0, False), (31.0, True), (-29.0, False), (-31.0, True)):
        assert ReadBacks(LOADS, SLEEPS).differ(asleep, wanted_w + off_w).tolist() == [differs] * 4


def test_at_its_highest_level_a_load_may_hold_no_limit_and_no_lower_one() -> None:
    top_w = LOADS.watts[LOADS.index, LOADS.top]
    read_backs = ReadBacks(LOADS, SLEEPS)
    assert not read_backs.differ(LOADS.top, top_w + 5_000.0).any()
    assert read_backs.differ(LOADS.top, top_w - 31.0).all()
    assert read_backs.differ(LOADS.top - 1, top_w + 5_000.0).all()


def test_what_shows_nothing_does_not_differ() -> None:
    shown_w = np.array([np.nan, np.inf, -np.inf, np.nan])
    assert not ReadBacks(LOADS, SLEEPS).differ(np.zeros(4, dtype=np.int64), shown_w).any()


def test_bounds_that_follow_the_orders_are_those_of_the_last_order() -> None:
    rng, kept = np.random.default_rng(1), ReadBacks(LOADS, SLEEPS)
    for _ in range(200):
        level = np.minimum(rng.integers(-1, 5, 4), LOADS.top)
        shown_w = LOADS.watts[LOADS.index, np.maximum(level, 0)] + rng.choice([-40.0, 0.0, 40.0], 4)
        assert (
            kept.differ(level, shown_w).tolist() == ReadBacks(LOADS, SLEEPS).differ(level, shown_w).tolist()
        )


def test_only_rows_side_by_side_are_taken_as_one_piece() -> None:
    column = np.arange(10)
    for rows in ([3, 4, 5], [3, 5, 4], [3, 4, 6], [7], []):
        those = np.array(rows, dtype=np.int64)
        assert column[neighbours(those)].tolist() == rows
    assert isinstance(neighbours(np.array([3, 4, 5])), slice)
