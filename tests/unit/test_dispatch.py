"""Orders on their way: sent once, sent again with a budget, confirmed by measured power and read-back."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from daemon.allocation.memory import LoadMemory
from daemon.dispatch import Dispatcher
from daemon.table import WriteOutcome
from daemon.table.snapshot import Floats
from drivers.ports import WriteResult
from drivers.profile import Profile
from tests.world.paper_loads import MINER, STOCK, Park, loads_of, profile_of

NAN = math.nan
FLOORED = profile_of(((1750.0, 0.575), (3500.0, 1.0)), name="floored")


class PaperFleet:
    """Notes what it is told to write."""

    def __init__(self) -> None:
        self.orders: list[tuple[int, float | None]] = []
        self.switched: list[tuple[int, int, bool]] = []
        self.armed: list[tuple[int, float]] = []

    async def run(self) -> None: ...

    def order(self, row: int, watts: float | None) -> None:
        self.orders.append((row, watts))

    def switch(self, row: int, outlet: int, *, on: bool) -> None:
        self.switched.append((row, outlet, on))

    def arm(self, row: int, watts: float) -> None:
        self.armed.append((row, watts))

    def counters(self) -> Mapping[str, int]:
        return {}

    def decode_into(self, values: Floats) -> None: ...

    def poll_lag_s(self) -> float:
        return 0.0

    def taken(self) -> list[tuple[int, float | None]]:
        orders, self.orders = self.orders, []
        return orders


class Post:
    """Loads at full power, a dispatcher, and time."""

    def __init__(self, *profiles: Profile) -> None:
        self.park = Park(loads_of(*(profiles or (MINER, MINER))))
        self.fleet = PaperFleet()
        sleeps = np.array([profile is not FLOORED for profile in profiles or (MINER, MINER)])
        self.dispatcher = Dispatcher(self.park.loads, sleeps, self.fleet)
        self.setpoint_w = np.full(len(self.park.loads), NAN)
        self.excluded = np.zeros(len(self.park.loads), dtype=np.bool_)

    @property
    def memory(self) -> LoadMemory:
        return self.park.memory

    def order(self, *levels: int) -> int:
        """Send new levels."""
        park, after = self.park, np.array(levels)
        count = self.dispatcher.order(park.memory.level, after, park.now_s)
        park.carry_out(replace(park.plan(9e9, may_rise=False), level=after))
        return count

    def found(self, *levels: int) -> "Post":
        """As after a restart: at these levels, never ordered."""
        self.park.at(*levels)
        return self

    def ended(self, row: int, result: WriteResult) -> None:
        self.dispatcher.take([WriteOutcome(row, None, result, self.park.now_s)])

    def run(self, seconds: int, *watts: float) -> list[int]:
        """Seconds, counted from now, at which something was sent again."""
        sent = []
        for second in range(1, seconds + 1):
            self.park.look(1, *watts)
            if self.dispatcher.remind(self.memory, self.setpoint_w, self.excluded, self.park.now_s):
                sent.append(second)
        return sent


# --- first orders ---


def test_only_changed_levels_are_sent_as_the_device_wants_them() -> None:
    post = Post(MINER, MINER, STOCK, FLOORED)
    assert post.order(4, 0, 1, 0) == 3
    assert post.fleet.taken() == [(1, 0.0), (2, 2290.0), (3, 1750.0)]
    assert post.order(4, 0, 1, 0) == 0
    assert post.fleet.taken() == []
    assert post.order(2, 4, 2, 1) == 4
    assert post.fleet.taken() == [(0, 2450.0), (1, None), (2, None), (3, None)]
    assert post.dispatcher.writes == 7
    assert post.dispatcher.last_sent_s == post.park.now_s


def test_nothing_was_sent_before_the_first_order() -> None:
    post = Post()
    assert post.dispatcher.last_sent_s == -math.inf
    assert post.run(30) == []


# --- again ---


def test_who_follows_hears_no_more() -> None:
    post = Post()
    post.order(1, 4)
    assert post.run(3_600) == []
    assert post.dispatcher.writes == 1


def test_who_does_not_follow_is_reminded_with_growing_pauses() -> None:
    post = Post()
    post.order(1, 4)
    post.fleet.taken()
    sent = post.run(1_000, 3_500, 3_500)
    assert sent[0] in {5, 6, 7}  # the settle window is over
    assert np.diff(sent).tolist() == [10, 30, 60, 300, 300]
    assert set(post.fleet.taken()) == {(0, 1750.0)}


def test_a_reminder_does_not_restart_the_settle_window() -> None:
    post = Post()
    post.order(1, 4)
    ordered_s = post.memory.ordered_s[0]
    post.run(100, 3_500, 3_500)
    assert post.memory.ordered_s[0] == ordered_s


@pytest.mark.parametrize("result", [WriteResult.TIMED_OUT, WriteResult.NOT_CONNECTED, WriteResult.REFUSED])
def test_what_did_not_arrive_is_sent_again_without_waiting_for_the_power(result: WriteResult) -> None:
    post = Post(STOCK)
    post.order(1)
    post.ended(0, result)
    assert post.run(5, 3_050.0) == [3]
    post.ended(0, WriteResult.ACKNOWLEDGED)
    assert post.run(20, 3_050.0) == []


def test_what_is_underway_again_is_not_sent_a_third_time() -> None:
    post = Post(STOCK)
    post.order(1)
    post.ended(0, WriteResult.TIMED_OUT)
    assert post.run(3, 3_050.0) == [3]
    assert post.run(15, 3_050.0) == []


def test_a_new_order_gets_its_own_window_and_its_own_budget() -> None:
    post = Post()
    post.order(2, 4)
    post.run(200, 3_500, 3_500)
    post.order(1, 4)
    sent = post.run(20, 3_500, 3_500)
    assert sent[0] in {5, 6, 7}
    assert sent[1] - sent[0] == 10


def test_an_answer_of_ok_confirms_nothing() -> None:
    post = Post()
    post.order(1, 4)
    post.ended(0, WriteResult.ACKNOWLEDGED)
    assert post.run(20, 3_500, 3_500) != []


def test_an_outcome_of_something_that_is_no_load_is_nobodys() -> None:
    post = Post()
    post.ended(17, WriteResult.TIMED_OUT)
    assert post.run(20) == []


def test_who_drifts_is_sent_its_order_again_at_once() -> None:
    post = Post()
    post.order(1, 4)
    assert post.run(600) == []
    post.fleet.taken()
    assert post.run(2, 3_500, 3_500) == [1]  # a gateway rebooted
    assert post.fleet.taken() == [(0, 1750.0)]


@pytest.mark.parametrize("shown_w", [3_500.0, 4_294_967_295.0, 0.0])
def test_who_holds_another_set_point_is_sent_its_own_before_its_power_shows_it(shown_w: float) -> None:
    post = Post()
    post.order(1, 4)
    post.run(30)
    post.setpoint_w = np.array([shown_w, NAN])
    assert post.run(2) == [1]
    assert set(post.fleet.taken()) == {(0, 1750.0)}


def test_a_read_back_is_not_compared_right_after_the_write() -> None:
    post = Post()
    post.setpoint_w = np.array([3_500.0, 3_500.0])
    post.order(1, 4)
    assert post.run(5) == []


def test_who_never_shows_what_it_was_sent_is_not_written_to_for_ever_and_ever() -> None:
    post = Post()
    post.order(1, 4)
    post.setpoint_w = np.array([2_450.0, NAN])
    sent = post.run(1_500)
    assert np.diff(sent).tolist()[:4] == [10, 30, 60, 300]
    assert len(sent) < 10


def test_who_holds_its_order_and_draws_what_it_likes_is_left_alone_for_ever_longer() -> None:
    post = Post()
    post.order(1, 4)
    post.setpoint_w = np.array([1_750.0, NAN])
    sent = post.run(10_000, 3_500, 3_500)
    assert np.diff(sent).tolist() == [10, 30, 60, 300, 900, 1_800, 1_800, 1_800, 1_800]


def test_who_had_long_been_left_alone_is_told_at_once_when_it_drifts() -> None:
    post = Post()
    post.order(1, 4)
    post.setpoint_w = np.array([1_750.0, NAN])
    post.run(3_000, 3_500, 3_500)
    post.setpoint_w = np.array([3_500.0, NAN])  # it has restarted: perhaps it obeys now
    assert post.run(20, 3_500, 3_500) == [1, 11]


def test_who_was_away_when_it_was_ordered_is_told_as_soon_as_it_is_back() -> None:
    post = Post()
    post.order(1, 4)
    for _ in range(70):
        post.ended(0, WriteResult.TIMED_OUT)
        post.run(1, NAN, 3_500)
    post.fleet.taken()
    assert post.run(1, 3_500, 3_500) == [1]
    assert post.fleet.taken() == [(0, 1750.0)]


@pytest.mark.parametrize("shown_w", [1_722.0, 1_750.0, 1_778.0])
def test_a_devices_own_rounding_is_no_difference(shown_w: float) -> None:
    post = Post()
    post.order(1, 4)
    post.setpoint_w = np.array([shown_w, NAN])
    assert post.run(60) == []


def test_no_limit_is_held_by_whoever_shows_any_high_figure() -> None:
    post = Post()
    post.order(1, 4)
    post.run(10)
    post.order(4, 4)
    post.setpoint_w = np.array([4_294_967_295.0, NAN])
    assert post.run(60) == []
    post.setpoint_w = np.array([1_750.0, NAN])
    assert post.run(60) != []


def test_sleep_shows_as_zero() -> None:
    post = Post(STOCK, FLOORED)  # asleep the first one draws 60 W, and shows 0
    post.order(0, 0)
    post.setpoint_w = np.array([0.0, 1_750.0])
    assert post.run(60) == []
    post.setpoint_w = np.array([2_290.0, 0.0])
    assert post.run(7) == [1]
    assert sorted(post.fleet.taken()[-2:], key=str) == [(0, 0.0), (1, 1750.0)]


def test_an_excluded_load_is_written_to_no_more() -> None:
    post = Post()
    post.order(1, 4)
    post.excluded[0] = True
    assert post.run(600, 3_500, 3_500) == []


def test_who_was_found_under_a_limit_is_held_to_it() -> None:
    """After a restart of the daemon nothing has been ordered by it; the limits that it found are its own."""
    post = Post(MINER, MINER, MINER).found(0, 1, 4)
    assert post.run(60) == []
    assert post.run(2, 3_500, 3_500, 3_500) == [1]
    assert post.fleet.taken() == [(0, 0.0), (1, 1750.0)]


def test_who_was_found_at_full_power_is_left_alone() -> None:
    post = Post(MINER).found(4)
    post.setpoint_w = np.array([2_000.0])
    assert post.run(60, 3_900.0) == []


# --- naming ---


def test_who_was_reminded_twice_and_does_not_follow_is_named() -> None:
    post = Post()
    post.order(1, 1)
    assert post.run(10, 3_500, 1_750)[0] > 0
    assert post.dispatcher.disobeying(post.memory).tolist() == []
    post.run(10, 3_500, 1_750)
    assert post.dispatcher.disobeying(post.memory).tolist() == [0]
    post.run(5)
    assert post.dispatcher.disobeying(post.memory).tolist() == []


def test_the_budget_is_new_once_a_load_followed() -> None:
    post = Post()
    post.order(1, 4)
    post.run(200, 3_500, 3_500)
    assert post.run(60) == []
    post.dispatcher.remind(post.memory, post.setpoint_w, post.excluded, post.park.now_s)
    again = post.run(15, 3_500, 3_500)
    assert again == [1, 11]
