"""When a meter is relied upon, and when it is not: by itself and by what the rest of the site shows."""

import math

import pytest

from daemon.metering.jump import CONFIRM_S, UNDECIDED_S, Finding
from daemon.metering.meter_judge import LOST_S, RECOVERY_S, Doubt, MeterRecord
from daemon.metering.reading import Resolution
from daemon.metering.standstill import STANDING_S, UNMOVED_ALONE_S, UNMOVED_S
from tests.world.paper_meter import MOST_W, MeterBench, settled


def doubts(records: list[MeterRecord]) -> list[Doubt | None]:
    return [record.doubt for record in records]


def first(records: list[MeterRecord], doubt: Doubt) -> int:
    """Seconds until it was doubted so."""
    return doubts(records).index(doubt) + 1


# --- silence ---


def test_a_meter_is_trusted_from_its_first_reading_on() -> None:
    assert not MeterRecord().trusted
    bench = MeterBench(answers=False)
    assert doubts(bench.run(3)) == [Doubt.LOST] * 3
    assert not bench.record.trusted
    bench.answers = True
    assert bench.look().trusted
    assert bench.record.fresh


def test_a_silent_meter_is_stale_after_three_polls_and_lost_after_five_minutes() -> None:
    bench = settled()
    bench.answers = False
    records = bench.run(400)
    assert first(records, Doubt.STALE) == 3
    assert first(records, Doubt.LOST) == LOST_S
    assert not any(record.trusted or record.fresh for record in records[3:])


def test_one_reading_ends_a_silence() -> None:
    for silent_s in (10, 400):
        bench = settled()
        bench.answers = False
        bench.run(silent_s)
        bench.answers = True
        assert bench.look().trusted


def test_silence_does_not_wipe_out_a_graver_doubt() -> None:
    bench = settled()
    bench.energy_wh -= 100_000
    bench.look()
    bench.answers = False
    assert set(doubts(bench.run(400))) == {Doubt.BACKWARDS}
    bench.answers = True
    bench.run(RECOVERY_S)
    assert bench.doubt is Doubt.BACKWARDS
    assert bench.look().trusted


# --- frozen ---


def test_a_constant_load_repeats_its_power_for_hours_and_the_meter_is_not_frozen() -> None:
    bench = settled(noise_w=0.0)
    assert set(doubts(bench.run(7_200))) == {None}


def test_the_same_words_and_register_under_load_are_a_frozen_meter() -> None:
    bench = settled()
    bench.frozen = True
    seconds = first(bench.run(120), Doubt.FROZEN)
    assert STANDING_S <= seconds <= STANDING_S + 4


def test_a_coarse_register_has_time_for_its_steps() -> None:
    coarse = Resolution(power_w=100.0, register_wh=10_000.0)
    bench = settled(noise_w=0.0, resolution=coarse)  # type: ignore[arg-type] # by name
    # A step takes 48 s at 750 kW; some may be missed.
    assert set(doubts(bench.run(3_600))) == {None}
    bench.frozen = True
    seconds = first(bench.run(600), Doubt.FROZEN)
    assert 3 * 48 <= seconds <= STANDING_S + 4 * 48


def test_the_step_of_a_register_is_learned_where_the_profile_does_not_know_it() -> None:
    # It moves by 10 kWh every 48 s, and the profile says 1 Wh.
    bench = MeterBench(frozen_register=True)
    true_wh = bench.energy_wh
    for _ in range(1_800):
        true_wh += bench.true_w / 3600
        bench.energy_wh = math.floor(true_wh / 10_000) * 10_000
        assert bench.look().trusted
    bench.frozen = True
    assert 3 * 48 <= first(bench.run(600), Doubt.FROZEN) <= STANDING_S + 4 * 48


def test_at_hardly_any_load_a_register_may_stand() -> None:
    bench = settled(noise_w=0.0, devices_w=0.005 * MOST_W, rest_w=0.0)
    bench.frozen = True
    assert set(doubts(bench.run(1_200))) == {None}


@pytest.mark.parametrize("has_register", [True, False])
@pytest.mark.parametrize("share", [-0.4, -0.03, 0.03, 0.4])
def test_a_meter_that_does_not_move_when_its_devices_do_is_frozen(
    share: float, *, has_register: bool
) -> None:
    bench = settled(has_register=has_register)
    bench.frozen = True
    bench.run(6)
    bench.devices_w *= 1 + share
    records = bench.run(40)
    seconds = min(i for i, record in enumerate(records, start=1) if record.doubt is not None)
    assert seconds <= bench.lag_s + CONFIRM_S + UNMOVED_S
    assert bench.doubt is Doubt.FROZEN


def test_devices_that_move_a_little_prove_nothing() -> None:
    bench = settled(has_register=False)
    bench.frozen = True
    bench.run(6)
    bench.devices_w *= 1.015
    assert set(doubts(bench.run(300))) == {None}


def test_a_power_figure_that_stands_while_the_register_goes_on_has_longer() -> None:
    bench = settled()
    bench.shown_w, bench.noise_w = 750_000.0, 0.0
    bench.run(20)
    bench.devices_w *= 1.05
    records = bench.run(60)
    assert UNMOVED_ALONE_S <= first(records, Doubt.FROZEN) <= UNMOVED_ALONE_S + 3


def test_devices_that_follow_the_meters_last_change_late_have_not_moved_away_from_it() -> None:
    bench = settled(noise_w=0.0, has_register=False)
    bench.rest_w -= 60_000.0
    bench.run(3)
    bench.devices_w, bench.rest_w = bench.devices_w - 60_000.0, bench.rest_w + 60_000.0
    assert set(doubts(bench.run(600))) == {None}


def test_devices_that_come_back_have_not_left() -> None:
    bench = settled(has_register=False)
    bench.frozen = True
    bench.run(6)
    for _ in range(6):
        bench.devices_w += 40_000.0
        assert set(doubts(bench.run(6))) == {None}
        bench.devices_w -= 40_000.0
        assert set(doubts(bench.run(3))) == {None}


def test_a_meter_that_shows_power_in_large_steps_may_stay_on_one() -> None:
    bench = settled(has_register=False, resolution=Resolution(power_w=20_000.0))  # type: ignore[arg-type] # by name
    bench.frozen = True
    bench.run(6)
    bench.devices_w += 50_000.0
    assert set(doubts(bench.run(60))) == {None}
    bench.devices_w += 15_000.0
    assert Doubt.FROZEN in doubts(bench.run(15))


def test_a_power_that_moves_is_not_frozen_whatever_the_register_does() -> None:
    bench = settled()
    bench.frozen_register = True
    assert set(doubts(bench.run(600))) == {None}


def test_a_register_whose_step_was_large_once_is_not_coarse() -> None:
    bench = settled()
    bench.energy_wh += 60_000.0  # it was silent for five minutes
    bench.run(5)
    bench.frozen = True
    assert first(bench.run(120), Doubt.FROZEN) <= STANDING_S + 4


def test_a_meter_that_is_polled_seldom_is_not_frozen_between_two_polls() -> None:
    bench = settled(period_s=30.0, lag_s=33.0)
    for share in (0.9, 1.1, 1.05, 0.97, 0.99):
        bench.devices_w *= share
        assert set(doubts(bench.run(90))) == {None}


def test_a_frozen_meter_that_moves_again_is_trusted_after_a_minute_of_good_readings() -> None:
    bench = settled()
    bench.frozen = True
    bench.run(100)
    bench.frozen = False
    records = bench.run(90)
    assert not records[0].trusted
    assert records[0].fresh
    trusted = [record.trusted for record in records]
    assert trusted.index(True) == RECOVERY_S
    assert all(trusted[60:])


def test_devices_that_leave_a_frozen_figure_slowly_teach_nothing_of_the_rest() -> None:
    bench = settled()
    bench.frozen = True
    for _ in range(150):
        bench.devices_w -= 1_500.0
        bench.look()
    bench.devices_w -= 200_000.0
    bench.run(60)
    assert bench.doubt is Doubt.FROZEN
    bench.frozen = False
    trusted = [record.trusted for record in bench.run(90)]
    assert trusted.index(True) == RECOVERY_S


def test_one_more_bad_reading_begins_the_minute_anew() -> None:
    bench = settled()
    bench.energy_wh -= 100_000
    bench.run(50)
    bench.energy_wh -= 100_000
    bench.run(1 + RECOVERY_S)
    assert not bench.record.trusted
    bench.run(1)
    assert bench.record.trusted


# --- backwards ---


def test_a_register_that_ran_backwards_is_not_trusted_until_it_has_counted_on_for_a_minute() -> None:
    bench = settled()
    bench.energy_wh -= 1_000
    records = bench.run(70)
    assert doubts(records)[0] is Doubt.BACKWARDS
    assert doubts(records).index(None) == RECOVERY_S + 1


def test_another_meter_may_begin_anywhere() -> None:
    bench = settled()
    bench.energy_wh, bench.serial = 12.0, 78.0
    assert set(doubts(bench.run(60))) == {None}


def test_another_meter_does_not_wipe_out_what_is_held_against_the_place() -> None:
    bench = settled()
    bench.frozen = True
    bench.run(100)
    bench.frozen, bench.serial = False, 78.0
    assert bench.look().doubt is Doubt.FROZEN
    bench.run(RECOVERY_S)
    assert bench.record.trusted


# --- jumping ---


@pytest.mark.parametrize("shown_w", [MOST_W + 2_000, -MOST_W - 2_000, 1e12])
def test_more_than_the_plant_can_draw_is_not_believed_for_a_moment(shown_w: float) -> None:
    bench = settled()
    bench.shown_w = shown_w
    assert bench.look().doubt is Doubt.JUMPING
    bench.shown_w = None
    bench.run(RECOVERY_S)
    assert bench.doubt is Doubt.JUMPING
    bench.run(1)
    assert bench.record.trusted


def test_nonsense_as_the_first_reading_leaves_no_trace() -> None:
    bench = MeterBench(noise_w=800.0, shown_w=1e12)
    assert set(doubts(bench.run(20))) == {Doubt.JUMPING}
    bench.shown_w = None
    bench.run(RECOVERY_S + 2)
    assert bench.record.trusted
    assert bench.record.jump.base_w == pytest.approx(bench.rest_w, rel=0.05)


def test_what_the_devices_explain_is_no_jump() -> None:
    bench = settled()
    for devices_w in (350_000.0, 700_000.0, 20_000.0, 1_000_000.0):
        bench.devices_w = devices_w
        assert {record.finding for record in bench.run(30)} == {Finding.EXPLAINED}


def test_a_change_is_looked_into_until_the_devices_have_had_time_to_show_it() -> None:
    bench = settled()
    # A pool outage: the meter sees half of the load go, its devices are read some seconds later.
    bench.rest_w -= 350_000.0
    records = bench.run(4)
    assert all(record.trusted and record.unsure for record in records)
    bench.devices_w, bench.rest_w = bench.devices_w - 350_000.0, bench.rest_w + 350_000.0
    bench.run(1)
    assert bench.record.trusted
    assert not bench.record.unsure


def test_nothing_is_learned_of_a_reading_that_is_looked_into() -> None:
    bench = settled()
    before_w = bench.record.jump.base_w
    bench.rest_w += 200_000.0
    bench.run(5)
    assert bench.record.unsure
    assert bench.record.jump.base_w == before_w


@pytest.mark.parametrize("change_w", [-200_000.0, 200_000.0])
def test_what_the_register_bears_out_has_changed_at_once(change_w: float) -> None:
    bench = settled(rest_w=250_000.0)
    bench.rest_w += change_w
    records = bench.run(30)
    assert set(doubts(records)) == {None}
    moved = [record.finding for record in records].index(Finding.MOVED)
    assert bench.lag_s + CONFIRM_S <= moved + 1 <= bench.lag_s + CONFIRM_S + 2
    assert [record.unsure for record in records[moved:]] == [False] * (30 - moved)
    assert bench.record.jump.base_w == pytest.approx(bench.rest_w, rel=0.02)


@pytest.mark.parametrize("factor", [1.35, 1.5])
def test_what_the_register_does_not_bear_out_is_a_jump(factor: float) -> None:
    bench = settled()
    bench.factor, bench.register_factor = factor, 1 / factor
    records = bench.run(20)
    assert {record.trusted for record in records[:8]} == {True}
    assert bench.doubt is Doubt.JUMPING
    assert set(doubts(bench.run(300))) == {Doubt.JUMPING}
    bench.factor = bench.register_factor = 1.0
    bench.run(RECOVERY_S)
    assert not bench.record.trusted
    bench.run(1)
    assert bench.record.trusted


def test_less_than_is_measured_inside_the_site_is_a_jump_even_if_the_register_bears_it_out() -> None:
    bench = settled()
    bench.factor = 0.66  # a phase has lost its transformer
    bench.run(20)
    assert bench.doubt is Doubt.JUMPING
    assert set(doubts(bench.run(300))) == {Doubt.JUMPING}


def test_loads_that_died_with_their_gateway_may_be_missing_from_the_meter() -> None:
    bench = settled()
    # A feeder trips: 200 kW are gone and no longer measured; they go on counting as they were.
    bench.hidden_w, bench.rest_w = 200_000.0, bench.rest_w - 200_000.0
    assert set(doubts(bench.run(60))) == {None}
    assert not bench.record.unsure


def test_a_meter_without_register_is_believed_soon_when_it_shows_more_and_late_when_less() -> None:
    bench = settled(has_register=False, rest_w=250_000.0)
    bench.rest_w += 150_000.0
    findings = [record.finding for record in bench.run(20)]
    assert findings.index(Finding.MOVED) <= bench.lag_s + CONFIRM_S + 1
    bench.rest_w -= 250_000.0
    findings = [record.finding for record in bench.run(90)]
    assert UNDECIDED_S <= findings.index(Finding.MOVED) <= UNDECIDED_S + 2
    assert bench.record.trusted


def test_a_register_too_coarse_to_tell_is_waited_for() -> None:
    bench = settled(rest_w=250_000.0, resolution=Resolution(1.0, 1_000.0))  # type: ignore[arg-type] # by name
    bench.rest_w -= 200_000.0
    findings = [record.finding for record in bench.run(90)]
    # 2 kWh are a fifth of what 750 kW count in 48 s.
    assert 45 <= findings.index(Finding.MOVED) <= 50


def test_a_jump_that_turns_out_to_be_real_is_believed_in_the_end() -> None:
    bench = settled()
    bench.factor, bench.register_factor = 1.4, 1 / 1.4
    bench.run(60)
    assert bench.doubt is Doubt.JUMPING
    bench.register_factor = 1.0
    bench.run(30 + RECOVERY_S)
    assert bench.record.trusted


def test_a_site_that_generates_behind_its_meter_is_not_jumping() -> None:
    bench = MeterBench(noise_w=800.0, rest_w=-400_000.0)
    assert set(doubts(bench.run(600))) == {None}


def test_what_nobody_controls_may_change_as_far_as_it_likes_if_it_does_so_slowly() -> None:
    bench = settled()
    for _ in range(400):
        bench.rest_w += 700.0
        bench.look()
        assert not bench.record.unsure
    assert bench.record.jump.base_w == pytest.approx(bench.rest_w, abs=30_000.0)


def test_a_register_that_is_read_seldom_is_waited_for() -> None:
    bench = settled(rest_w=250_000.0, register_every=40)
    bench.rest_w -= 200_000.0
    findings = [record.finding for record in bench.run(90)]
    assert Finding.MOVED in findings
    assert findings.index(Finding.MOVED) >= 10
    assert Finding.UNEXPLAINED not in findings


def test_a_jump_in_two_halves_is_a_jump() -> None:
    bench = settled()
    for _ in range(2):
        bench.rest_w += 0.08 * bench.true_w
        bench.run(2)
    assert bench.record.unsure


def test_at_the_beginning_nothing_is_known_that_could_be_jumped_from() -> None:
    bench = MeterBench(noise_w=800.0)
    bench.run(20)
    bench.rest_w += 300_000.0
    assert not any(record.unsure for record in bench.run(8))


def test_a_meter_that_was_not_asked_again_has_not_confirmed_anything() -> None:
    bench = MeterBench(noise_w=800.0, period_s=60.0)
    bench.run(300)
    bench.rest_w += 200_000.0
    findings = [record.finding for record in bench.run(200)]
    unsure_s = findings.index(Finding.UNSURE)
    assert findings.index(Finding.MOVED) - unsure_s == 60


def test_at_a_high_load_a_tenth_of_it_is_no_jump() -> None:
    bench = settled(rest_w=400_000.0)
    bench.rest_w += 95_000.0
    assert {record.finding for record in bench.run(60)} == {Finding.EXPLAINED}


def test_a_register_bears_out_what_it_counts_within_a_fifth() -> None:
    bench = settled(register_factor=1.12)
    bench.rest_w += 200_000.0
    assert Finding.MOVED in [record.finding for record in bench.run(30)]


def test_small_differences_are_no_jump() -> None:
    bench = settled()
    bench.rest_w += 0.05 * MOST_W
    assert {record.finding for record in bench.run(60)} == {Finding.EXPLAINED}


def test_a_silence_while_a_change_is_looked_into_proves_nothing() -> None:
    bench = settled()
    bench.rest_w += 200_000.0
    bench.run(5)
    bench.answers = False
    bench.run(60)
    bench.answers = True
    records = bench.run(30)
    assert set(doubts(records)) == {None}
    assert not records[-1].unsure
