"""What bounds a rise besides the site's limit: the ramp and the circuits."""

from dataclasses import replace

import numpy as np
import pytest

from daemon.allocation.ramp import ramp_ceiling_w
from tests.world.paper_loads import MINER, RACK, Park, loads_of

# --- the ramp ---


def test_the_ramp_rises_by_its_rate_and_never_far_ahead_of_the_load() -> None:
    ceiling_w = 0.0
    for _ in range(600):
        ceiling_w = ramp_ceiling_w(ceiling_w, 1e6, 100_000.0, 1_000.0, 1.0, 0.0)
    assert 100_000 < ceiling_w <= 106_000
    followed_w, ceiling_w = 100_000.0, 0.0
    for _ in range(60):
        ceiling_w = ramp_ceiling_w(ceiling_w, 1e6, followed_w, 1_000.0, 1.0, 0.0)
        followed_w = ceiling_w
    assert followed_w == pytest.approx(160_000)


def test_the_ramp_saves_up_for_the_largest_step() -> None:
    ceiling_w = 0.0
    for _ in range(120):
        ceiling_w = ramp_ceiling_w(ceiling_w, 1e6, 5_000.0, 100.0, 1.0, 7_850.0)
    assert ceiling_w >= 5_000 + 7_850


def test_the_ramp_never_passes_the_limit() -> None:
    assert ramp_ceiling_w(9_000.0, 5_000.0, 4_900.0, 1_000.0, 1.0, 0.0) == 5_000


# --- circuits ---


def test_a_circuits_limit_binds_its_own_loads() -> None:
    park = Park(loads_of(MINER, MINER, MINER, circuits=[0, 0, -1]), (5_000.0,), (-1,))
    plan = park.plan(99_000)
    assert plan.counted_w[:2].sum() <= 5_000
    assert plan.level[2] == 4


def test_a_parents_limit_binds_the_whole_subtree() -> None:
    park = Park(loads_of(*[MINER] * 4, circuits=[1, 1, 2, 0]), (7_000.0, 6_000.0, 99_000.0), (-1, 0, 0))
    plan = park.plan(99_000)
    assert plan.counted_w[:2].sum() <= 6_000
    assert plan.loads_w <= 7_000


def test_a_full_circuit_does_not_take_the_room_of_others() -> None:
    """The racks are worth more and come first, but their circuit has no room."""
    loads = loads_of(*[RACK] * 4, *[MINER] * 4, circuits=[0, 0, 0, 0, 1, 1, 1, 1])
    park = Park(loads, (4 * 4_700.0, 99_000.0), (-1, -1)).at(0, 0, 0, 0, 0, 0, 0, 0)
    assert park.plan(27_000).level.tolist() == [0, 0, 0, 0, 2, 2, 1, 1]
    nested = Park(loads, (4 * 4_700.0, 99_000.0, 27_000.0), (2, 2, -1)).at(0, 0, 0, 0, 0, 0, 0, 0)
    assert nested.plan(99_000).level.tolist() == [0, 0, 0, 0, 2, 2, 1, 1]


def test_a_rise_stops_at_the_circuit() -> None:
    park = Park(loads_of(*[MINER] * 4, circuits=[1, 1, 2, 0]), (9_000.0, 4_000.0, 99_000.0), (-1, 0, 0))
    plan = park.at(0, 0, 0, 0).plan(99_000)
    assert 0 < plan.counted_w[:2].sum() <= 4_000
    assert 8_000 < plan.loads_w <= 9_000


def test_a_rise_in_a_circuit_counts_who_disobeys_at_what_it_draws() -> None:
    park = Park(loads_of(MINER, MINER, circuits=[0, 0]), (7_000.0,), (-1,)).at(3, 1)
    park.memory = replace(park.memory, obeys=np.array([False, True]))
    park.measured_w = np.array([3_900.0, 1_750.0])
    plan = park.plan(99_000)
    assert plan.level.tolist() == [4, 2]
    assert plan.counted_w.tolist() == [3_900, 2_450]
