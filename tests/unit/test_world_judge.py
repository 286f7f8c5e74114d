"""The judge of the world: what it lets pass, and what it does not."""

import base64
import json
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from tests.world.judge import Judge, Second
from tests.world.limit_oracle import Bounds, LimitOracle

MINUTE_S = 29_833_333 * 60.0
CONTRACT_W, FAILSAFE_W = 1_000.0, 300.0


def judged(seconds: Iterable[tuple[float, float, float | None]], *, floor_w: float = 0.0) -> Judge:
    """A judge that saw (power, floor or limit …) from the beginning of a minute on, and one minute more."""
    judge = Judge()
    last = Second(MINUTE_S, 0.0, floor_w, 500.0, "limited")
    judge.look(last, None)
    for number, (power_w, own_floor_w, limit_w) in enumerate(seconds, start=1):
        last = Second(MINUTE_S + number, power_w, own_floor_w, limit_w, "limited")
        judge.look(last, None)
    judge.look(Second(last.wall_s + 61, 0.0, 0.0, 500.0, "limited"), None)
    return judge


def test_a_minute_above_the_limit_is_a_violation() -> None:
    judge = judged([(503.0, 0.0, 500.0)] * 60)
    assert [each.wall_s for each in judge.violations] == [MINUTE_S]
    assert judge.violations[0].watts == pytest.approx(3.0)


def test_seconds_above_the_limit_that_a_minute_makes_good_are_none() -> None:
    assert judged([(520.0, 0.0, 500.0)] * 10 + [(490.0, 0.0, 500.0)] * 50).violations == []


def test_what_nothing_can_shed_is_none() -> None:
    assert judged([(700.0, 700.0, 500.0)] * 60).violations == []


def test_a_second_is_judged_by_the_limit_that_was_in_force_when_it_began() -> None:
    # The limit rises with the last second: what was drawn before it is not excused.
    judge = judged([(503.0, 0.0, 500.0)] * 59 + [(503.0, 0.0, 900.0)])
    assert len(judge.violations) == 1


def test_the_settling_window_is_left_out_and_the_rest_of_its_minute_is_not() -> None:
    judge = Judge()
    judge.gives_leeway(MINUTE_S + 25)
    for number in range(122):
        power_w = 900.0 if number <= 40 else 499.0
        judge.look(Second(MINUTE_S + number, power_w, 0.0, 500.0, "limited"), None)
    assert [each.wall_s for each in judge.violations] == [MINUTE_S]
    assert judge.minutes == 2


def test_a_limit_outside_of_its_bounds_is_a_violation() -> None:
    judge = Judge()
    for limit_w in (499.0, 500.0, 502.0, 480.0):
        judge.look(Second(MINUTE_S, 0.0, 0.0, limit_w, "limited"), Bounds(490.0, 500.0))
    assert [round(each.watts) for each in judge.violations] == [2, 10]


# --- which limit may be in force ---


def message(**claims: object) -> bytes:
    """The part of a JWS that the oracle reads."""
    return b"." + base64.urlsafe_b64encode(json.dumps(claims).encode()) + b"."


def utc(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def oracle() -> LimitOracle:
    """It knows a quota of 800 W for ten minutes, then 600 W, and a lease of this moment."""
    made = LimitOracle(CONTRACT_W, FAILSAFE_W)
    steps = ((0, 600, 800), (600, 6_000, 600))
    schedule = [
        {"start": utc(MINUTE_S + start), "end": utc(MINUTE_S + end), "limit_w": limit}
        for start, end, limit in steps
    ]
    made.heard("a/quota", message(rev=1, schedule=schedule, exp=MINUTE_S + 6_000), MINUTE_S)
    made.heard("a/lease", message(rev=1, iat=MINUTE_S, exp=MINUTE_S + 300), MINUTE_S)
    return made


def test_the_schedule_is_in_force_while_the_lease_is_fresh() -> None:
    assert oracle().bounds(MINUTE_S + 10) == Bounds(800, 800)


def test_silence_ends_in_the_failsafe_limit_by_ramp() -> None:
    known = oracle()
    assert known.bounds(MINUTE_S + 119) == Bounds(800, 800)
    low_w, high_w = known.bounds(MINUTE_S + 120 + 200)
    assert FAILSAFE_W < low_w < high_w < 800
    assert known.bounds(MINUTE_S + 120 + 400) == Bounds(FAILSAFE_W, FAILSAFE_W)


def test_a_lease_for_another_revision_gives_nothing() -> None:
    known = oracle()
    known.heard("a/lease", message(rev=2, iat=MINUTE_S + 100, exp=MINUTE_S + 400), MINUTE_S + 100)
    assert known.fresh(MINUTE_S + 119)
    assert not known.fresh(MINUTE_S + 121)


def test_a_lease_that_comes_before_its_quota_is_not_kept_for_it() -> None:
    known = oracle()
    known.heard("a/lease", message(rev=2, iat=MINUTE_S + 100, exp=MINUTE_S + 400), MINUTE_S + 100)
    entry = [{"start": utc(MINUTE_S), "end": utc(MINUTE_S + 900), "limit_w": 800}]
    known.heard("a/quota", message(rev=2, schedule=entry, exp=MINUTE_S + 900), MINUTE_S + 101)
    assert known.fresh(MINUTE_S + 119)
    assert not known.fresh(MINUTE_S + 121)


def test_a_fall_may_begin_at_the_step_at_which_the_lease_ends() -> None:
    known = oracle()
    entries = [
        {"start": utc(MINUTE_S), "end": utc(MINUTE_S + 120), "limit_w": 800},
        {"start": utc(MINUTE_S + 120), "end": utc(MINUTE_S + 900), "limit_w": 600},
    ]
    known.heard("a/quota", message(rev=2, schedule=entries, exp=MINUTE_S + 900), MINUTE_S + 5)
    assert known.bounds(MINUTE_S + 119) == Bounds(800, 800)
    low_w, high_w = known.bounds(MINUTE_S + 120 + 50)
    assert low_w < high_w == 600


def test_without_a_quota_there_is_only_the_failsafe_limit() -> None:
    known = LimitOracle(CONTRACT_W, FAILSAFE_W)
    known.started(MINUTE_S, known=False)
    assert known.bounds(MINUTE_S).high_w == FAILSAFE_W


def test_only_an_order_that_lowers_the_present_limit_comes_unannounced() -> None:
    known = oracle()
    ahead = [{"start": utc(MINUTE_S), "end": utc(MINUTE_S + 900), "limit_w": 800}]
    before_s = known.fell_unannounced_s
    known.heard("a/quota", message(rev=2, schedule=ahead, exp=MINUTE_S + 900), MINUTE_S + 5)
    assert known.fell_unannounced_s == before_s
    lower = [{"start": utc(MINUTE_S), "end": utc(MINUTE_S + 900), "limit_w": 700}]
    known.heard("a/quota", message(rev=3, schedule=lower, exp=MINUTE_S + 900), MINUTE_S + 6)
    assert known.fell_unannounced_s == MINUTE_S + 6
