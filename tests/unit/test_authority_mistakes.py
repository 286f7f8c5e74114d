"""Mistakes that products on the market shipped. One test for each; the name says what went wrong there."""

import json
import math
from dataclasses import replace

import pytest

from daemon.authority.machine import Cause, LeaseSeen, Source, State
from daemon.commands.claims import arguments_of
from daemon.commands.trust import TrustedKey
from daemon.commands.verdicts import Refused
from daemon.commands.verifier import Verifier
from daemon.commands.words import Lane, Op, Reason, Role
from daemon.metering.cover import Cover
from daemon.metering.meter_judge import MeterRecord, judged
from daemon.metering.reading import Reading, Resolution, Surroundings
from daemon.metering.site_power import PowerSource, SiteKnowledge, SitePower, measure_site
from daemon.signing import sign
from tests.world.authority_bench import MW, POLICY, AuthorityBench
from tests.world.orders import KEYS, SITE, SITE_KEY, judge, lease_claims, quota_claims, signed

CONTRACT_W, FAILSAFE_W = POLICY.contract_max_w, POLICY.failsafe_w


def test_failsafe_ten_seconds_after_the_start_because_no_heartbeat_could_have_arrived_yet() -> None:
    bench = AuthorityBench()
    states = {verdict.authority.state for verdict in bench.run(119)}
    assert states == {State.INIT}
    bench.quota((0, 12 * MW))
    bench.lease()
    assert (bench.state, bench.limit_w) == (State.LIMITED, 12 * MW)


@pytest.mark.parametrize("cause", [Cause.LEASE, Cause.METER, Cause.TRUST])
def test_failsafe_never_left_because_all_conditions_were_asked_for_where_one_was_enough(
    cause: Cause,
) -> None:
    bench = AuthorityBench()
    bench.commanded()
    bench.run(60)
    match cause:
        case Cause.LEASE:
            bench.fall_silent()
            assert bench.causes == {cause}
            bench.lease()
        case Cause.METER:
            bench.meter = False
            bench.run(301)
            assert bench.causes == {cause}
            bench.meter = True
            bench.run(61)
        case Cause.TRUST:
            bench.revoke()
            assert cause in bench.causes
            bench.quota((0, None))
            bench.lease()
    assert (bench.state, bench.limit_w, bench.causes) == (State.CONTROLLED, CONTRACT_W, frozenset())


@pytest.mark.parametrize("steps", [((0, None),), ((0, 12 * MW), (4000, None))])
def test_silently_unlimited_after_two_hours(steps: tuple[tuple[int, int | None], ...]) -> None:
    bench = AuthorityBench()
    bench.commanded(*steps)
    bench.run(60)
    bench.leasing = False
    late = bench.run(3 * 3600)[600:]
    assert {verdict.authority.state for verdict in late} == {State.FAILSAFE}
    assert max(verdict.limit_w for verdict in late) == FAILSAFE_W


@pytest.mark.parametrize("held", [False, True])
def test_failsafe_left_on_the_heartbeat_alone_so_unlimited_until_the_limit_came(held: bool) -> None:  # noqa: FBT001
    bench = AuthorityBench()
    if held:
        bench.commanded((0, None))
        bench.run(20)
        bench.fall_silent()
    bench.run(600)
    for _ in range(20):
        bench.lease(rev=bench.rev + 1)
        bench.run(10)
        assert (bench.state, bench.limit_w) == (State.FAILSAFE, FAILSAFE_W)
    bench.quota((0, 12 * MW))
    assert bench.limit_w == FAILSAFE_W
    bench.lease()
    assert (bench.state, bench.limit_w) == (State.LIMITED, 12 * MW)


def test_a_limit_without_duration_expired_on_the_next_tick() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.hold(9 * MW)
    bench.set_limit(8 * MW)
    assert {verdict.limit_w for verdict in bench.run(2 * 3600)} == {8 * MW}
    bench.remove_limit()
    assert {verdict.limit_w for verdict in bench.run(2 * 3600)} == {9 * MW}


def test_negative_limits_accepted() -> None:
    claims = quota_claims()
    claims["schedule"][0]["limit_w"] = -1
    verdict = judge(signed(claims, Lane.QUOTA), Lane.QUOTA)
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.INVALID_ARGS
    for op, args in ((Op.SET_LIMIT, {"limit_w": -1}), (Op.HOLD, {"limit_w": -1, "reason": "crane"})):
        with pytest.raises(ValueError, match="limit_w"):
            arguments_of(op, args)


def test_the_failsafe_value_announced_but_the_old_limit_applied() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.run(60)
    bench.leasing = False
    for verdict in bench.run(800):
        # What is told is what was decided: one figure, with who set it, also half-way down the ramp.
        assert verdict.limit_w == verdict.authority.last_limit_w
        assert verdict.source is verdict.authority.last_source
        if verdict.limit_w < CONTRACT_W:
            assert verdict.source is Source.FAILSAFE
    assert bench.limit_w == FAILSAFE_W


def test_own_heartbeat_taken_for_the_peers() -> None:
    claims = lease_claims(iss=SITE_KEY.kid)
    own = sign(json.dumps(claims).encode(), Lane.LEASE.typ, SITE_KEY).encode()
    refused = judge(own, Lane.LEASE)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.UNKNOWN_KEY
    # Not even with a role of its own does another than a dispatcher keep the site alive.
    echo = Verifier(SITE, [TrustedKey(KEYS[Role.OPERATOR].public(), Role.OPERATOR)])
    lease = signed(lease_claims(iss=KEYS[Role.OPERATOR].kid), Lane.LEASE, role=Role.OPERATOR)
    refused = judge(lease, Lane.LEASE, verifier=echo)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.ROLE_DENIED


def test_a_heartbeat_that_was_only_seen_keeps_nothing_alive() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    for _ in range(40):
        bench.leasing = False
        bench.run(10)
        bench.tell(LeaseSeen(int(bench.wall_s), bench.wall_s))
    assert bench.state is State.FAILSAFE


def test_a_limit_of_zero_read_as_no_limit() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.run(10)
    bench.hold(0)
    assert (bench.limit_w, bench.source) == (0, Source.HOLD)
    bench.release_hold()
    assert bench.limit_w == CONTRACT_W
    bench.set_limit(0)
    assert (bench.limit_w, bench.source) == (0, Source.OPERATOR)
    bench.remove_limit()
    bench.quota((0, 0))
    assert (bench.state, bench.limit_w, bench.source) == (State.LIMITED, 0, Source.QUOTA)
    restarted = bench.restart()
    assert restarted.limit_w == 0
    rebooted = AuthorityBench(last_limit_w=0)
    assert (rebooted.limit_w, rebooted.verdict.authority.state) == (0, State.INIT)


def test_an_undefined_meter_read_as_zero_watts_of_load() -> None:
    def without_a_meter(uncontrolled_w: float | None, *meters: MeterRecord) -> SitePower:
        know = SiteKnowledge(900_000.0, 900_000.0, uncontrolled_w, None, Cover(0.0, 0.0))
        return measure_site(meters, ["poi"] * len(meters), know, 100.0)

    undefined = Reading(math.nan, math.nan, -math.inf, -math.inf, math.nan, fresh=False)
    around = Surroundings(900_000.0, 900_000.0, 2e6, 4.0)
    record = judged(MeterRecord(), undefined, around, Resolution(), 100.0)
    absent = without_a_meter(50_000.0, record)
    assert (absent.watts, absent.source, absent.trusted) == (950_000.0, PowerSource.ESTIMATE, False)
    never = without_a_meter(None, record)
    assert (never.watts, never.source, never.trusted) == (900_000.0, PowerSource.NAMEPLATE, False)
    assert (without_a_meter(None).watts, without_a_meter(None).trusted) == (900_000.0, False)
    # Answering without a figure is no figure either.
    mute = replace(undefined, sampled_s=99.5, fresh=True)
    assert not judged(record, mute, around, Resolution(), 100.0).trusted


def test_flapping_because_the_end_of_one_cause_cleared_another() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.run(60)
    bench.meter = False
    bench.run(310)
    bench.leasing = False
    bench.run(130)
    bench.revoke()
    assert bench.causes == {Cause.LEASE, Cause.METER, Cause.TRUST}
    bench.lease()  # for the quota of a revoked key: counts for nothing
    assert bench.causes == {Cause.LEASE, Cause.METER, Cause.TRUST}
    bench.quota((0, None))
    assert bench.causes == {Cause.LEASE, Cause.METER}
    bench.lease()
    assert (bench.causes, bench.state) == (frozenset({Cause.METER}), State.FAILSAFE)
    bench.meter = True
    bench.leasing = True
    bench.run(61)
    assert (bench.causes, bench.state) == (frozenset(), State.CONTROLLED)


def test_a_new_quota_ends_no_other_cause_than_trust() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.without_meter(310)
    bench.with_meter(30)
    bench.quota((0, None))
    assert bench.causes == {Cause.METER}


def test_a_lease_for_a_revoked_quota_does_not_outlive_it() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.revoke()
    bench.quota((0, None))
    assert (bench.state, bench.causes) == (State.FAILSAFE, frozenset({Cause.LEASE}))


def test_a_meter_that_comes_and_goes_does_not_lead_in_and_out_of_failsafe() -> None:
    bench = AuthorityBench()
    bench.commanded((0, None))
    bench.meter = False
    bench.run(310)
    for _ in range(20):
        bench.meter = not bench.meter
        assert {verdict.authority.state for verdict in bench.run(50)} == {State.FAILSAFE}
