"""Who sets the limit in force, the fall to the failsafe limit, and what a doubtful clock or disk forbids."""

from dataclasses import replace

import pytest

from daemon.authority.clock_trust import ClockTrust
from daemon.authority.machine import (
    LeaseAccepted,
    LeaseSeen,
    LeaseTimed,
    Moment,
    Source,
    State,
    forecast_w,
    steady_for,
)
from tests.world.authority_bench import MW, POLICY, AuthorityBench

CONTRACT_W, FAILSAFE_W = POLICY.contract_max_w, POLICY.failsafe_w


def controlled() -> AuthorityBench:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.run(60)
    return bench


# --- sources ---


def test_in_a_tie_the_first_of_hold_operator_failsafe_quota_contract_is_the_source() -> None:
    bench = AuthorityBench(replace(POLICY, failsafe_w=CONTRACT_W))
    bench.commanded((0, CONTRACT_W))
    assert bench.source is Source.QUOTA
    bench.fall_silent()
    assert (bench.source, bench.limit_w) == (Source.FAILSAFE, CONTRACT_W)
    bench.set_limit(CONTRACT_W)
    assert (bench.source, bench.limit_w) == (Source.OPERATOR, CONTRACT_W)
    bench.hold(CONTRACT_W)
    assert (bench.source, bench.limit_w) == (Source.HOLD, CONTRACT_W)


def test_the_contract_maximum_is_the_source_where_nobody_asks_for_less() -> None:
    bench = controlled()
    bench.hold(90 * MW)
    bench.set_limit(80 * MW)
    assert (bench.limit_w, bench.source) == (CONTRACT_W, Source.CONTRACT)


def test_overlays_end_with_their_until() -> None:
    bench = controlled()
    bench.hold(2 * MW, until_s=30)
    bench.set_limit(3 * MW, until_s=60)
    limits = [verdict.limit_w for verdict in bench.run(70)]
    assert limits == [2 * MW] * 29 + [3 * MW] * 30 + [CONTRACT_W] * 11


def test_the_source_follows_who_sets_the_limit_even_where_the_limit_may_not_rise() -> None:
    bench = AuthorityBench(last_limit_w=3 * MW)
    bench.hold(3 * MW)
    assert (bench.limit_w, bench.source) == (3 * MW, Source.HOLD)
    bench.release_hold()
    assert (bench.limit_w, bench.source, bench.authority.clock.trusted) == (3 * MW, Source.FAILSAFE, False)


# --- the fall to the failsafe limit ---


def test_failsafe_is_reached_by_a_straight_ramp_after_the_sites_own_offset() -> None:
    bench = controlled()
    bench.fall_silent()
    assert (bench.limit_w, bench.source) == (CONTRACT_W, Source.FAILSAFE)
    already_s = bench.monotonic_s - bench.authority.since.monotonic_s
    limits = {already_s + s: verdict.limit_w for s, verdict in enumerate(bench.run(400), start=1)}
    assert limits[30] == CONTRACT_W
    assert limits[30 + 150] == (CONTRACT_W + FAILSAFE_W) // 2
    assert limits[30 + 299] > FAILSAFE_W
    assert limits[30 + 300] == limits[400] == FAILSAFE_W
    steps = [limits[s] - limits[s + 1] for s in range(31, 329)]
    assert max(steps) - min(steps) <= 1


def test_the_ramp_begins_at_the_limit_that_was_in_force_and_never_lifts_it() -> None:
    bench = AuthorityBench()
    bench.commanded((0, 3 * MW))
    bench.run(60)
    bench.fall_silent()
    assert {verdict.limit_w for verdict in bench.run(400)} == {3 * MW}


def test_the_stored_schedule_goes_on_beneath_the_ramp() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None), (200, 4 * MW), (900, 20 * MW))
    bench.fall_silent()
    bench.run(60)
    assert (bench.limit_w < CONTRACT_W, bench.source) == (True, Source.FAILSAFE)
    bench.run(30)
    assert (bench.limit_w, bench.source) == (4 * MW, Source.QUOTA)
    bench.run(800)
    assert (bench.limit_w, bench.source) == (FAILSAFE_W, Source.FAILSAFE)


def test_one_more_cause_does_not_begin_the_ramp_anew() -> None:
    bench = controlled()
    bench.meter = False
    bench.run(250)
    bench.leasing = False
    limits = [verdict.limit_w for verdict in bench.run(500)]
    assert limits == sorted(limits, reverse=True)
    assert limits[60 + 331] == FAILSAFE_W


@pytest.mark.parametrize("offset_s", [0.0, 45.0])
def test_without_a_ramp_the_failsafe_limit_is_in_force_after_the_offset(offset_s: float) -> None:
    bench = AuthorityBench(replace(POLICY, failsafe_ramp_s=0.0, failsafe_offset_s=offset_s))
    bench.commanded((0, None))
    bench.leasing = False
    limits = [verdict.limit_w for verdict in bench.run(200)]
    fallen_after = 120 + int(offset_s)
    assert limits[fallen_after - 2] == CONTRACT_W
    assert limits[fallen_after] == FAILSAFE_W


def foreseen(bench: AuthorityBench, seconds: int) -> list[int]:
    return [forecast_w(bench.authority, bench.now, bench.policy, s) for s in range(1, seconds + 1)]


def limits_of(bench: AuthorityBench, seconds: int) -> list[int]:
    return [verdict.limit_w for verdict in bench.run(seconds)]


def test_what_is_forecast_of_a_schedule_is_what_comes() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None), (100, 20 * MW), (190, 0), (220, 12 * MW))
    expected = foreseen(bench, 600)
    assert limits_of(bench, 600) == expected
    assert {20 * MW, 0, 12 * MW} < set(expected)


def test_a_fall_that_is_under_way_is_forecast_to_go_on_as_it_began() -> None:
    bench = controlled()
    bench.fall_silent()
    expected = foreseen(bench, 400)
    assert limits_of(bench, 400) == expected
    assert expected[-1] == FAILSAFE_W


@pytest.mark.parametrize("silent", ["heartbeats", "meter"])
def test_silence_that_may_still_end_is_not_foreseen(silent: str) -> None:
    """Loads ordered ahead of a fall that never comes would be shed at every late heartbeat."""
    bench = controlled()
    if silent == "heartbeats":
        bench.leasing = False
        bench.run(100)
    else:
        bench.without_meter(200)
    assert set(foreseen(bench, 600)) == {CONTRACT_W}
    assert steady_for(bench.authority, bench.now, 600)


def test_nothing_is_said_to_be_steady_that_a_schedule_or_a_ramp_will_change() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None), (40, 20 * MW))
    assert steady_for(bench.authority, bench.now, 39)
    assert not steady_for(bench.authority, bench.now, 40)
    bench = controlled()
    bench.fall_silent()
    assert not steady_for(bench.authority, bench.now, 1)
    bench.run(400)
    assert steady_for(bench.authority, bench.now, 1_000)


# --- the clock ---


def test_before_the_first_lease_the_clock_is_not_trusted_and_nothing_rises() -> None:
    bench = AuthorityBench(last_limit_w=3 * MW)
    bench.quota((0, 20 * MW))
    assert (bench.limit_w, bench.authority.clock.trusted) == (3 * MW, False)
    bench.quota((0, MW))
    assert (bench.limit_w, bench.source) == (MW, Source.QUOTA)
    bench.quota((0, 20 * MW))
    assert bench.limit_w == MW
    bench.lease()
    assert bench.limit_w == 20 * MW


@pytest.mark.parametrize(
    ("late_s", "trusted"), [(0, True), (10, True), (11, False), (-10, True), (-12, False)]
)
def test_the_clock_is_trusted_within_ten_seconds(late_s: float, *, trusted: bool) -> None:
    assert ClockTrust().with_lease(1000.0, 1000.0 + late_s).trusted is trusted


def test_delay_only_adds_so_the_smallest_of_the_last_six_offsets_counts() -> None:
    clock = ClockTrust()
    for late_s in (100.0, 3.0, 80.0, 90.0, 100.0, 70.0, 60.0):
        clock = clock.with_lease(1000.0, 1000.0 + late_s)
    assert clock.trusted
    assert not clock.with_lease(1000.0, 1050.0).trusted


@pytest.mark.parametrize("step_s", [-3600.0, -2.0, 2.0, 3600.0])
def test_a_step_of_the_wall_clock_forgets_what_the_leases_had_shown(step_s: float) -> None:
    clock = ClockTrust().with_lease(1000.0, 1000.0).looked(1000.0, 50.0).looked(1001.0, 51.0)
    assert clock.trusted
    stepped = clock.looked(1002.0 + step_s, 52.0)
    assert (stepped.trusted, stepped.was_trusted) == (False, True)
    assert stepped.with_lease(1003.0, 1003.0).trusted


def test_a_quota_that_comes_right_after_a_clock_step_may_not_raise_before_the_next_lease() -> None:
    bench = AuthorityBench()
    bench.commanded((0, 3 * MW))
    bench.run(30)
    bench.wall_s += 7_200
    bench.quota((0, 20 * MW))
    assert bench.limit_w == 3 * MW
    bench.lease()
    assert bench.limit_w == 20 * MW


def test_an_overlay_does_not_end_on_a_clock_that_cannot_be_believed() -> None:
    bench = controlled()
    bench.hold(2 * MW, until_s=600)
    bench.leasing = False
    bench.wall_s += 3_600
    assert {verdict.limit_w for verdict in bench.run(20)} == {2 * MW}
    bench.wall_s -= 3_600
    bench.lease()
    assert {verdict.limit_w for verdict in bench.run(20)} == {2 * MW}


def test_a_lease_is_fresh_from_its_signing_not_from_its_arrival() -> None:
    bench = controlled()
    bench.leasing = False
    bench.run(50)
    bench.lease(sent_s_ago=40)
    bench.run(79)
    assert bench.is_in(State.CONTROLLED)
    bench.run(2)
    assert bench.is_in(State.FAILSAFE)
    bench.lease(sent_s_ago=121)
    assert bench.is_in(State.FAILSAFE)


def test_a_lease_that_waited_for_the_disk_is_no_fresher_for_it() -> None:
    bench = controlled()
    bench.leasing = False
    lease = bench.last_lease
    assert lease is not None
    bench.run(200)
    bench.tell(LeaseAccepted(lease))
    assert bench.state is State.FAILSAFE


def test_a_lease_ends_with_its_exp_if_that_is_earlier() -> None:
    bench = AuthorityBench()
    bench.quota((0, None))
    bench.lease(lives_s=30)
    bench.run(29)
    assert bench.is_in(State.CONTROLLED)
    bench.run(1)
    assert bench.is_in(State.FAILSAFE)


def test_a_shorter_timeout_shortens_the_lease_that_is_held_and_a_longer_one_does_not_lengthen_it() -> None:
    bench = controlled()
    fresh_until_s, lease = bench.authority.fresh_until_s, bench.last_lease
    assert fresh_until_s is not None
    bench.policy = replace(bench.policy, lease_timeout_s=bench.policy.lease_timeout_s + 60)
    bench.tell(LeaseTimed(lease))
    assert bench.authority.fresh_until_s == fresh_until_s
    bench.policy = replace(bench.policy, lease_timeout_s=bench.policy.lease_timeout_s - 100)
    bench.tell(LeaseTimed(None))
    assert bench.authority.fresh_until_s == fresh_until_s
    bench.tell(LeaseTimed(lease))
    assert bench.authority.fresh_until_s == pytest.approx(fresh_until_s - 40)
    # For none that is over already.
    bench.leasing = False
    bench.policy = replace(bench.policy, lease_timeout_s=1)
    bench.run(5)
    bench.tell(LeaseTimed(lease))
    assert bench.state is State.FAILSAFE


def test_an_older_lease_does_not_shorten_a_newer_one() -> None:
    bench = controlled()
    fresh_until_s = bench.authority.fresh_until_s
    bench.lease(sent_s_ago=100)
    assert bench.authority.fresh_until_s == fresh_until_s


def test_a_lease_on_a_clock_that_is_wrong_keeps_nothing_alive() -> None:
    bench = AuthorityBench()
    bench.quota((0, None))
    bench.lease(sent_s_ago=60)
    assert (bench.state, bench.authority.clock.trusted) == (State.INIT, False)


def test_a_lease_counts_until_its_quota_expires_and_not_in_that_second() -> None:
    for late_s, counts in ((59, True), (60, False)):
        bench = AuthorityBench()
        bench.quota((0, 12 * MW), exp=int(bench.wall_s) + 60)
        bench.run(late_s)
        bench.lease()
        assert (bench.state is State.LIMITED) is counts


def test_the_next_deadline_is_never_now() -> None:
    bench = AuthorityBench()
    bench.quota((0, 12 * MW), (50, 3 * MW))
    bench.run(50)
    assert bench.verdict.next_deadline_s == bench.monotonic_s + 70


# --- the disk ---


def test_while_records_cannot_be_written_the_limit_may_fall_and_not_rise() -> None:
    bench = AuthorityBench()
    bench.commanded((0, 12 * MW), (60, 8 * MW), (120, 20 * MW), (180, 6 * MW))
    bench.writable = False
    bench.run(70)
    assert bench.limit_w == 8 * MW
    bench.run(80)
    assert (bench.limit_w, bench.source) == (8 * MW, Source.QUOTA)
    bench.writable = True
    bench.run(1)
    assert bench.limit_w == 20 * MW
    bench.writable = False
    bench.run(60)
    assert bench.limit_w == 6 * MW


def test_moments_move_both_clocks() -> None:
    assert Moment(1000.0, 5.0).later(2.5) == Moment(1002.5, 7.5)
    assert AuthorityBench().tell(LeaseSeen(0, 0.0)).authority.clock.trusted
