"""A restart is not an event of the grid."""

from dataclasses import replace

import pytest

from daemon.authority.machine import Cause, KeysTrusted, Source, State, Unfinished, start, unfinished_of
from tests.world.authority_bench import MW, POLICY, AuthorityBench

CONTRACT_W, FAILSAFE_W = POLICY.contract_max_w, POLICY.failsafe_w


def limited() -> AuthorityBench:
    bench = AuthorityBench()
    bench.commanded((0, 12 * MW))
    bench.run(65)
    return bench


def test_with_a_fresh_lease_the_limit_goes_on() -> None:
    bench = limited()
    bench.restart()
    assert (bench.state, bench.limit_w, bench.source) == (State.LIMITED, 12 * MW, Source.QUOTA)
    assert {verdict.limit_w for verdict in bench.run(100)} == {12 * MW}


def test_a_restart_does_not_make_the_lease_fresher() -> None:
    bench = limited()  # the last lease came 5 s ago
    bench.restart(after_s=15)
    bench.run(99)
    assert bench.is_in(State.LIMITED)
    bench.run(1)
    assert bench.is_in(State.FAILSAFE)


@pytest.mark.parametrize(
    ("reboot", "after_s"), [(False, 120.0), (False, 10_000.0), (True, 3.0), (True, 10_000.0)]
)
def test_without_a_fresh_lease_of_this_boot_it_begins_anew_at_the_failsafe_limit(
    *, reboot: bool, after_s: float
) -> None:
    bench = limited()
    bench.restart(after_s=after_s, reboot=reboot)
    assert (bench.state, bench.limit_w, bench.source) == (State.INIT, FAILSAFE_W, Source.FAILSAFE)


@pytest.mark.parametrize("up_s", [20.0, 5_070.0, 90_000.0])
def test_after_a_reboot_the_boot_clock_says_nothing_of_a_lease_however_long_it_has_run(up_s: float) -> None:
    bench = limited()
    bench.restart(reboot=True, up_s=up_s)
    assert bench.state is State.INIT


def test_a_wall_clock_set_back_does_not_make_an_old_lease_fresh() -> None:
    bench = limited()
    bench.restart(after_s=600, wall_step_s=-600)
    assert bench.is_in(State.INIT)


def test_a_lower_limit_than_the_failsafe_limit_outlives_a_reboot() -> None:
    bench = AuthorityBench()
    bench.commanded((0, 2 * MW), (100, 20 * MW))
    bench.run(30)
    bench.restart(after_s=90, reboot=True)
    assert (bench.state, bench.limit_w) == (State.INIT, 2 * MW)
    bench.run(119)
    assert bench.limit_w == 2 * MW


def test_the_very_first_start_is_at_the_failsafe_limit() -> None:
    bench = AuthorityBench()
    assert (bench.state, bench.limit_w, bench.source) == (State.INIT, FAILSAFE_W, Source.FAILSAFE)


def test_after_a_restart_the_clock_has_to_be_shown_anew_before_anything_rises() -> None:
    bench = AuthorityBench()
    bench.commanded((0, 12 * MW), (70, 20 * MW))
    bench.run(65)
    bench.restart(after_s=10)
    assert (bench.state, bench.limit_w) == (State.LIMITED, 12 * MW)
    bench.lease()
    assert bench.limit_w == 20 * MW


def test_a_restart_in_the_middle_of_the_ramp_does_not_lift_the_limit() -> None:
    bench = limited()
    bench.fall_silent()
    bench.run(150)
    before_w = bench.limit_w
    bench.restart()
    assert FAILSAFE_W <= bench.limit_w <= before_w


def test_hold_and_operator_limit_outlive_a_restart() -> None:
    bench = limited()
    bench.set_limit(4 * MW)
    bench.hold(3 * MW, until_s=3600)
    bench.restart()
    assert (bench.limit_w, bench.source) == (3 * MW, Source.HOLD)
    bench.lease()
    bench.release_hold()
    assert (bench.limit_w, bench.source) == (4 * MW, Source.OPERATOR)


@pytest.mark.parametrize("reboot", [False, True])
def test_an_overlay_that_was_over_long_ago_does_not_come_back_with_a_restart(*, reboot: bool) -> None:
    bench = limited()
    bench.hold(0, until_s=20)
    bench.set_limit(0, until_s=20)
    bench.run(40)
    assert bench.limit_w == 12 * MW
    bench.restart(reboot=reboot)
    assert bench.limit_w == (FAILSAFE_W if reboot else 12 * MW)


def test_an_overlay_that_ended_while_the_site_was_down_binds_until_the_clock_is_shown() -> None:
    bench = limited()
    bench.hold(MW, until_s=20)
    bench.restart(after_s=30)
    bench.run(5)
    assert (bench.limit_w, bench.source) == (MW, Source.HOLD)
    bench.lease()
    bench.tick()
    assert (bench.limit_w, bench.source) == (12 * MW, Source.QUOTA)


def test_a_quota_taken_after_the_last_lease_does_not_end_it_at_a_restart_either() -> None:
    bench = limited()
    bench.quota((0, 10 * MW))
    bench.restart()
    assert (bench.state, bench.limit_w) == (State.LIMITED, 10 * MW)


def test_a_released_hold_leaves_nothing_behind_in_init() -> None:
    bench = AuthorityBench()
    bench.hold(0)
    bench.quota((0, None))
    bench.lease(rev=99)
    assert (bench.state, bench.authority.clock.trusted) == (State.INIT, True)
    bench.release_hold()
    assert (bench.limit_w, bench.source) == (FAILSAFE_W, Source.FAILSAFE)


# --- a failsafe is not left by a restart ---


def meterless() -> AuthorityBench:
    """In failsafe for its meter alone, half-way down the ramp."""
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.run(60)
    bench.without_meter(301 + 30 + 150)
    assert bench.causes == {Cause.METER}
    assert FAILSAFE_W < bench.limit_w < CONTRACT_W
    return bench


def test_a_lost_meter_keeps_the_site_in_failsafe_over_a_restart_and_the_ramp_goes_on_as_it_began() -> None:
    bench, twin = meterless(), meterless()
    bench.restart()
    assert (bench.state, bench.causes, bench.source) == (
        State.FAILSAFE,
        frozenset({Cause.METER}),
        Source.FAILSAFE,
    )
    bench.lease()
    bench.leasing = True
    twin.run(3)
    limits = [verdict.limit_w for verdict in bench.run(200)]
    assert limits == [verdict.limit_w for verdict in twin.run(200)]
    assert bench.limit_w == FAILSAFE_W
    bench.with_meter(60)
    assert bench.is_in(State.FAILSAFE)
    bench.with_meter(1)
    assert (bench.state, bench.limit_w) == (State.CONTROLLED, CONTRACT_W)


@pytest.mark.parametrize("reboot", [False, True])
def test_a_lost_meter_keeps_the_site_in_failsafe_over_a_reboot_or_a_long_stop_too(*, reboot: bool) -> None:
    bench = meterless()
    bench.restart(after_s=200, reboot=reboot)
    assert (bench.state, bench.limit_w) == (State.FAILSAFE, FAILSAFE_W)
    bench.lease()
    bench.leasing = True
    assert {verdict.authority.state for verdict in bench.run(200)} == {State.FAILSAFE}
    assert bench.limit_w == FAILSAFE_W
    bench.with_meter(61)
    assert bench.is_in(State.CONTROLLED)


def test_the_seconds_without_a_meter_are_not_counted_anew_after_a_restart() -> None:
    bench = limited()
    bench.without_meter(290)
    bench.restart()
    bench.leasing = True
    bench.lease()
    bench.run(6)
    assert bench.is_in(State.LIMITED)
    bench.run(2)
    assert bench.causes == {Cause.METER}


def test_a_meter_that_was_well_has_its_full_time_to_be_read_after_a_restart() -> None:
    bench = limited()
    bench.restart()
    bench.leasing = True
    bench.lease()
    bench.without_meter(299)
    assert bench.is_in(State.LIMITED)


def test_after_a_reboot_the_seconds_without_a_meter_are_counted_anew() -> None:
    bench = limited()
    bench.without_meter(290)
    bench.restart(reboot=True, up_s=90_000.0)
    bench.leasing = True
    bench.lease()
    bench.run(298)
    assert bench.causes == frozenset()


@pytest.mark.parametrize("reboot", [False, True])
def test_a_revoked_key_stays_revoked_over_a_restart_until_a_new_quota_comes(*, reboot: bool) -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.revoke()
    bench.run(200)
    before_w = bench.limit_w
    bench.restart(reboot=reboot)
    assert (bench.limit_w, before_w > FAILSAFE_W) == (FAILSAFE_W, True)
    bench.tell(KeysTrusted(frozenset({"dispatch-1"})))
    bench.leasing = True
    assert {verdict.authority.state for verdict in bench.run(300)} == {State.FAILSAFE}
    assert Cause.TRUST in bench.causes
    bench.quota((0, None))
    bench.lease()
    assert (bench.state, bench.limit_w) == (State.CONTROLLED, CONTRACT_W)


def test_a_quota_taken_just_before_the_stop_is_not_the_one_that_was_revoked() -> None:
    bench = limited()
    bench.revoke()
    # The desk stored the next quota; that the cause has ended with it was not written any more.
    written = unfinished_of(bench.authority, bench.boot_id, bench.boottime_s - bench.monotonic_s)
    bench.quota((0, 12 * MW))
    verdict = start(
        POLICY,
        bench.now,
        boot_id=bench.boot_id,
        boottime_s=bench.boottime_s,
        last_limit_w=12 * MW,
        quota=bench.authority.quota,
        unfinished=written,
    )
    assert verdict.authority.causes == frozenset()


def test_a_lease_that_came_before_the_failsafe_does_not_lead_out_of_it_by_a_restart() -> None:
    bench = AuthorityBench()
    bench.commanded((0, 12 * MW))
    bench.revoke()
    bench.quota((0, 12 * MW))
    assert bench.causes == {Cause.LEASE}
    bench.restart()
    assert (bench.state, bench.limit_w) == (State.INIT, FAILSAFE_W)


def test_without_a_fresh_lease_a_restart_on_the_ramp_begins_at_the_failsafe_limit() -> None:
    bench = limited()
    bench.fall_silent()
    bench.run(150)
    assert bench.limit_w > FAILSAFE_W
    bench.restart()
    assert (bench.state, bench.limit_w) == (State.INIT, FAILSAFE_W)


def test_restart_after_restart_does_not_put_off_the_failsafe_limit() -> None:
    bench = meterless()
    for _ in range(5):
        bench.lease()
        bench.leasing = True
        bench.run(37)
        bench.restart()
    assert bench.limit_w == FAILSAFE_W


def test_a_fresh_lease_alone_resumes_nothing() -> None:
    bench = limited()
    kept = {
        "boot_id": bench.boot_id,
        "boottime_s": bench.boottime_s,
        "quota": bench.authority.quota,
        "lease": bench.last_lease,
    }
    never_ran = start(POLICY, bench.now, last_limit_w=None, **kept)  # type: ignore[arg-type] # by name
    assert (never_ran.authority.state, never_ran.limit_w) == (State.INIT, FAILSAFE_W)
    later = {**kept, "lease": replace(bench.last_lease, rev=2)}  # type: ignore[type-var] # there is one
    for without in (later, {**kept, "quota": None}, {**kept, "lease": None}):
        verdict = start(POLICY, bench.now, last_limit_w=12 * MW, **without)  # type: ignore[arg-type] # by name
        assert verdict.authority.state is State.INIT
    before_it_came = {**kept, "boottime_s": bench.boottime_s - 60.0}
    verdict = start(POLICY, bench.now, last_limit_w=12 * MW, **before_it_came)  # type: ignore[arg-type] # by name
    assert verdict.authority.state is State.INIT
    bench.revoke()
    written = Unfinished(bench.boot_id, frozenset({Cause.TRUST}), "hash-1")
    revoked = start(POLICY, bench.now, last_limit_w=12 * MW, unfinished=written, **kept)  # type: ignore[arg-type] # by name
    assert (revoked.authority.state, revoked.limit_w) == (State.FAILSAFE, FAILSAFE_W)
    assert not revoked.authority.fresh(bench.monotonic_s)


def test_what_an_older_version_kept_is_enough_to_go_on() -> None:
    bench = limited()
    verdict = start(
        POLICY,
        bench.now,
        boot_id=bench.boot_id,
        boottime_s=bench.boottime_s,
        last_limit_w=12 * MW,
        last_source=Source.QUOTA,
        quota=bench.authority.quota,
        lease=bench.last_lease,
    )
    assert (verdict.authority.state, verdict.limit_w) == (State.LIMITED, 12 * MW)
