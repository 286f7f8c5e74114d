"""Every transition between the states of authority, and the limit in force in each state."""

from collections.abc import Callable

import pytest

from daemon.authority.machine import Cause, KeysTrusted, QuotaTaken, Source, State
from tests.world.authority_bench import MW, POLICY, AuthorityBench, quota_of

CONTRACT_W, FAILSAFE_W = POLICY.contract_max_w, POLICY.failsafe_w


def started() -> AuthorityBench:
    return AuthorityBench()


def controlled() -> AuthorityBench:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.run(60)
    return bench


def limited() -> AuthorityBench:
    bench = AuthorityBench()
    bench.commanded((0, 12 * MW))
    bench.run(60)
    return bench


def uncovered() -> AuthorityBench:
    bench = AuthorityBench()
    bench.commanded((3600, 12 * MW))
    bench.run(60)
    return bench


def silent() -> AuthorityBench:
    bench = controlled()
    bench.fall_silent()
    bench.run(400)
    return bench


def meterless() -> AuthorityBench:
    bench = controlled()
    bench.meter = False
    bench.run(700)
    return bench


def revoked() -> AuthorityBench:
    bench = controlled()
    bench.tell(KeysTrusted(frozenset({"dispatch-2"})))
    bench.run(400)
    return bench


Build = Callable[[], AuthorityBench]


@pytest.mark.parametrize(
    ("build", "state", "limit_w", "source"),
    [
        (started, State.INIT, FAILSAFE_W, Source.FAILSAFE),
        (controlled, State.CONTROLLED, CONTRACT_W, Source.CONTRACT),
        (limited, State.LIMITED, 12 * MW, Source.QUOTA),
        (uncovered, State.LIMITED, FAILSAFE_W, Source.FAILSAFE),
        (silent, State.FAILSAFE, FAILSAFE_W, Source.FAILSAFE),
        (meterless, State.FAILSAFE, FAILSAFE_W, Source.FAILSAFE),
        (revoked, State.FAILSAFE, FAILSAFE_W, Source.FAILSAFE),
    ],
)
def test_the_limit_of_each_state(build: Build, state: State, limit_w: int, source: Source) -> None:
    bench = build()
    assert (bench.state, bench.limit_w, bench.source) == (state, limit_w, source)


@pytest.mark.parametrize(
    ("build", "happens", "to"),
    [
        (started, lambda bench: bench.commanded((0, None)), State.CONTROLLED),
        (started, lambda bench: bench.commanded((0, 3 * MW)), State.LIMITED),
        (started, lambda bench: bench.commanded((60, 3 * MW)), State.LIMITED),
        (started, lambda bench: bench.run(119), State.INIT),
        (started, lambda bench: bench.run(120), State.FAILSAFE),
        (controlled, lambda bench: bench.quota((0, 3 * MW)), State.LIMITED),
        (controlled, lambda bench: bench.quota((0, None), (20, 3 * MW)), State.CONTROLLED),
        (controlled, lambda bench: (bench.quota((0, None), (20, 3 * MW)), bench.run(20)), State.LIMITED),
        (limited, lambda bench: bench.quota((0, None)), State.CONTROLLED),
        (limited, lambda bench: (bench.quota((0, 3 * MW), (20, None)), bench.run(20)), State.CONTROLLED),
        (controlled, lambda bench: bench.fall_silent(), State.FAILSAFE),
        (limited, lambda bench: bench.fall_silent(), State.FAILSAFE),
        (silent, lambda bench: bench.lease(), State.CONTROLLED),
        (silent, lambda bench: (bench.quota((0, 3 * MW)), bench.lease()), State.LIMITED),
        (silent, lambda bench: bench.quota((0, 3 * MW)), State.FAILSAFE),
        (silent, lambda bench: bench.lease(rev=7), State.FAILSAFE),
        (controlled, lambda bench: bench.without_meter(299), State.CONTROLLED),
        (controlled, lambda bench: bench.without_meter(301), State.FAILSAFE),
        (meterless, lambda bench: bench.with_meter(59), State.FAILSAFE),
        (meterless, lambda bench: bench.with_meter(61), State.CONTROLLED),
        (controlled, lambda bench: bench.tell(KeysTrusted(frozenset({"dispatch-1"}))), State.CONTROLLED),
        (controlled, lambda bench: bench.tell(KeysTrusted(frozenset({"dispatch-2"}))), State.FAILSAFE),
        (revoked, lambda bench: bench.lease(), State.FAILSAFE),
        (revoked, lambda bench: bench.tell(KeysTrusted(frozenset({"dispatch-1"}))), State.FAILSAFE),
        (revoked, lambda bench: (bench.quota((0, None)), bench.lease()), State.CONTROLLED),
        (revoked, lambda bench: (bench.quota((0, 3 * MW)), bench.lease()), State.LIMITED),
        (revoked, lambda bench: bench.quota((0, None)), State.FAILSAFE),
        (started, lambda bench: bench.lease(rev=7), State.INIT),
        (started, lambda bench: bench.quota((0, 3 * MW)), State.INIT),
        (started, lambda bench: (bench.quota((0, None)), bench.revoke()), State.FAILSAFE),
        (started, lambda bench: bench.without_meter(119), State.INIT),
        (limited, lambda bench: bench.without_meter(299), State.LIMITED),
        (limited, lambda bench: bench.without_meter(301), State.FAILSAFE),
        (limited, lambda bench: bench.revoke(), State.FAILSAFE),
        (limited, lambda bench: bench.quota((0, 3 * MW), last_s=20), State.LIMITED),
        (limited, lambda bench: (bench.quota((0, 3 * MW), last_s=20), bench.run(20)), State.LIMITED),
        (controlled, lambda bench: (bench.quota((0, None), last_s=20), bench.run(20)), State.LIMITED),
        (uncovered, lambda bench: bench.run(3540), State.LIMITED),
        (uncovered, lambda bench: bench.quota((0, None)), State.CONTROLLED),
        (uncovered, lambda bench: bench.fall_silent(), State.FAILSAFE),
        (silent, lambda bench: bench.run(7200), State.FAILSAFE),
        (silent, lambda bench: bench.lease(sent_s_ago=120), State.FAILSAFE),
        (silent, lambda bench: (bench.hold(0), bench.release_hold()), State.FAILSAFE),
        (meterless, lambda bench: (bench.quota((0, 3 * MW)), bench.with_meter(61)), State.LIMITED),
        (meterless, lambda bench: (bench.quota((0, None)), bench.lease()), State.FAILSAFE),
    ],
)
def test_what_leads_where(build: Build, happens: Callable[[AuthorityBench], object], to: State) -> None:
    bench = build()
    happens(bench)
    assert bench.state is to


@pytest.mark.parametrize("build", [started, controlled, limited, uncovered, silent, meterless, revoked])
def test_a_lower_schedule_counts_in_every_state(build: Build) -> None:
    bench = build()
    bench.quota((0, MW))
    assert (bench.limit_w, bench.source) == (MW, Source.QUOTA)


@pytest.mark.parametrize("build", [started, controlled, limited, uncovered, silent, meterless, revoked])
def test_hold_and_operator_limit_overlay_every_state_which_runs_on_beneath(build: Build) -> None:
    bench, twin = build(), build()
    bench.hold(2 * MW)
    bench.set_limit(3 * MW)
    assert (bench.limit_w, bench.source, bench.state) == (2 * MW, Source.HOLD, twin.state)
    bench.run(30)
    twin.run(30)
    bench.release_hold()
    assert bench.limit_w == (3 * MW if bench.authority.clock.trusted else 2 * MW)
    bench.remove_limit()
    if bench.authority.clock.trusted:
        assert (bench.limit_w, bench.source, bench.state) == (twin.limit_w, twin.source, twin.state)
    else:
        assert (bench.limit_w, bench.source) == (2 * MW, Source.HOLD)


def test_a_meter_that_is_back_does_not_lead_out_while_leases_are_missing() -> None:
    bench = meterless()
    bench.leasing = False
    bench.run(200)
    assert bench.causes == {Cause.METER, Cause.LEASE}
    bench.meter = True
    bench.run(120)
    assert (bench.state, bench.causes) == (State.FAILSAFE, frozenset({Cause.LEASE}))


def test_a_lease_for_an_expired_quota_counts_no_more_and_its_limits_hold_until_their_end() -> None:
    bench = AuthorityBench()
    bench.commanded((0, 3 * MW), (300, 4 * MW))
    bench.rev += 1
    bench.tell(QuotaTaken(quota_of(2, bench.wall_s, (0, 3 * MW), (300, 4 * MW), exp=int(bench.wall_s) + 60)))
    bench.run(180)
    assert (bench.state, bench.limit_w, bench.source) == (State.FAILSAFE, 3 * MW, Source.QUOTA)
    bench.run(180)
    assert (bench.state, bench.limit_w, bench.source) == (State.FAILSAFE, 4 * MW, Source.QUOTA)


def test_after_the_last_entry_the_failsafe_limit_holds_whatever_the_leases_say() -> None:
    bench = AuthorityBench()
    bench.leasing = True
    bench.quota((0, 12 * MW), last_s=300)
    bench.run(299)
    assert bench.limit_w == 12 * MW
    bench.run(1)
    assert (bench.limit_w, bench.source) == (FAILSAFE_W, Source.FAILSAFE)


def test_a_quota_above_the_contract_maximum_is_clamped() -> None:
    bench = AuthorityBench()
    bench.commanded((0, 400 * MW))
    assert (bench.state, bench.limit_w, bench.source) == (State.LIMITED, CONTRACT_W, Source.QUOTA)


def test_a_new_quota_neither_starts_nor_ends_a_running_lease() -> None:
    bench = controlled()
    bench.leasing = False
    left_s = bench.authority.fresh_until_s
    bench.quota((0, 12 * MW))
    assert (bench.state, bench.authority.fresh_until_s) == (State.LIMITED, left_s)
    bench.fall_silent()
    bench.quota((0, 12 * MW))
    assert bench.state is State.FAILSAFE


def test_the_next_deadline_is_the_next_moment_at_which_silence_changes_something() -> None:
    bench = AuthorityBench()
    assert bench.verdict.next_deadline_s == bench.monotonic_s + 120
    bench.quota((0, 3 * MW), (50, MW))
    bench.lease()
    assert bench.verdict.next_deadline_s == bench.monotonic_s + 50
    bench.hold(2 * MW, until_s=40)
    assert bench.verdict.next_deadline_s == bench.monotonic_s + 40
    bench.run(51)
    assert bench.verdict.next_deadline_s == bench.monotonic_s + 120 - 51


def test_a_meter_ends_its_cause_once_its_readings_were_beyond_doubt_for_a_minute_and_it_is_trusted() -> None:
    # A meter that was distrusted shows good readings for a while before it is trusted: one wait, not two.
    bench = meterless()
    bench.meter, bench.meter_fresh = False, True
    bench.run(59)
    bench.meter = True
    bench.run(1)
    assert bench.is_in(State.FAILSAFE)
    bench.run(1)
    assert bench.is_in(State.CONTROLLED)
    bench = meterless()
    bench.meter, bench.meter_fresh = False, True
    bench.run(120)
    assert bench.is_in(State.FAILSAFE)


def test_good_readings_of_a_meter_that_is_not_trusted_do_not_put_off_the_failsafe() -> None:
    bench = controlled()
    bench.meter_fresh = True
    bench.without_meter(301)
    assert bench.causes == {Cause.METER}


def test_init_is_never_entered_but_by_a_start() -> None:
    for build in (controlled, limited, uncovered, silent, meterless, revoked):
        bench = build()
        bench.leasing = False
        bench.quota((0, 3 * MW))
        assert State.INIT not in {verdict.authority.state for verdict in bench.run(400)}
