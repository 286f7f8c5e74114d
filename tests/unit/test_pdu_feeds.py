"""What a PDU says of the loads that hang on it."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from daemon.metering.feeds import LASTS_S, FedPower, Feeds, FeedWatch
from daemon.table.table import Floats

FULL_W = 3_500.0
NAN = float("nan")


@dataclass
class Rack:
    """20 miners on PDU 0, 20 on PDU 1, two on none; each says what it draws, more or less."""

    factor: Floats = field(default_factory=lambda: np.ones(42))
    """What each says, relative to what it draws."""
    true_w: Floats = field(default_factory=lambda: np.full(42, FULL_W))
    level_w: Floats = field(default_factory=lambda: np.full(42, FULL_W))
    others_w: tuple[float, ...] = ()
    """What else hangs on PDU 0; NaN = not measured."""
    now_s: float = 0.0

    def __post_init__(self) -> None:
        others = len(self.others_w)
        self.feeds = Feeds(
            rows=np.array([100, 101]),
            pdu=np.array([0] * 20 + [1] * 20 + [-1, -1]),
            other_rows=np.arange(200, 200 + others),
            other_pdu=np.zeros(others, dtype=np.int64),
        )
        self.watch = FeedWatch(self.feeds)
        self.pdu_error = np.ones(2)

    def say(self, which: slice | int, factor: float) -> None:
        self.factor[which] = factor

    def look(self) -> FedPower:
        self.now_s += 1.0
        totals = np.array([self.true_w[:20].sum() + 12.0, self.true_w[20:40].sum() + 12.0])
        totals[0] += np.nansum(self.others_w)
        return self.watch.look(
            self.true_w * self.factor,
            totals * self.pdu_error,
            np.array(self.others_w),
            lambda: self.level_w,
            np.where(np.isfinite(self.level_w), self.level_w, FULL_W),
            self.now_s,
        )

    def run(self, seconds: float) -> FedPower:
        for _ in range(round(seconds) - 1):
            self.look()
        return self.look()


def honest(seed: int = 1) -> Rack:
    """Units differ by 5 %, readings by 3 %."""
    rng = np.random.default_rng(seed)
    rack = Rack()
    rack.true_w = FULL_W * np.clip(rng.normal(1.0, 0.02, 42), 0.95, 1.05)
    rack.factor = np.clip(rng.normal(1.0, 0.01, 42), 0.97, 1.03)
    return rack


@pytest.mark.parametrize("seed", range(10))
def test_honest_loads_are_taken_at_their_word(seed: int) -> None:
    rack = honest(seed)
    fed = rack.run(120)
    assert fed.power_w == pytest.approx(rack.true_w * rack.factor)
    assert not fed.by_pdu.any()
    assert len(rack.watch.lying) == 0
    assert rack.watch.difference_w.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("lie", [0.8, 1.2])
@pytest.mark.parametrize("seed", range(5))
def test_a_load_that_lies_by_a_fifth_is_counted_at_what_its_pdu_shows(seed: int, lie: float) -> None:
    rack = honest(seed)
    rack.say(7, lie)
    fed = rack.run(LASTS_S)
    assert not fed.by_pdu.any()
    fed = rack.run(5)
    assert rack.watch.lying.tolist() == [7]
    assert np.flatnonzero(fed.by_pdu).tolist() == [7]
    assert fed.power_w[7] == pytest.approx(rack.true_w[7], rel=0.09)
    assert fed.power_w[:20].sum() == pytest.approx(rack.true_w[:20].sum(), rel=0.006)
    others = [index for index in range(42) if index != 7]
    assert fed.power_w[others] == pytest.approx((rack.true_w * rack.factor)[others])


def test_a_liar_stays_corrected_when_it_is_ordered_about() -> None:
    rack = honest()
    rack.say(7, 0.8)
    rack.run(40)
    rack.true_w[7], rack.level_w[7] = 2_000.0, NAN  # an order is under way
    fed = rack.run(5)
    assert fed.power_w[7] == pytest.approx(2_000.0, rel=0.09)
    rack.level_w[7] = 2_000.0
    assert rack.run(60).power_w[7] == pytest.approx(2_000.0, rel=0.09)


def test_a_load_that_ceases_to_lie_is_believed_again() -> None:
    rack = honest()
    rack.say(7, 0.8)
    rack.run(40)
    rack.say(7, 1.0)
    fed = rack.run(60)
    assert fed.power_w[7] == pytest.approx(rack.true_w[7], rel=0.08)


def test_a_load_without_work_draws_little_and_is_no_liar() -> None:
    rack = honest()
    rack.true_w[7] = 120.0
    fed = rack.run(120)
    assert fed.power_w[7] == pytest.approx(120.0, rel=0.03)
    assert len(rack.watch.lying) == 0


def test_a_moment_is_no_lie_nor_is_what_an_order_may_explain() -> None:
    rack = honest()
    for _ in range(10):
        rack.say(7, 0.8)
        rack.run(LASTS_S - 2)
        rack.say(7, 1.0)
        rack.run(3)
        assert len(rack.watch.lying) == 0
    rack.level_w[7] = NAN
    rack.say(7, 0.8)
    rack.run(120)
    assert len(rack.watch.lying) == 0


def test_two_liars_share_what_is_missing() -> None:
    rack = honest()
    rack.say(3, 0.8)
    rack.say(9, 0.7)
    fed = rack.run(60)
    assert rack.watch.lying.tolist() == [3, 9]
    assert fed.power_w[[3, 9]] == pytest.approx(rack.true_w[[3, 9]], rel=0.09)


def test_where_nobody_stands_out_all_share_a_difference_that_lasts() -> None:
    rack = honest()
    rack.say(slice(0, 20), 0.92)
    assert not rack.run(LASTS_S).by_pdu.any()
    fed = rack.run(5)
    assert fed.by_pdu[:20].all()
    assert not fed.by_pdu[20:].any()
    assert fed.power_w[:20].sum() == pytest.approx(rack.true_w[:20].sum(), rel=0.002)
    assert rack.watch.difference_w[0] == pytest.approx(0.08 * rack.true_w[:20].sum(), rel=0.1)
    assert rack.watch.difference_w[1] == 0.0
    rack.say(slice(0, 20), 1.0)
    assert not rack.run(1).by_pdu.any()
    assert rack.watch.difference_w[0] == 0.0


def test_what_is_left_of_a_total_is_drawn_by_those_that_show_nothing() -> None:
    rack = honest()
    rack.say(slice(0, 20), NAN)  # the gateway of a whole rack is dead
    rack.true_w[:5], rack.level_w[:5] = 30.0, 30.0
    fed = rack.run(1)
    assert fed.by_pdu[:20].all()
    assert fed.power_w[:20].sum() == pytest.approx(rack.true_w[:20].sum() + 12.0)
    assert fed.power_w[:5] == pytest.approx(np.full(5, 30.0), rel=0.05)


def test_the_rest_of_many_readings_says_nothing_of_one_load() -> None:
    rack = honest()
    rack.say(4, NAN)
    fed = rack.run(60)
    assert np.isnan(fed.power_w[4])
    assert len(rack.watch.lying) == 0


def test_a_pdu_that_is_silent_changes_nothing() -> None:
    rack = honest()
    rack.say(7, 0.8)
    rack.pdu_error[:] = NAN
    fed = rack.run(120)
    assert fed.power_w == pytest.approx(rack.true_w * rack.factor)
    rack.pdu_error[:] = 1.0
    rack.run(40)
    rack.pdu_error[:] = NAN
    # What was found out about the load stays.
    assert rack.run(1).power_w[7] == pytest.approx(rack.true_w[7], rel=0.09)


def test_a_silent_pdu_is_not_said_to_differ_any_more() -> None:
    rack = honest()
    rack.say(slice(0, 20), 0.92)
    rack.run(40)
    rack.pdu_error[:] = NAN
    assert not rack.run(1).by_pdu.any()
    assert rack.watch.difference_w[0] == 0.0


def test_what_is_read_seldom_has_to_differ_for_longer() -> None:
    rack = honest()
    rack.watch = FeedWatch(rack.feeds, period_s=30.0)
    rack.say(7, 0.8)
    rack.say(slice(20, 40), 0.92)
    assert not rack.run(LASTS_S + 60).by_pdu.any()
    assert rack.run(5).by_pdu[[7, *range(20, 40)]].all()


def test_a_difference_between_two_operating_points_is_none() -> None:
    rack = honest()
    rack.say(slice(0, 20), 0.92)
    rack.level_w[3] = NAN
    assert not rack.run(120).by_pdu.any()
    rack.level_w[3] = FULL_W
    rack.run(31)
    assert rack.run(1).by_pdu[:20].all()
    rack.level_w[3] = NAN
    assert not rack.run(20).by_pdu.any()
    rack.level_w[3] = FULL_W
    assert rack.run(1).by_pdu[:20].all()


def test_what_else_hangs_on_a_pdu_is_not_laid_to_the_loads() -> None:
    rack = Rack(others_w=(9_000.0,))
    assert not rack.run(120).by_pdu.any()
    rack = Rack(others_w=(NAN,))
    rack.say(7, 0.8)
    assert not rack.run(120).by_pdu.any()


def test_a_site_without_pdus_believes_its_loads() -> None:
    none = np.array([], dtype=np.int64)
    watch = FeedWatch(Feeds(none, np.array([-1, -1]), none, none))
    own_w = np.array([100.0, NAN])
    fed = watch.look(own_w, np.array([]), np.array([]), lambda: own_w, own_w, 1.0)
    assert fed.power_w[0] == 100.0
    assert np.isnan(fed.power_w[1])
    assert not fed.by_pdu.any()
