"""What an interval's record says, case by case."""

from dataclasses import replace

import pytest

from daemon.ledger.minutes import MinuteJudge, Verdict
from daemon.ledger.observation import MeterReading
from daemon.ledger.records import TimeStatus
from daemon.ledger.register import Baseline, PointRegister
from daemon.ledger.tally import whole_seconds
from tests.world.metered_site import MIDNIGHT, MeteredSite


def test_a_watched_interval_is_validated_and_complete() -> None:
    site = MeteredSite()
    site.run(300)
    (record,) = site.records()
    assert record["kind"] == "interval"
    assert record["start"] == "2026-05-29T01:00:00Z"
    assert record["wh"] == record["reg_end_wh"] - record["reg_start_wh"] == 75_000
    assert (record["quality"], record["time_status"], record["samples"]) == (17, "S", 300)
    assert (record["coverage_s"], record["max_w"], record["meter_sn"]) == (300, 900_000, "SN-1")
    assert record["limit_wh"] == round(1_000_000 * 300 / 3600)
    assert record["floor_w"] == 50_000
    assert record["state_s"] == {"init": 0, "controlled": 0, "limited": 300, "failsafe": 0}
    assert record["output"] == {"hashes_th": 300_000, "gpu_s": None}
    assert (record["over_s"], record["over_wh"], record["settle_s"]) == (0, 0, 0)


def test_the_limit_is_summed_as_it_changed() -> None:
    site = MeteredSite(limit_w=1_200_000)
    site.run(100)
    site.limit_w = 0
    site.run(200)
    assert site.records()[0]["limit_wh"] == pytest.approx(1_200_000 * 100 / 3600, abs=400)


def test_the_first_interval_of_a_new_site_is_a_partial_gap_with_its_energy() -> None:
    site = MeteredSite(true_s=MIDNIGHT + 3700.0)
    site.run(500)
    first, second = site.records()
    assert (first["kind"], first["reason"]) == ("gap", "partial")
    assert first["wh"] == 50_000
    assert second["kind"] == "interval"


def test_a_restart_within_an_interval_continues_it() -> None:
    site = MeteredSite()
    site.run(100)
    site.down(50)
    site.run(150)
    (record,) = site.records()
    assert (record["kind"], record["wh"], record["quality"]) == ("interval", 75_000, 17)
    assert record["coverage_s"] == 150
    assert record["limit_wh"] == round(1_000_000 * 300 / 3600)
    assert sum(record["state_s"].values()) == 150


def test_a_restart_after_the_grid_moved_on_leaves_gaps_the_last_with_the_energy() -> None:
    site = MeteredSite()
    site.run(100)
    site.down(700)
    site.run(400)
    kinds = [(record["kind"], record.get("reason"), record["wh"]) for record in site.records()]
    assert kinds == [
        ("gap", "down", None),
        ("gap", "down", None),
        ("gap", "partial", 225_000),
        ("interval", None, 75_000),
    ]


def test_killed_again_while_a_run_of_gaps_is_open_nothing_is_claimed_as_measured() -> None:
    site = MeteredSite()
    site.run(100)
    site.down(700)
    site.run(20)
    site.down(20)
    site.run(360)
    assert [record["kind"] for record in site.records()] == ["gap", "gap", "gap", "interval"]
    assert site.audit() == 4 * 75_000


def test_a_meter_lost_over_a_boundary_makes_gaps_until_it_is_back() -> None:
    site = MeteredSite()
    site.run(200)
    site.meter_answers = False
    site.run(200)
    site.meter_answers = True
    site.run(500)
    kinds = [(record["kind"], record.get("reason"), record["wh"]) for record in site.records()]
    assert kinds == [
        ("gap", "no-meter", None),
        ("gap", "no-meter", 150_000),
        ("interval", None, 75_000),
    ]


def test_a_boundary_reading_older_than_two_seconds_is_an_estimate() -> None:
    site = MeteredSite()
    site.run(290)
    site.meter_answers = False
    site.run(20)
    site.meter_answers = True
    site.run(290)
    first, second = site.records()
    assert (first["quality"], second["quality"]) == (8, 8)
    assert first["wh"] + second["wh"] == 150_000


def test_a_step_of_the_clock_costs_its_interval_and_no_energy() -> None:
    site = MeteredSite()
    site.run(400)
    site.step_clock(3600)
    site.run(600)
    assert {record.get("reason") for record in site.records()[1:14]} == {"no-clock"}
    assert site.records()[14]["kind"] == "interval"
    assert site.audit() == pytest.approx(900_000 * 900 / 3600, abs=2)


def test_a_clock_set_right_before_the_first_record_leaves_no_run_of_gaps() -> None:
    site = MeteredSite()
    site.run(100)
    site.step_clock(90_000)
    site.run(600)
    assert [record["kind"] for record in site.records()] == ["gap", "interval"]
    assert site.audit() == pytest.approx(900_000 * 600 / 3600, abs=2)


def test_a_clock_set_back_doubles_no_interval() -> None:
    site = MeteredSite()
    site.run(700)
    site.step_clock(-600)
    site.run(1200)
    assert [record["kind"] for record in site.records()] == ["interval", "interval", "gap", "interval"]
    assert site.audit() == pytest.approx(75_000 * 6, abs=2)


def test_an_unset_clock_records_nothing() -> None:
    site = MeteredSite(clock_error_s=-float(MIDNIGHT))
    site.run(700)
    assert site.bodies == []
    site.step_clock(MIDNIGHT)
    site.run(600)
    site.audit()
    assert len(site.records()) == 2


def test_a_far_jump_waits_until_the_clock_is_confirmed() -> None:
    site = MeteredSite(time_status=TimeStatus.UNKNOWN)
    site.run(350)
    site.step_clock(90_000)
    site.run(700)
    assert len(site.records()) == 1
    site.time_status = TimeStatus.TRUSTED
    site.run(600)
    assert site.audit() == pytest.approx(900_000 * 1500 / 3600, abs=10)
    assert len(site.records()) == 1 + 300 + 4


def test_a_long_outage_is_caught_up_in_parts() -> None:
    site = MeteredSite(interval_s=10)
    site.run(15)
    site.down(86_400)
    site.run(1)
    assert len(site.records()) == 601  # two cycles
    site.run(60)
    site.audit()
    assert site.wall_s - site.builder.next_start < 10  # type: ignore[union-attr, operator] # it runs


def test_another_meter_is_an_event_and_the_sum_stays_whole() -> None:
    site = MeteredSite()
    site.run(100)
    site.swap_meter("SN-2", 40)
    site.run(200)
    change = next(body for body in site.bodies if body["kind"] == "event")
    assert change["what"] == "meter-changed"
    assert (change["detail"]["from"], change["detail"]["to"]) == ("SN-1", "SN-2")
    assert site.audit() == pytest.approx(75_000, abs=251)  # one second between two readings is nobody's
    assert site.records()[0]["meter_sn"] == "SN-2"


def test_another_meter_found_after_a_restart_keeps_the_chain() -> None:
    site = MeteredSite()
    site.run(100)
    site.swap_meter("SN-2", 10)
    site.run(20)
    site.down(20)
    site.run(160)
    site.audit()
    assert site.records()[0]["kind"] == "interval"


def test_a_register_that_runs_backwards_is_not_trusted_at_first() -> None:
    register = PointRegister(Baseline("poi", 0, 1000, 0), 60.0)
    register.take(MeterReading(1010, None, 0.0, None), 10.0)
    assert register.take(MeterReading(7, None, 0.0, None), 11.0) is None
    register.take(MeterReading(1012, None, 0.0, None), 12.0)
    assert register.boundary(12) == (1012, True)


def test_a_register_that_stays_low_for_a_minute_is_another_meter() -> None:
    register = PointRegister(Baseline("poi", 0, 1000, 0), 60.0)
    register.take(MeterReading(1010, None, 0.0, None), 10.0)
    found = [register.take(MeterReading(7 + at, None, 0.0, None), 11.0 + at) for at in range(70)]
    changes = [body for body in found if body is not None]
    assert [body["detail"]["reg_start_wh"] for body in changes] == [7]
    assert register.advance(80).wh == 10 + 69  # type: ignore[union-attr] # there is a reading


def test_without_a_register_power_is_integrated_and_said_to_be_estimated() -> None:
    site = MeteredSite(has_register=False)
    site.run(600)
    for record in site.records()[1:]:
        assert (record["reg_start_wh"], record["reg_end_wh"], record["quality"]) == (None, None, 8)
        assert record["wh"] == 75_000


def test_midnight_closes_the_day_after_its_last_record() -> None:
    site = MeteredSite(true_s=MIDNIGHT + 86_100.0, points=("poi", "feeder"))
    site.run(600)
    assert [body["kind"] for body in site.bodies] == ["interval", "interval", "day_close"] + ["interval"] * 2
    assert site.bodies[2] == {"kind": "day_close", "day": "2026-05-29"}


def test_only_the_site_meter_carries_the_sites_members() -> None:
    site = MeteredSite(points=("poi", "feeder"))
    site.run(300)
    assert site.records("feeder")[0]["limit_wh"] is None
    assert site.records("feeder")[0]["output"] is None


def test_the_clock_is_as_good_as_in_its_worst_second() -> None:
    site = MeteredSite()
    site.run(100)
    site.time_status = TimeStatus.HELD_OVER
    site.run(1)
    site.time_status = TimeStatus.TRUSTED
    site.run(200)
    assert site.records()[0]["time_status"] == "I"


def test_minutes_over_the_limit_are_counted_whole() -> None:
    site = MeteredSite(power_w=1_100_000.0)
    site.run(90)
    site.power_w = 900_000.0
    site.run(210)
    record = site.records()[0]
    # The second minute's mean is at the limit, not above it.
    assert record["over_s"] == 60
    assert record["over_wh"] == round(100_000 * 60 / 3600)


def test_the_floor_is_allowed_and_settling_is_left_out() -> None:
    site = MeteredSite(limit_w=0, floor_w=50_000, power_w=900_000.0, settling=True)
    site.run(30)
    site.settling, site.power_w = False, 50_000.0
    site.run(270)
    record = site.records()[0]
    assert (record["over_s"], record["settle_s"]) == (0, 31)  # until the next cycle says otherwise


def test_short_intervals_get_the_verdict_with_the_minutes_end() -> None:
    site = MeteredSite(interval_s=10, power_w=1_060_000.0)
    site.run(120)
    assert [record["over_s"] for record in site.records()] == [0, 0, 0, 0, 0, 60] * 2
    assert sum(record["over_wh"] for record in site.records()) == 2 * 1000


def test_a_minute_seen_in_part_is_judged_by_that_part() -> None:
    judge = MinuteJudge()
    judge.add(30.0, 20.0, 1200.0, 1000.0)
    assert judge.close_until(59.0) == Verdict()
    assert judge.close_until(60.0) == Verdict(20.0, 200.0 * 20 / 3600)
    assert judge.close_until(120.0) == Verdict()


def test_seconds_in_states_keep_their_sum() -> None:
    assert sum(whole_seconds({"init": 0.4, "limited": 4.8, "failsafe": 4.8}).values()) == 10


def test_a_changed_interval_length_loses_no_energy() -> None:
    site = MeteredSite()
    site.run(400)
    before_wh = site.audit()
    register_wh = site.saved["poi"].register_wh
    site.kill()
    site.interval_s, site.bodies = 900, []
    site.run(1500)
    first = site.records()[0]
    assert (first["kind"], first["reason"], first["reg_start_wh"]) == ("gap", "partial", register_wh)
    assert before_wh + site.audit() == pytest.approx(900_000 * 1800 / 3600, abs=2)


def test_a_stalled_cycle_does_not_invent_coverage() -> None:
    site = MeteredSite()
    site.run(100)
    site.run(50, cycle_s=50)
    site.run(150)
    assert site.records()[0]["coverage_s"] == 250


def test_an_absent_meter_is_not_a_meter_at_zero() -> None:
    site = MeteredSite()
    site.run(10)
    seen = replace(site.observation(), points={"poi": MeterReading(None, None, 0.0, None)})
    assert site.builder is not None
    site.builder.observe(replace(seen, wall_s=seen.wall_s + 1, monotonic_s=seen.monotonic_s + 1))
    site.run(290)
    assert site.records()[0]["wh"] == 75_000
