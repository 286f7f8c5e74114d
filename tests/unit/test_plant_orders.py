"""Orders on their way into the loads of a simulated plant: when each takes effect, and in which order."""

import numpy as np
import pytest

from drivers.profiles import load_profile
from sim_devices.physics.behaviour import DEAD_DOWN, STRAGGLER_FACTOR, Behaviour
from sim_devices.physics.orders import Effects, Orders
from sim_devices.physics.ratings import Column, Ratings

NAN = float("nan")
FAST = Behaviour.of(load_profile("sim-miner"), warm_up_s=30, output_warm_up_s=300)
MANY = 4_000


def under_way(count: int = 1, *, first_seed: int = 0, restarts: bool = False) -> Orders:
    profile = load_profile("sim-miner-m50s-restarting" if restarts else "sim-miner")
    behaviour = Behaviour.of(profile, warm_up_s=30, output_warm_up_s=300)
    return Orders(Ratings([behaviour] * count), range(first_seed, first_seed + count))


def told(orders: Orders, watts: float, now_s: float = 0.0, before_w: float = NAN) -> None:
    rows = np.arange(len(orders.waiting))
    orders.take(rows, np.full(len(rows), watts), np.full(len(rows), before_w), now_s)


def all_of(orders: Orders, by_s: float = 1e9) -> list[Effects]:
    return list(orders.due(by_s))


def late_s(orders: Orders) -> Column:
    """How long each took of the latency that its profile states."""
    (effects,) = all_of(orders)
    return np.asarray(effects.due_s[np.argsort(effects.row)] / FAST.latency_down_s)


def test_orders_of_one_load_take_effect_one_after_the_other() -> None:
    orders = under_way(2)
    for watts in (1750.0, 2450.0, 0.0):
        told(orders, watts)
    assert orders.waiting.tolist() == [3, 3]
    turns = all_of(orders)
    assert [turn.watts.tolist() for turn in turns] == [[1750.0] * 2, [2450.0] * 2, [0.0] * 2]
    assert [sorted(turn.row.tolist()) for turn in turns] == [[0, 1]] * 3
    assert orders.waiting.tolist() == [0, 0]
    assert all_of(orders) == []


def test_what_comes_first_takes_effect_first_whoever_was_told_first() -> None:
    orders = under_way(MANY)
    told(orders, 1750.0)
    (effects,) = all_of(orders)
    assert (np.diff(effects.due_s) >= 0).all()
    assert (np.diff(effects.row) < 0).any()


def test_one_that_restarts_goes_down_before_it_comes_up_to_its_order() -> None:
    orders = under_way(restarts=True)
    told(orders, 2000.0)
    down, up = all_of(orders)
    assert (down.watts.tolist(), up.watts.tolist()) == ([0.0], [2000.0])
    assert down.due_s[0] < up.due_s[0]


def test_nothing_takes_effect_before_its_time() -> None:
    orders = under_way()
    told(orders, 1750.0, now_s=100.0)
    assert all_of(orders, 100.0) == []
    (effects,) = all_of(orders)
    assert 100.0 + DEAD_DOWN[0] * FAST.latency_down_s <= effects.due_s[0]


def test_what_is_forgotten_takes_no_effect_and_the_others_orders_do() -> None:
    orders = under_way(3)
    told(orders, 1750.0)
    orders.forget(1)
    (effects,) = all_of(orders)
    assert sorted(effects.row.tolist()) == [0, 2]
    assert orders.waiting.tolist() == [0, 0, 0]


def test_latencies_are_spread_evenly_and_one_in_twenty_is_a_straggler() -> None:
    orders = under_way(MANY)
    told(orders, 1750.0)
    late = late_s(orders)
    low, high = DEAD_DOWN
    stragglers = late > high
    assert np.mean(stragglers) == pytest.approx(0.05, abs=0.012)
    assert late[stragglers].min() >= low * STRAGGLER_FACTOR
    places = (late[~stragglers] - low) / (high - low)
    assert np.histogram(places, 10, (0.0, 1.0))[0] / len(places) == pytest.approx(0.1, abs=0.02)


def test_equal_seeds_draw_equally_and_everything_else_otherwise() -> None:
    def drawn(first_seed: int = 0, times: int = 1) -> list[float]:
        orders = under_way(8, first_seed=first_seed)
        for _ in range(times - 1):
            told(orders, 2450.0)
            all_of(orders)
        told(orders, 1750.0)
        return [float(late) for late in late_s(orders)]

    assert drawn() == drawn()
    assert drawn(1)[:7] == drawn()[1:]
    assert len({*drawn(), *drawn(100), *drawn(times=2), *drawn(times=3)}) == 32
