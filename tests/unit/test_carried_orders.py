"""What was ordered of loads that stay is still in force, whoever comes and goes beside them."""

import math
from dataclasses import replace

import numpy as np

from daemon.allocation.memory import LoadMemory, ordered
from daemon.dispatch import Dispatcher, Endurance
from daemon.dispatch.outlets import Outlets, Sockets
from daemon.table import WriteOutcome
from daemon.table.carrying import BEGINS
from drivers.ports import WriteResult
from tests.unit.test_dispatch import PaperFleet
from tests.world.paper_loads import MINER, STOCK, loads_of

TWO, THREE = loads_of(MINER, MINER), loads_of(MINER, STOCK, MINER)
ORIGIN = np.array([1, BEGINS, 0])
"""Of three loads, from two."""


def endurance(*writes_per_day: float) -> Endurance:
    return Endurance(np.array(writes_per_day), np.full(len(writes_per_day), 90.0))


def test_orders_that_did_not_arrive_are_sent_again_when_it_was_their_time() -> None:
    fleet = PaperFleet()
    before = Dispatcher(TWO, np.ones(2, dtype=np.bool_), fleet, endurance(math.inf, 40.0))
    memory = LoadMemory.fresh(TWO)
    before.order(memory.level, np.array([0, 0]), 100.0)
    memory = ordered(memory, np.array([0, 0]), np.full(2, 3_000.0), np.full(2, 3_000.0), 100.0)
    before.take([WriteOutcome(1, 0.0, WriteResult.TIMED_OUT, 100.0)])
    before.feed_timers(memory, np.zeros(2), np.zeros(2, dtype=np.bool_), 100.0)
    for _ in range(3):
        before.restart(1, memory, 100.0)
    before.take([WriteOutcome(1, 0.0, WriteResult.TIMED_OUT, 100.0)])
    fleet.orders.clear()
    fleet.armed.clear()

    after = Dispatcher(THREE, np.ones(3, dtype=np.bool_), fleet, endurance(40.0, 40.0, math.inf))
    after.take_over(before, ORIGIN)
    memory = memory.carried(ORIGIN, THREE)
    nobody = np.zeros(3, dtype=np.bool_)

    assert (after.last_sent_s, after.writes) == (before.last_sent_s, before.writes)
    # What did not arrive is sent again 3 s after it was sent, under the row that it has now.
    assert after.remind(memory, np.full(3, math.nan), nobody, 102.0) == 0
    assert after.remind(memory, np.full(3, math.nan), nobody, 103.5) == 1
    assert fleet.orders == [(0, 0.0)]
    # Its writes are used up; the new one has all of its own.
    spared = after.sparing(104.0)
    assert spared is not None
    assert spared.tolist() == [True, False, False]
    # Timers run on: the new one is fed at once, whose feed was lost soon, the other when it is its turn.
    memory = replace(memory, level=np.array([0, 0, 0]))
    for at_s, rows in ((104.0, [0, 1]), (113.0, []), (114.0, [0]), (129.0, [0, 1]), (131.0, [2])):
        fleet.armed.clear()
        after.feed_timers(memory, np.zeros(3), nobody, at_s)
        assert ([row for row, _ in fleet.armed], at_s) == (rows, at_s)


def test_outlets_that_are_off_stay_off_where_the_load_has_one() -> None:
    fleet = PaperFleet()
    before = Outlets(TWO, Sockets(np.array([7, 7]), np.array([1, 2])), fleet)
    before.resume([0, 1])
    after = Outlets(THREE, Sockets(np.array([5, 5, -1]), np.array([2, 3, 0])), fleet)
    after.take_over(before, ORIGIN)
    assert after.off.tolist() == [True, False, False]
    assert after.dead.tolist() == [True, False, False]


def test_what_was_learned_of_who_stays_is_kept() -> None:
    memory = ordered(LoadMemory.fresh(TWO), np.array([0, 2]), np.array([1.0, 2.0]), np.full(2, 9.0), 50.0)
    memory.learned_w[1] += 111.0
    after = memory.carried(ORIGIN, THREE)
    levels = TWO.watts.shape[1]
    assert after.level.tolist() == [2, -1, 0]
    assert after.ordered_s.tolist() == [50.0, -math.inf, 50.0]
    assert after.before_w.tolist() == [2.0, THREE.nameplate_w[1], 1.0]
    assert np.allclose(after.learned_w[0, :levels], TWO.watts[1] + 111.0)
    assert np.allclose(after.learned_w[1], THREE.watts[1])
    assert after.learned_w.shape == THREE.watts.shape
