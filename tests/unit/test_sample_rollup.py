"""One row a minute and one a quarter: means over the time that was known, absent is not zero."""

from dataclasses import dataclass

import numpy as np

from daemon.samples.rollup import MOST_HELD_S, QUANTITIES, Bucket, Rolled, RollUp, Width
from drivers.quantity import Quantity

NOON = 1_789_992_000
assert NOON % Width.QUARTER == 0


@dataclass
class Course:
    """Cycles of two series, one a second."""

    rollup: RollUp
    at_s: float = NOON
    since_s: float = 100.0

    def run(self, seconds: int, *power: float, sampled: bool = True, **others: float) -> list[Bucket]:
        ended: list[Bucket] = []
        for _ in range(seconds):
            values = np.full((len(QUANTITIES), 2), np.nan)
            values[0] = power
            for name, value in others.items():
                values[QUANTITIES.index(Quantity(name)), 0] = value
            sampled_s = np.full(2, self.since_s if sampled else -np.inf)
            ended += self.rollup.take(self.at_s, self.since_s, values, sampled_s)
            self.at_s += 1
            self.since_s += 1
        return ended


def begun() -> Course:
    """A course whose first whole second is the first of a minute."""
    course = Course(RollUp(2), NOON - 1)
    course.run(1, np.nan, np.nan)
    return course


def only(buckets: list[Bucket], width: Width = Width.MINUTE) -> Rolled:
    (found,) = [bucket for bucket in buckets if bucket.width is width]
    return found.rolled(0, found.size)


def test_a_minute_has_mean_extremes_the_last_register_and_what_it_is_founded_on() -> None:
    course = begun()
    course.run(30, 1000.0, 0.0, energy_import=5.0, hashrate=100.0, gpu_active=8.0)
    course.run(30, 2000.0, 0.0, energy_import=7.0, hashrate=200.0, gpu_active=4.0)

    row = only(course.run(1, 9.0, 9.0))

    assert (row.start_s, row.series.tolist()) == (NOON, [0, 1])
    assert row.power_w.tolist() == [1500.0, 0.0]
    assert row.power_low_w.tolist() == [1000.0, 0.0]
    assert row.power_high_w.tolist() == [2000.0, 0.0]
    assert row.energy_wh[0] == 7.0
    assert (row.hash_ths[0], row.gpus[0]) == (150.0, 6.0)
    assert row.samples.tolist() == [60, 60]
    assert row.coverage_s.tolist() == [60.0, 60.0]


def test_a_mean_is_over_the_time_that_the_value_was_known() -> None:
    course = begun()
    course.run(15, 1000.0, np.nan)
    course.run(45, np.nan, np.nan, hashrate=7.0)

    row = only(course.run(1, 0.0, 0.0))

    # A minute without power for 45 s is not one of 250 W.
    assert (row.power_w[0], row.power_low_w[0], row.power_high_w[0]) == (1000.0, 1000.0, 1000.0)
    assert row.coverage_s[0] == 60.0
    assert np.isnan(row.energy_wh[0])


def test_a_quantity_that_was_never_known_is_none_and_a_series_without_any_has_no_row() -> None:
    course = begun()
    course.run(60, 10.0, np.nan, gpu_active=0.0)

    row = only(course.run(1, 0.0, 0.0))

    assert row.series.tolist() == [0]
    assert (row.gpus[0], np.isnan(row.hash_ths[0])) == (0.0, True)


def test_a_sweep_that_is_shown_for_five_cycles_is_one_sample() -> None:
    course, values = begun(), np.zeros((len(QUANTITIES), 2))
    ended = []
    for second in range(61):
        at = np.array([100.0 + second // 5 * 5 + 1e-7 * second, -np.inf])
        ended += course.rollup.take(NOON + second, course.since_s + second, values, at)

    assert only(ended).samples.tolist() == [12, 0]


def test_a_pause_between_two_cycles_is_not_known_time() -> None:
    course = begun()
    course.run(10, 100.0, 100.0)
    course.at_s += 30
    course.since_s += 30
    course.run(20, 100.0, 100.0)

    assert only(course.run(1, 0.0, 0.0)).coverage_s[0] == 29 + MOST_HELD_S


def test_a_quarter_holds_its_fifteen_minutes() -> None:
    course = begun()
    ended = course.run(600, 300.0, np.nan, energy_import=1.0)
    ended += course.run(299, 600.0, np.nan, energy_import=2.0)
    ended += course.run(2, 600.0, np.nan)

    quarter = only(ended, Width.QUARTER)
    assert len(ended) == 15 + 1
    assert (quarter.start_s, quarter.series.tolist()) == (NOON, [0])
    assert (quarter.power_w[0], quarter.power_low_w[0], quarter.power_high_w[0]) == (400.0, 300.0, 600.0)
    assert (quarter.energy_wh[0], quarter.samples[0], quarter.coverage_s[0]) == (2.0, 900, 900.0)


def test_a_clock_that_steps_opens_a_minute_again_and_counts_no_second_twice() -> None:
    course = begun()
    course.run(90, 10.0, 10.0)
    course.at_s -= 60

    ended = course.run(60, 20.0, 20.0) + course.rollup.flush()

    minutes = [bucket for bucket in ended if bucket.width is Width.MINUTE]
    assert [bucket.start_s for bucket in minutes] == [NOON + 60, NOON, NOON + 60]
    assert [bucket.rolled(0, 1).coverage_s[0] for bucket in minutes] == [30.0, 30.0, 30.0]
    assert only(ended, Width.QUARTER).coverage_s[0] == 150.0


def test_a_part_is_numbered_as_the_whole() -> None:
    course = begun()
    course.run(60, 1.0, 2.0)

    (bucket,) = course.run(1, 0.0, 0.0)

    part = bucket.rolled(1, 2)
    assert (part.series.tolist(), part.power_w.tolist()) == ([1], [2.0])


def test_nothing_ends_that_never_began() -> None:
    assert RollUp(3).flush() == []
