"""The checks of contract §4, one named test for each word, in the contract's order."""

from typing import Any

import pytest

from daemon.commands.trust import TrustedKey
from daemon.commands.verdicts import Command, HearLease, HeldAlready, Refused, Repeated, TakeQuota
from daemon.commands.verifier import Verifier
from daemon.commands.words import Lane, Reason, Role
from daemon.signing import jws_hash
from daemon.timestamps import format_utc
from tests.world.orders import (
    JTI,
    KEYS,
    NOW_S,
    SITE,
    Verdict,
    command_claims,
    judge,
    lease_claims,
    quota_claims,
    signed,
)

HOLD = {"limit_w": 5_000_000, "reason": "crane at the transformer"}


def refused(verdict: Verdict, reason: Reason) -> Refused:
    assert isinstance(verdict, Refused), verdict
    assert verdict.reason is reason, verdict
    return verdict


def test_good_messages_pass() -> None:
    quota = judge(signed(quota_claims(), Lane.QUOTA), Lane.QUOTA)
    assert isinstance(quota, TakeQuota)
    assert quota.quota.rev == 1
    assert quota.quota.entries[0] == (NOW_S - 600, NOW_S + 600, 12_000_000)
    assert quota.quota.entries[1].limit_w is None
    assert isinstance(judge(signed(lease_claims(), Lane.LEASE), Lane.LEASE), HearLease)
    assert isinstance(judge(signed(command_claims("hold", HOLD), Lane.OPERATOR), Lane.OPERATOR), Command)


# --- unanswered ---


@pytest.mark.parametrize(
    ("lane", "limit"), [(Lane.QUOTA, 262_144), (Lane.LEASE, 16_384), (Lane.OPERATOR, 16_384)]
)
def test_too_large(lane: Lane, limit: int) -> None:
    refused(judge(b"a" * (limit + 1), lane), Reason.TOO_LARGE)
    refused(judge(b"a" * limit, lane), Reason.MALFORMED)


@pytest.mark.parametrize("payload", [b"hello", b"a.b.c", b"\xff\xfe", b"{}"])
def test_malformed_form_is_not_answered(payload: bytes) -> None:
    assert refused(judge(payload, Lane.OPERATOR), Reason.MALFORMED).jti is None


def test_unknown_key() -> None:
    verifier = Verifier(SITE, [TrustedKey(KEYS[Role.OPERATOR].public(), Role.OPERATOR)])
    verdict = judge(signed(quota_claims(), Lane.QUOTA), Lane.QUOTA, verifier=verifier)
    assert refused(verdict, Reason.UNKNOWN_KEY).jti is None
    assert refused(verdict, Reason.UNKNOWN_KEY).kid == "dispatch-1"


@pytest.mark.parametrize(
    ("not_before", "not_after", "counts"),
    [
        (NOW_S + 1, None, False),
        (None, NOW_S - 1, False),
        (NOW_S, NOW_S, True),
    ],
)
def test_unknown_key_outside_of_its_validity(
    not_before: int | None, not_after: int | None, *, counts: bool
) -> None:
    key = TrustedKey(KEYS[Role.OPERATOR].public(), Role.OPERATOR, not_before, not_after)
    payload = signed(command_claims(), Lane.OPERATOR)
    verdict = judge(payload, Lane.OPERATOR, verifier=Verifier(SITE, [key]))
    assert isinstance(verdict, Command) is counts
    if not counts:
        refused(verdict, Reason.UNKNOWN_KEY)


def test_bad_signature() -> None:
    good = signed(command_claims(), Lane.OPERATOR)
    other = signed(command_claims("hold", HOLD), Lane.OPERATOR)
    forged = good.rpartition(b".")[0] + b"." + other.rpartition(b".")[2]
    assert refused(judge(forged, Lane.OPERATOR), Reason.BAD_SIGNATURE).jti is None


# --- a quota that is held ---


def test_the_quota_held_is_ignored_right_after_its_signature() -> None:
    payload = signed(quota_claims(), Lane.QUOTA)
    held = jws_hash(payload)
    late: dict[str, Any] = {"now_s": NOW_S + 10_000, "held_rev": 1, "last_seq": NOW_S * 1_000_000}
    assert isinstance(judge(payload, Lane.QUOTA, held_hash=held, retained=True, **late), HeldAlready)


def test_bytes_with_the_hash_of_the_quota_held_still_need_its_signature() -> None:
    good = signed(quota_claims(), Lane.QUOTA)
    other = signed(quota_claims(rev=2), Lane.QUOTA)
    forged = good.rpartition(b".")[0] + b"." + other.rpartition(b".")[2]
    refused(judge(forged, Lane.QUOTA, held_hash=jws_hash(forged)), Reason.BAD_SIGNATURE)


# --- answered ---


def test_wrong_type() -> None:
    verdict = judge(signed(command_claims(), Lane.OPERATOR, typ="qw-rsp+jws"), Lane.OPERATOR)
    assert refused(verdict, Reason.WRONG_TYPE).jti == JTI


def test_wrong_type_comes_before_the_claims() -> None:
    verdict = judge(signed({"jti": JTI}, Lane.OPERATOR, typ="JWT"), Lane.OPERATOR)
    assert refused(verdict, Reason.WRONG_TYPE).jti == JTI


@pytest.mark.parametrize("jti", [JTI.upper(), "1", 7, None, JTI + "\n"])
def test_no_answer_without_a_well_formed_jti(jti: object) -> None:
    assert (
        refused(judge(signed(command_claims(jti=jti), Lane.OPERATOR), Lane.OPERATOR), Reason.MALFORMED).jti
        is None
    )


WRONG_CLAIMS = [
    pytest.param({"iss": "dispatch-1"}, id="iss is not the kid"),
    pytest.param({"aud": [SITE]}, id="aud is a list"),
    pytest.param({"seq": "1"}, id="seq is text"),
    pytest.param({"seq": True}, id="seq is a boolean"),
    pytest.param({"seq": -1}, id="seq is negative"),
    pytest.param({"seq": (NOW_S + 86_401) * 1_000_000}, id="seq is more than a day ahead"),
    pytest.param({"exp": NOW_S}, id="exp is iat"),
    pytest.param({"exp": NOW_S + 301}, id="lives too long"),
    pytest.param({"iat": None}, id="iat is null"),
    pytest.param({"until": "2027-01-15T08:00:00Z"}, id="an unknown member"),
]


@pytest.mark.parametrize("changes", WRONG_CLAIMS)
def test_malformed_common_claims(changes: dict[str, Any]) -> None:
    payload = signed(command_claims(**changes), Lane.OPERATOR)
    assert refused(judge(payload, Lane.OPERATOR), Reason.MALFORMED).jti == JTI


@pytest.mark.parametrize("changes", WRONG_CLAIMS[1:])
def test_malformed_common_claims_of_a_lease(changes: dict[str, Any]) -> None:
    refused(judge(signed(lease_claims(**changes), Lane.LEASE), Lane.LEASE), Reason.MALFORMED)


@pytest.mark.parametrize(
    "changes",
    [
        {"args": None},
        {"args": []},
        {"op": 1},
        {"expect_rev": None},
        {"expect_rev": "1"},
    ],
)
def test_malformed_command_claims(changes: dict[str, Any]) -> None:
    payload = signed({**command_claims(), **changes}, Lane.OPERATOR)
    refused(judge(payload, Lane.OPERATOR), Reason.MALFORMED)


@pytest.mark.parametrize("member", ["iss", "aud", "seq", "iat", "exp", "op", "args"])
def test_malformed_without_a_member(member: str) -> None:
    claims = command_claims()
    del claims[member]
    assert refused(judge(signed(claims, Lane.OPERATOR), Lane.OPERATOR), Reason.MALFORMED).jti == JTI


def test_malformed_when_a_name_comes_twice() -> None:
    text = b'{"jti":"%s","jti":"%s"}' % (JTI.encode(), JTI.encode())
    assert refused(judge(signed(text, Lane.OPERATOR), Lane.OPERATOR), Reason.MALFORMED).jti is None


def test_malformed_when_a_quota_outlives_its_schedule() -> None:
    refused(judge(signed(quota_claims(exp=NOW_S + 1201), Lane.QUOTA), Lane.QUOTA), Reason.MALFORMED)


def test_a_seq_a_day_ahead_of_an_untrusted_clock_passes_if_the_sender_agrees_with_itself() -> None:
    payload = signed(command_claims("hold", HOLD), Lane.OPERATOR)
    assert isinstance(judge(payload, Lane.OPERATOR, now_s=0.0, clock_trusted=False), Command)
    ahead = signed(command_claims("hold", HOLD, seq=(NOW_S + 86_401) * 1_000_000), Lane.OPERATOR)
    refused(judge(ahead, Lane.OPERATOR, clock_trusted=False), Reason.MALFORMED)


def test_wrong_audience() -> None:
    payload = signed(command_claims(aud="lhe-02"), Lane.OPERATOR)
    assert refused(judge(payload, Lane.OPERATOR), Reason.WRONG_AUDIENCE).jti == JTI


def test_role_denied_on_another_roles_topic() -> None:
    payload = signed(command_claims(), Lane.OPERATOR)
    assert refused(judge(payload, Lane.ENGINEER), Reason.ROLE_DENIED).jti == JTI


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ENGINEER])
def test_role_denied_for_quotas_and_leases_of_anyone_but_a_dispatcher(role: Role) -> None:
    kid = KEYS[role].kid
    quota = signed(quota_claims(iss=kid), Lane.QUOTA, role=role)
    lease = signed(lease_claims(iss=kid), Lane.LEASE, role=role)
    refused(judge(quota, Lane.QUOTA), Reason.ROLE_DENIED)
    refused(judge(lease, Lane.LEASE), Reason.ROLE_DENIED)


@pytest.mark.parametrize(
    "op", ["hold", "release_hold", "set_limit", "device.exclude", "flush", "reload", "nothing"]
)
def test_role_denied_for_a_dispatcher_who_commands(op: str) -> None:
    payload = signed(command_claims(op, iss="dispatch-1"), Lane.DISPATCHER)
    refused(judge(payload, Lane.DISPATCHER), Reason.ROLE_DENIED)


@pytest.mark.parametrize("op", ["flush", "reload"])
def test_role_denied_for_an_operator_who_flushes(op: str) -> None:
    refused(judge(signed(command_claims(op), Lane.OPERATOR), Lane.OPERATOR), Reason.ROLE_DENIED)


def test_retained() -> None:
    refused(judge(signed(command_claims(), Lane.OPERATOR), Lane.OPERATOR, retained=True), Reason.RETAINED)
    refused(judge(signed(lease_claims(), Lane.LEASE), Lane.LEASE, retained=True), Reason.RETAINED)
    assert isinstance(judge(signed(quota_claims(), Lane.QUOTA), Lane.QUOTA, retained=True), TakeQuota)


def test_known_bytes_get_the_stored_answer_even_when_they_have_expired() -> None:
    payload = signed(command_claims(), Lane.OPERATOR)
    verdict = judge(payload, Lane.OPERATOR, known_hash=jws_hash(payload), now_s=NOW_S + 400)
    assert verdict == Repeated("operator-1", JTI)


def test_jti_reuse() -> None:
    payload = signed(command_claims(), Lane.OPERATOR)
    assert refused(judge(payload, Lane.OPERATOR, known_hash="other"), Reason.JTI_REUSE).jti == JTI


@pytest.mark.parametrize(("late_s", "expired"), [(309, False), (310, True)])
def test_expired(late_s: int, *, expired: bool) -> None:
    verdict = judge(signed(command_claims(), Lane.OPERATOR), Lane.OPERATOR, now_s=NOW_S + late_s)
    assert isinstance(verdict, Refused) is expired
    if expired:
        assert refused(verdict, Reason.EXPIRED).uses_seq is None


@pytest.mark.parametrize(("ahead_s", "early"), [(10, False), (11, True)])
def test_not_yet_valid(ahead_s: int, *, early: bool) -> None:
    verdict = judge(signed(command_claims(), Lane.OPERATOR), Lane.OPERATOR, now_s=NOW_S - ahead_s)
    assert isinstance(verdict, Refused) is early
    if early:
        refused(verdict, Reason.NOT_YET_VALID)


@pytest.mark.parametrize(("behind", "again"), [(0, True), (-1, True), (1, False)])
def test_replayed(behind: int, *, again: bool) -> None:
    payload = signed(command_claims(seq=NOW_S * 1_000_000 + behind), Lane.OPERATOR)
    verdict = judge(payload, Lane.OPERATOR, last_seq=NOW_S * 1_000_000)
    assert isinstance(verdict, Refused) is again
    if again:
        refused(verdict, Reason.REPLAYED)


UNTIL = {"until": format_utc(NOW_S + 60)}

INVALID_ARGS = [
    ("nothing", {}),
    ("ping", {"verbose": True}),
    ("hold", {}),
    ("hold", {"limit_w": 1}),
    ("hold", {"limit_w": -1, "reason": "x"}),
    ("hold", {"limit_w": None, "reason": "x"}),
    ("hold", {"limit_w": True, "reason": "x"}),
    ("hold", {"limit_w": "1", "reason": "x"}),
    ("hold", {"limit_w": 1, "reason": ""}),
    ("hold", {"limit_w": 1, "reason": "x" * 201}),
    ("hold", {"limit_w": 1, "reason": "x", "untill": format_utc(NOW_S + 60)}),
    ("hold", {"limit_w": 1, "reason": "x", "until": format_utc(NOW_S)}),
    ("hold", {"limit_w": 1, "reason": "x", "until": format_utc(NOW_S + 31 * 86_400 + 1)}),
    ("hold", {"limit_w": 1, "reason": "x", "until": "2027-01-15 08:01:00Z"}),
    ("hold", {"limit_w": 1, "reason": "x", "until": NOW_S + 60}),
    ("set_limit", {}),
    ("set_limit", {"limit_w": 25_000_001}),
    ("device.exclude", {"device": "m-00001"}),
    ("device.exclude", {"device": "m-99999", "reason": "x"}),
    ("device.exclude", {"device": "../etc", "reason": "x"}),
    ("device.include", {"device": "m-99999"}),
    ("device.restart", {"device": "m-99999"}),
    ("device.restart", {}),
    ("plan", {}),
    ("plan", {"limit_w": None}),
]


@pytest.mark.parametrize(("op", "args"), INVALID_ARGS)
def test_invalid_args(op: str, args: dict[str, Any]) -> None:
    verdict = refused(
        judge(signed(command_claims(op, args), Lane.OPERATOR), Lane.OPERATOR), Reason.INVALID_ARGS
    )
    assert verdict.uses_seq == NOW_S * 1_000_000
    assert verdict.jti == JTI


VALID_ARGS = [
    ("ping", {}),
    ("hold", {"limit_w": 0, "reason": "x" * 200}),
    ("hold", {"limit_w": 1, "reason": "x", "until": format_utc(NOW_S + 31 * 86_400)}),
    ("hold", {"limit_w": 1, "reason": "x", "until": format_utc(NOW_S + 1)}),
    ("release_hold", {}),
    ("set_limit", {"limit_w": 0}),
    ("set_limit", {"limit_w": None}),
    ("set_limit", {"limit_w": 25_000_000, **UNTIL}),
    ("device.exclude", {"device": "m-00001", "reason": "fan", **UNTIL}),
    ("device.include", {"device": "m-00001"}),
    ("device.restart", {"device": "m-00001"}),
    ("plan", {"limit_w": 0}),
]


@pytest.mark.parametrize(("op", "args"), VALID_ARGS)
def test_valid_args(op: str, args: dict[str, Any]) -> None:
    assert isinstance(judge(signed(command_claims(op, args), Lane.OPERATOR), Lane.OPERATOR), Command)


def test_a_device_that_cannot_be_restarted_says_why() -> None:
    payload = signed(command_claims("device.restart", {"device": "m-00001"}), Lane.OPERATOR)
    verdict = judge(
        payload, Lane.OPERATOR, restart_obstacle=lambda _: "its profile has no order that does it"
    )
    assert "no order that does it" in refused(verdict, Reason.INVALID_ARGS).detail


@pytest.mark.parametrize("op", ["flush", "reload"])
def test_an_engineer_may_flush_and_reload(op: str) -> None:
    payload = signed(command_claims(op, iss="engineer-1"), Lane.ENGINEER)
    assert isinstance(judge(payload, Lane.ENGINEER), Command)


def _entries(*spans: tuple[int, int, Any]) -> list[dict[str, Any]]:
    return [
        {"start": format_utc(NOW_S + start), "end": format_utc(NOW_S + end), "limit_w": limit}
        for start, end, limit in spans
    ]


INVALID_SCHEDULES = [
    pytest.param([], id="empty"),
    pytest.param(_entries(*((n, n + 1, 0) for n in range(601))), id="601 entries"),
    pytest.param(_entries((10, 10, 0), (20, 1200, 0)), id="start is end"),
    pytest.param(_entries((0, 20, 0), (19, 1200, 0)), id="overlap"),
    pytest.param(_entries((0, 1200, -1)), id="negative"),
    pytest.param(_entries((0, 1200, 1.5)), id="a fraction makes the payload unreadable"),
    pytest.param([{**_entries((0, 1200, 1))[0], "note": "x"}], id="unknown member"),
    pytest.param([{"start": format_utc(NOW_S), "end": format_utc(NOW_S + 1200)}], id="no limit_w"),
    pytest.param([{"start": NOW_S, "end": NOW_S + 1200, "limit_w": 1}], id="times as numbers"),
    pytest.param(["x"], id="no object"),
]


@pytest.mark.parametrize("schedule", INVALID_SCHEDULES)
def test_invalid_args_of_a_quota(schedule: list[Any]) -> None:
    verdict = judge(signed(quota_claims(schedule=schedule), Lane.QUOTA), Lane.QUOTA)
    assert isinstance(verdict, Refused)
    fraction = any(isinstance(entry, dict) and entry.get("limit_w") == 1.5 for entry in schedule)
    assert verdict.reason is (Reason.MALFORMED if fraction else Reason.INVALID_ARGS)


def test_invalid_args_when_a_schedule_is_over() -> None:
    claims = quota_claims(schedule=_entries((-20, -1, 0)), iat=NOW_S - 30, exp=NOW_S - 1)
    refused(judge(signed(claims, Lane.QUOTA), Lane.QUOTA), Reason.INVALID_ARGS)


@pytest.mark.parametrize(("rev", "wrong"), [(0, True), (-5, True), (1_000_007, False), (1_000_008, True)])
def test_invalid_args_of_a_revision(rev: int, *, wrong: bool) -> None:
    verdict = judge(signed(quota_claims(rev=rev), Lane.QUOTA), Lane.QUOTA, held_rev=7)
    assert isinstance(verdict, Refused) is wrong
    if wrong:
        refused(verdict, Reason.INVALID_ARGS)


@pytest.mark.parametrize(("rev", "stale"), [(6, True), (7, True), (8, False)])
def test_stale_revision_of_a_quota(rev: int, *, stale: bool) -> None:
    verdict = judge(signed(quota_claims(rev=rev), Lane.QUOTA), Lane.QUOTA, held_rev=7)
    assert isinstance(verdict, Refused) is stale
    if stale:
        assert refused(verdict, Reason.STALE_REVISION).uses_seq is not None


@pytest.mark.parametrize(
    ("expected", "held", "stale"), [(0, 0, False), (0, 7, True), (7, 7, False), (8, 7, True)]
)
def test_stale_revision_of_a_command(expected: int, held: int, *, stale: bool) -> None:
    payload = signed(command_claims("hold", HOLD, expect_rev=expected), Lane.OPERATOR)
    verdict = judge(payload, Lane.OPERATOR, held_rev=held)
    assert isinstance(verdict, Refused) is stale
    if stale:
        refused(verdict, Reason.STALE_REVISION)


def test_a_lease_for_another_revision_is_no_refusal() -> None:
    assert isinstance(judge(signed(lease_claims(rev=9), Lane.LEASE), Lane.LEASE, held_rev=7), HearLease)


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("release_hold", {}),
        ("set_limit", {"limit_w": 10_000_000}),
        ("set_limit", {"limit_w": None}),
        ("device.exclude", {"device": "m-00001", "reason": "fan"}),
        ("device.include", {"device": "m-00001"}),
    ],
)
def test_clock_untrusted(op: str, args: dict[str, Any]) -> None:
    verdict = judge(signed(command_claims(op, args), Lane.OPERATOR), Lane.OPERATOR, clock_trusted=False)
    answer = refused(verdict, Reason.CLOCK_UNTRUSTED)
    assert answer.uses_seq is None
    assert not answer.kept


@pytest.mark.parametrize("now_s", [0.0, NOW_S - 86_400.0, NOW_S + 86_400.0])
@pytest.mark.parametrize(("op", "args"), [("hold", HOLD), ("set_limit", {"limit_w": 9_999_999})])
def test_lowering_needs_no_trusted_clock(op: str, args: dict[str, Any], now_s: float) -> None:
    payload = signed(command_claims(op, args), Lane.OPERATOR)
    assert isinstance(judge(payload, Lane.OPERATOR, clock_trusted=False, now_s=now_s), Command)


@pytest.mark.parametrize("now_s", [0.0, NOW_S - 86_400.0, NOW_S + 86_400.0])
def test_a_quota_needs_no_trusted_clock(now_s: float) -> None:
    payload = signed(quota_claims(), Lane.QUOTA)
    assert isinstance(judge(payload, Lane.QUOTA, clock_trusted=False, now_s=now_s), TakeQuota)


def test_replay_is_seen_on_an_untrusted_clock_too() -> None:
    payload = signed(command_claims("hold", HOLD), Lane.OPERATOR)
    verdict = judge(payload, Lane.OPERATOR, clock_trusted=False, last_seq=NOW_S * 1_000_000)
    refused(verdict, Reason.REPLAYED)


def test_a_hold_that_replaces_a_tighter_one_raises_and_needs_a_trusted_clock() -> None:
    payload = signed(command_claims("hold", HOLD), Lane.OPERATOR)
    doubtful: dict[str, Any] = {"clock_trusted": False, "hold_w": 4_000_000, "present_limit_w": 4_000_000}
    refused(judge(payload, Lane.OPERATOR, **doubtful), Reason.CLOCK_UNTRUSTED)


@pytest.mark.parametrize(("op", "args"), [("ping", {}), ("plan", {"limit_w": 1})])
def test_questions_are_answered_on_an_untrusted_clock(op: str, args: dict[str, Any]) -> None:
    payload = signed(command_claims(op, args), Lane.OPERATOR)
    assert isinstance(judge(payload, Lane.OPERATOR, clock_trusted=False), Command)
    refused(judge(payload, Lane.OPERATOR, clock_trusted=False, now_s=NOW_S + 400), Reason.EXPIRED)


def test_unsafe() -> None:
    payload = signed(command_claims("hold", HOLD), Lane.OPERATOR)
    verdict = judge(payload, Lane.OPERATOR, objection=lambda _op, _arguments: "the pumps would stop")
    assert refused(verdict, Reason.UNSAFE).detail == "the pumps would stop"


def test_the_first_check_that_fails_gives_the_word() -> None:
    """Everything is wrong with one command; mending one thing after the other shows the next."""
    wrong: dict[str, Any] = {
        "retained": True,
        "known_hash": "other",
        "now_s": NOW_S + 400,
        "last_seq": NOW_S * 1_000_000,
        "held_rev": 7,
        "objection": lambda _op, _arguments: "no",
    }
    claims = command_claims("flush", {"x": 1}, aud="lhe-02", expect_rev=6, seq=1, extra=1)
    typ = "JWT"
    seen = []
    mend: list[tuple[Reason, Any]] = [
        (Reason.WRONG_TYPE, None),
        (Reason.MALFORMED, lambda: claims.pop("extra")),
        (Reason.WRONG_AUDIENCE, lambda: claims.update(aud=SITE)),
        (Reason.ROLE_DENIED, lambda: claims.update(op="ping")),
        (Reason.RETAINED, lambda: wrong.update(retained=False)),
        (Reason.JTI_REUSE, lambda: wrong.update(known_hash=None)),
        (Reason.EXPIRED, lambda: wrong.update(now_s=NOW_S - 11)),
        (Reason.NOT_YET_VALID, lambda: wrong.update(now_s=NOW_S)),
        (Reason.REPLAYED, lambda: claims.update(seq=NOW_S * 1_000_000 + 1)),
        (Reason.INVALID_ARGS, lambda: claims.update(op="release_hold", args={})),
        (Reason.STALE_REVISION, lambda: claims.update(expect_rev=7)),
        (Reason.CLOCK_UNTRUSTED, lambda: wrong.update(clock_trusted=True)),
        (Reason.UNSAFE, None),
    ]
    wrong["clock_trusted"] = True
    for reason, cure in mend:
        if reason is Reason.CLOCK_UNTRUSTED:
            wrong["clock_trusted"] = False
        verdict = judge(signed(claims, Lane.OPERATOR, typ=typ), Lane.OPERATOR, **wrong)
        seen.append(refused(verdict, reason).reason)
        typ = Lane.OPERATOR.typ
        if cure is not None:
            cure()
    assert [reason for reason in seen if reason is not Reason.MALFORMED] == list(Reason)[4:]
    assert seen[1] is Reason.MALFORMED
