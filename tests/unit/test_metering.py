"""What the site draws, how that is known, and how much of it nobody controls."""

import math
from dataclasses import replace

import numpy as np
import pytest

from daemon.metering.cover import Cover
from daemon.metering.jump import Finding
from daemon.metering.meter_judge import Doubt, MeterRecord
from daemon.metering.reading import Reading
from daemon.metering.residual import UNCONTROLLED_S, Residual
from daemon.metering.site_power import (
    CHECK_MARGIN,
    COVER_AGE_S,
    COVER_MARGIN,
    PowerSource,
    SiteKnowledge,
    SitePower,
    measure_site,
)

NOW_S = 100.0


def meter(power_w: float, age_s: float = 0.5, doubt: Doubt | None = None) -> MeterRecord:
    """A meter that has shown this."""
    at_s = NOW_S - age_s
    good_s = 0.0 if doubt is None else None
    return MeterRecord(
        Reading(power_w, math.nan, at_s, at_s, math.nan, fresh=True), doubt=doubt, good_s=good_s
    )


def measured(
    *meters: MeterRecord,
    counted_w: float = 700_000.0,
    known_w: float = 690_000.0,
    uncontrolled_w: float | None = 50_000.0,
    last_w: float | None = None,
    cover: Cover = Cover(0.0, 0.0),  # noqa: B008 - frozen
) -> SitePower:
    know = SiteKnowledge(counted_w, known_w, uncontrolled_w, last_w, cover)
    return measure_site(meters, ["poi", "check-1", "check-2"][: len(meters)], know, NOW_S)


# --- who is believed ---


def test_the_revenue_meter_comes_first() -> None:
    power = measured(meter(800_000.0, 1.5), meter(810_000.0))
    assert power == SitePower(800_000.0, PowerSource.METER, 1.5)
    assert power.trusted
    assert power.may_rise


def test_zero_watts_are_a_measurement() -> None:
    assert measured(meter(0.0)) == SitePower(0.0, PowerSource.METER, 0.5)


@pytest.mark.parametrize("doubt", list(Doubt))
def test_a_check_meter_stands_in_with_a_wider_margin(doubt: Doubt) -> None:
    power = measured(meter(1.0, doubt=doubt), meter(2.0, doubt=Doubt.LOST), meter(810_000.0, 0.2))
    assert (power.watts, power.source) == (810_000.0, PowerSource.CHECK_METER)
    assert power.age_s == pytest.approx(0.2)
    assert (power.doubt, power.stand_in, power.extra_margin) == (doubt, "check-2", CHECK_MARGIN)
    assert power.trusted
    assert measured(meter(1.0)).extra_margin == 0.0


def test_meters_inside_the_site_stand_in_if_they_cover_nine_tenths_of_the_load() -> None:
    lost = meter(1.0, doubt=Doubt.LOST)
    power = measured(lost, cover=Cover(0.9, -7_000.0))
    assert (power.watts, power.source, power.trusted) == (733_000.0, PowerSource.CHECK_METER, True)
    assert (power.extra_margin, power.age_s, power.doubt) == (COVER_MARGIN, COVER_AGE_S, Doubt.LOST)
    assert COVER_MARGIN > CHECK_MARGIN > 0
    assert "90%" in (power.stand_in or "")
    assert measured(lost, cover=Cover(0.89, 0.0)).source is PowerSource.ESTIMATE
    # What nobody controls is not in them: unknown, they are no site meter.
    assert measured(lost, cover=Cover(1.0, 0.0), uncontrolled_w=None).source is PowerSource.NAMEPLATE


def test_without_a_meter_the_sum_of_the_loads_and_the_learned_rest_is_shown() -> None:
    power = measured(meter(1.0, 12.0, Doubt.STALE))
    assert power == SitePower(750_000.0, PowerSource.ESTIMATE, 12.0, Doubt.STALE, meter_fresh=False)
    assert not power.trusted
    assert not power.may_rise


def test_without_a_meter_nothing_shows_that_the_site_draws_less_than_it_did() -> None:
    lost = meter(1.0, doubt=Doubt.LOST)
    assert measured(lost, last_w=900_000.0).watts == 900_000.0
    assert measured(lost, last_w=600_000.0).watts == 750_000.0


def test_before_anything_was_learned_what_the_loads_count_at_is_shown() -> None:
    power = measured(MeterRecord(doubt=Doubt.LOST), uncontrolled_w=None)
    assert (power.watts, power.source, power.age_s) == (700_000.0, PowerSource.NAMEPLATE, math.inf)
    assert not power.trusted


def test_a_site_without_any_meter_has_no_trusted_power() -> None:
    assert measured().source is PowerSource.ESTIMATE
    assert (measured().trusted, measured().meter_fresh, measured().doubt) == (False, False, Doubt.LOST)


def test_a_reading_that_is_looked_into_is_shown_and_nothing_rises_on_it() -> None:
    power = measured(replace(meter(800_000.0), finding=Finding.UNSURE))
    assert (power.watts, power.trusted, power.may_rise) == (800_000.0, True, False)


def test_a_distrusted_meter_with_good_readings_is_said_to_be_fresh() -> None:
    power = measured(replace(meter(800_000.0, doubt=Doubt.FROZEN), good_s=NOW_S - 5))
    assert (power.trusted, power.meter_fresh) == (False, True)


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


# --- over a restart, and after a change at once ---


def test_what_was_kept_over_a_restart_counts_at_once_and_is_soon_outweighed() -> None:
    residual = Residual.recalled(40_000.0, 2_000.0)
    assert residual.uncontrolled_w == 40_000.0
    assert residual.noise_w > 0
    assert learned(residual, 30_000.0, 1).uncontrolled_w == pytest.approx(37_500.0)
    assert learned(residual, 30_000.0, 20).uncontrolled_w == pytest.approx(30_000.0, rel=0.06)


@pytest.mark.parametrize("kept_w", [None, math.nan, math.inf])
def test_what_was_not_kept_is_not_known(kept_w: float | None) -> None:
    assert Residual.recalled(kept_w, 2_000.0) == Residual()


def test_what_was_kept_is_never_negative() -> None:
    assert Residual.recalled(-5.0, 2_000.0).uncontrolled_w == 0.0


def test_a_change_at_once_is_taken_over_at_once() -> None:
    residual = learned(Residual(), 30_000.0, 60).moved(230_000.0)
    assert residual.uncontrolled_w == 230_000.0
    assert learned(residual, 231_000.0, 10).uncontrolled_w == pytest.approx(231_000.0, rel=0.01)
    assert residual.moved(-1.0).uncontrolled_w == 0.0
