"""A restart is not an event of the grid."""

import pytest

from daemon.authority.machine import Source, State
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
