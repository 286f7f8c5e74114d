"""What the site draws, how that is known, and how much of it nobody controls."""

import math

import numpy as np
import pytest

from daemon.metering.site_power import UNCONTROLLED_S, PowerSource, Residual, SitePower, measure_site

NAN = math.nan
PLAUSIBLE_W = 1_000_000.0


def measured(
    *meters_w: float,
    ages_s: tuple[float, ...] = (),
    counted_w: float = 700_000.0,
    uncontrolled_w: float | None = 50_000.0,
    last_w: float | None = None,
) -> SitePower:
    ages = np.array(ages_s or (0.5,) * len(meters_w))
    return measure_site(np.array(meters_w), ages, counted_w, uncontrolled_w, last_w, PLAUSIBLE_W)


# --- who is believed ---


def test_the_revenue_meter_comes_first() -> None:
    power = measured(800_000.0, 810_000.0, ages_s=(1.5, 0.2))
    assert power == SitePower(800_000.0, PowerSource.METER, 1.5)
    assert power.trusted


def test_a_check_meter_stands_in() -> None:
    power = measured(NAN, NAN, 810_000.0, ages_s=(math.inf, 9.0, 0.2))
    assert power == SitePower(810_000.0, PowerSource.CHECK_METER, 0.2)
    assert power.trusted


def test_zero_watts_are_a_measurement() -> None:
    assert measured(0.0) == SitePower(0.0, PowerSource.METER, 0.5)


@pytest.mark.parametrize("nonsense_w", [3_000_001.0, -3_000_001.0, 1e12])
def test_a_figure_far_beyond_what_the_site_can_draw_is_not_believed(nonsense_w: float) -> None:
    assert measured(nonsense_w).source is PowerSource.ESTIMATE
    assert measured(nonsense_w, 810_000.0).source is PowerSource.CHECK_METER


def test_without_a_meter_the_sum_of_the_loads_and_the_learned_rest_is_shown() -> None:
    power = measured(NAN, ages_s=(12.0,))
    assert power == SitePower(750_000.0, PowerSource.ESTIMATE, 12.0)
    assert not power.trusted


def test_without_a_meter_nothing_shows_that_the_site_draws_less_than_it_did() -> None:
    assert measured(NAN, last_w=900_000.0).watts == 900_000.0
    assert measured(NAN, last_w=600_000.0).watts == 750_000.0


def test_before_anything_was_learned_what_the_loads_count_at_is_shown() -> None:
    power = measured(NAN, uncontrolled_w=None, ages_s=(math.inf,))
    assert power == SitePower(700_000.0, PowerSource.NAMEPLATE, math.inf)
    assert not power.trusted


def test_a_site_without_any_meter_has_no_trusted_power() -> None:
    assert measured().source is PowerSource.ESTIMATE
    assert not measured().trusted


# --- what nobody controls ---


def learned(
    residual: Residual, raw_w: float, looks: int, *, dt_s: float = 1.0, in_flight_s: float = 99.0
) -> Residual:
    for _ in range(looks):
        residual = residual.learned(raw_w, dt_s, in_flight_s, 20_000.0, 2_000.0)
    return residual


def test_nothing_is_known_before_the_first_look() -> None:
    assert Residual().uncontrolled_w is None
    assert learned(Residual(), 30_000.0, 1).uncontrolled_w == 30_000.0


def test_at_first_it_is_a_plain_mean() -> None:
    residual = Residual()
    for raw_w in (30_000.0, 34_000.0, 32_000.0, 28_000.0):
        residual = learned(residual, raw_w, 1)
    assert residual.uncontrolled_w == pytest.approx(31_000.0)


def test_later_it_follows_with_its_time_constant() -> None:
    residual = learned(learned(Residual(), 30_000.0, 60), 40_000.0, int(UNCONTROLLED_S))
    assert residual.uncontrolled_w == pytest.approx(40_000.0 - 10_000.0 / math.e, abs=150)


def test_the_time_constant_is_one_of_time_not_of_looks() -> None:
    start = learned(Residual(), 30_000.0, 60)
    seldom = learned(start, 40_000.0, 30)
    often = learned(start, 40_000.0, 120, dt_s=0.25)
    assert often.uncontrolled_w == pytest.approx(seldom.uncontrolled_w, rel=0.01)


def test_it_is_never_negative() -> None:
    assert learned(Residual(), -5_000.0, 40).uncontrolled_w == 0.0


def test_while_orders_are_in_flight_one_look_moves_it_little() -> None:
    start = learned(Residual(), 30_000.0, 60)
    # 400 kW of orders have been obeyed and the meter has not shown it yet.
    jumped = learned(start, 430_000.0, 3, in_flight_s=1.0)
    assert jumped.uncontrolled_w is not None
    assert jumped.uncontrolled_w < 30_000.0 + 3 * 20_000.0 / UNCONTROLLED_S + 1
    assert jumped.variance_w2 == start.variance_w2


def test_a_first_look_is_not_thrown_over_by_one_with_orders_in_flight() -> None:
    begun = learned(Residual(), 30_000.0, 1)
    assert learned(begun, 45_000.0, 1, in_flight_s=1.0).uncontrolled_w == pytest.approx(30_500.0)


def test_a_long_pause_between_two_looks_does_not_overshoot_and_leaves_a_noise_that_is_a_number() -> None:
    for dt_s in (31.0, 60.0, 3600.0):
        residual = learned(learned(Residual(), 30_000.0, 60), 40_000.0, 1, dt_s=dt_s)
        assert residual.uncontrolled_w == pytest.approx(40_000.0)
        quiet = learned(learned(Residual(), 30_000.0, 60), 30_000.0, 5, dt_s=dt_s)
        assert quiet.noise_w >= 0.0
        assert quiet.variance_w2 >= 0.0


def test_the_noise_is_that_of_the_estimate_not_of_one_look() -> None:
    rng = np.random.default_rng(1)
    residual = Residual()
    for raw_w in rng.normal(30_000.0, 2_000.0, 600):
        residual = learned(residual, float(raw_w), 1)
    assert residual.variance_w2 == pytest.approx(2_000.0**2, rel=0.5)
    assert 100.0 < residual.noise_w < 600.0


def test_at_first_the_meters_class_says_how_noisy_it_is() -> None:
    assert learned(Residual(), 30_000.0, 1).noise_w == pytest.approx(2_000.0)
