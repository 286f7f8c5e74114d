"""What is sorted and worked out only in part comes out as if all of it were."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.allocation import climb as climb_module
from daemon.allocation.climb import Climb
from daemon.allocation.curves import Curves
from daemon.allocation.loads import Bools, Ints, Loads, Tier
from daemon.allocation.steps import Steps, affordable
from daemon.table.table import Floats
from tests.world.paper_loads import MINER, RACK, STOCK, loads_of

KINDS = (MINER, STOCK, RACK)


@pytest.fixture(autouse=True, scope="module")
def _sorts_few_at_once() -> Iterator[None]:
    """As of many thousand loads, with some hundred."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(climb_module, "_FEW", 16)
        # Too few at first, nearly always: more have to be taken.
        patch.setattr(climb_module, "_AMPLE", 0.1)
        yield


def fleet(rng: np.random.Generator, count: int) -> Loads:
    kinds, tiers = rng.integers(0, len(KINDS), count), rng.choice(list(Tier), count)
    return loads_of(*(KINDS[kind] for kind in kinds), tiers=[Tier(tier) for tier in tiers])


def learned(rng: np.random.Generator, loads: Loads, coarse: bool) -> Floats:  # noqa: FBT001
    """Ascending; `coarse`: with many equal merits."""
    factor = rng.choice([0.9, 1.0, 1.1] if coarse else rng.normal(1.0, 0.05, 50), loads.watts.shape)
    return np.maximum.accumulate(loads.watts * factor, axis=1)


def walked(curves: Curves, level: Ints, counted: Floats, may: Bools) -> Steps:
    """All steps up, load by load."""
    found = []
    for load in np.flatnonzero(may).tolist():
        at = level[load]
        below_w, below = max(curves.watts[at, load], counted[load]), curves.value[at, load]
        for to in range(at + 1, curves.levels):
            if not curves.corners[to, load]:
                continue
            watts = max(curves.watts[to, load] - below_w, 0.0)
            value = curves.value[to, load] - below
            merit = np.float32(value / watts) if watts > 0 else np.float32(np.inf)
            found.append((-curves.tier[load], -merit, to, load, watts))
            below_w, below = max(curves.watts[to, load], below_w), curves.value[to, load]
    found.sort()
    rows = np.array([step[2:] for step in found], dtype=np.float64).reshape(-1, 3)
    to_level, of_load = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
    return Steps(of_load, to_level, rows[:, 2], np.zeros(len(rows), dtype=np.int64))


def same(some: Steps, others: Steps) -> None:
    for name in ("load", "to", "watts"):
        assert np.array_equal(getattr(some, name), getattr(others, name)), name


@given(
    seed=st.integers(0, 1 << 32),
    count=st.sampled_from([1, 7, 200]),
    share=st.floats(0.0, 1.1),
    coarse=st.booleans(),
)
def test_the_way_up_is_that_of_a_walk_step_by_step(
    seed: int,
    count: int,
    share: float,
    coarse: bool,  # noqa: FBT001
) -> None:
    rng = np.random.default_rng(seed)
    loads = fleet(rng, count)
    curves = Curves.of(loads, learned(rng, loads, coarse), rng.choice([0.0, 0.9, 1.0], count))
    level = np.minimum(rng.integers(0, curves.levels, count), loads.top)
    draws_more = np.where(rng.random(count) < 0.1, rng.uniform(0.0, 900.0, count), 0.0)
    counted, may = curves.watts_at(level) + draws_more, rng.random(count) < 0.8
    climb, every = Climb.of(curves, level, counted, may), walked(curves, level, counted, may)
    same(climb.steps(), every)
    room_w = share * float(every.watts.sum())
    same(climb.fitting(room_w), every.at(np.flatnonzero(every.spent() <= room_w)))
    same(climb.affordable(room_w), every.at(affordable(every, np.array([room_w]))))


@given(seed=st.integers(0, 1 << 32), changes=st.lists(st.floats(0.0, 1.0), max_size=6))
def test_curves_of_which_a_part_was_learned_anew_are_as_if_all_were(seed: int, changes: list[float]) -> None:
    rng = np.random.default_rng(seed)
    loads = fleet(rng, 40)
    watts, earning, seen_s = learned(rng, loads, False), rng.random(40), np.zeros(40)  # noqa: FBT003
    curves = Curves.of(loads, watts, earning, seen_s)
    for now_s, share in enumerate(changes, start=1):
        if rng.random() < 0.7:
            assert curves.ladder is not None
        seen, earns = rng.random(40) < share, rng.random(40) < share / 2
        watts = np.where(seen[:, None], learned(rng, loads, False), watts)  # noqa: FBT003
        earning = np.where(earns, rng.random(40), earning)
        seen_s = np.where(seen | earns, float(now_s), seen_s)
        curves = curves.later(loads, watts, earning, seen_s)
        anew = Curves.of(loads, watts, earning)
        for now, then in ((curves.watts, anew.watts), (curves.value, anew.value)):
            assert np.array_equal(now, then)
        assert np.array_equal(curves.corners, anew.corners)
        there = anew.corners & (np.arange(anew.levels) > 0)[:, None]
        assert np.array_equal(curves.ladder.watts[there], anew.ladder.watts[there])
        assert np.array_equal(curves.ladder.words[there], anew.ladder.words[there])


def test_nothing_learned_is_nothing_to_work_out() -> None:
    loads = loads_of(MINER, STOCK)
    watts, earning, seen_s = loads.watts.copy(), np.ones(2), np.zeros(2)
    curves = Curves.of(loads, watts, earning, seen_s)
    assert curves.later(loads, watts, earning, seen_s + 1.0) is curves


@pytest.mark.parametrize("room_w", [-1.0, 0.0, 1e18])
def test_no_room_and_room_without_end(room_w: float) -> None:
    loads = loads_of(*[MINER, RACK] * 4_000)
    curves = Curves.of(loads, loads.watts, np.ones(8_000))
    low = np.zeros(8_000, dtype=np.int64)
    climb = Climb.of(curves, low, curves.watts_at(low), np.ones(8_000, dtype=np.bool_))
    assert len(climb.affordable(room_w)) == (0 if room_w <= 0 else len(climb.steps()))
