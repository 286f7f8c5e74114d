"""Whatever is done to a good message: it never counts by mistake, and never breaks the verifier."""

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from daemon.commands.verdicts import Command, HearLease, Refused, TakeQuota
from daemon.commands.words import Lane, Reason
from daemon.signing import b64url_encode
from tests.world.orders import KEYS, NOW_S, command_claims, judge, lease_claims, quota_claims, signed

HOLD = {"limit_w": 5_000_000, "reason": "crane", "until": "2027-01-15T09:00:00Z"}
GOOD: dict[Lane, dict[str, Any]] = {
    Lane.QUOTA: quota_claims(),
    Lane.LEASE: lease_claims(),
    Lane.OPERATOR: command_claims("hold", HOLD, expect_rev=0),
}
LANES = st.sampled_from(list(GOOD))
OPTIONAL = {("args", "until"), ("expect_rev",)}
UNANSWERED = {Reason.TOO_LARGE, Reason.MALFORMED, Reason.UNKNOWN_KEY, Reason.BAD_SIGNATURE}

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every member and entry of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: list[tuple[Any, ...]] = []
    for key, inner in items:
        found += [(*above, key), *_paths(inner, (*above, key))]
    return found


def _objects(value: Any) -> list[dict[str, Any]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return ([value] if isinstance(value, dict) else []) + [o for item in inner for o in _objects(item)]


def _copy(lane: Lane) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(GOOD[lane]))
    return copied


def _within(claims: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        claims = claims[key]
    return claims


def test_the_messages_that_are_mutated_are_good() -> None:
    for lane, claims in GOOD.items():
        assert isinstance(judge(signed(claims, lane), lane), TakeQuota | HearLease | Command)


@given(lane=LANES, data=st.data())
def test_a_changed_byte_is_refused_and_not_answered(lane: Lane, data: st.DataObject) -> None:
    good = signed(GOOD[lane], lane)
    at = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good[at]))
    verdict = judge(good[:at] + bytes([byte]) + good[at + 1 :], lane)
    assert isinstance(verdict, Refused)
    assert verdict.reason in UNANSWERED
    assert verdict.jti is None


@given(lane=LANES, part=st.sampled_from([0, 1, 2]), last=st.sampled_from(ALPHABET))
def test_every_other_spelling_of_the_same_bytes_is_refused(lane: Lane, part: int, last: str) -> None:
    parts = signed(GOOD[lane], lane).decode().split(".")
    if parts[part][-1] == last:
        return
    parts[part] = parts[part][:-1] + last
    verdict = judge(".".join(parts).encode(), lane)
    assert isinstance(verdict, Refused)
    assert verdict.reason in UNANSWERED


@given(lane=LANES, data=st.data())
def test_cut_and_lengthened_bytes_are_refused_and_not_answered(lane: Lane, data: st.DataObject) -> None:
    good = signed(GOOD[lane], lane)
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, len(good)))
    extra = data.draw(st.binary(max_size=6))
    changed = good[:start] + extra + good[end:]
    if changed == good:
        return
    verdict = judge(changed, lane)
    assert isinstance(verdict, Refused)
    assert verdict.reason in UNANSWERED
    assert verdict.jti is None


@given(lane=LANES, data=st.data())
def test_a_signed_message_with_an_unknown_member_anywhere_is_refused(lane: Lane, data: st.DataObject) -> None:
    claims = _copy(lane)
    target = data.draw(st.sampled_from(range(len(_objects(claims)))))
    name = data.draw(st.text(max_size=8).filter(lambda name: name not in _objects(claims)[target]))
    _objects(claims)[target][name] = data.draw(JSON_VALUES)
    if lane is Lane.OPERATOR and name in {"expect_rev", "until"}:
        return
    assert isinstance(judge(signed(claims, lane), lane), Refused)


@given(lane=LANES, data=st.data())
def test_a_signed_message_with_a_member_left_out_is_refused(lane: Lane, data: st.DataObject) -> None:
    claims = _copy(lane)
    paths = [path for path in _paths(claims) if isinstance(path[-1], str) and path not in OPTIONAL]
    path = data.draw(st.sampled_from(paths))
    del _within(claims, path)[path[-1]]
    assert isinstance(judge(signed(claims, lane), lane), Refused)


@given(lane=LANES, data=st.data())
def test_any_value_anywhere_is_judged_without_a_crash_and_only_its_own_type_counts(
    lane: Lane, data: st.DataObject
) -> None:
    claims = _copy(lane)
    path = data.draw(st.sampled_from(_paths(claims)))
    before = _within(claims, path)[path[-1]]
    value = data.draw(JSON_VALUES)
    _within(claims, path)[path[-1]] = value
    verdict = judge(signed(claims, lane), lane)
    if isinstance(verdict, Refused):
        return
    nullable = (path[-1] in {"limit_w", "until"} and lane is not Lane.OPERATOR) or path == ("args", "until")
    assert type(value) is type(before) or (nullable and (value is None or before is None))


@given(lane=LANES, iat=st.integers(-400, 400), life=st.integers(-10, 400), seq=st.integers(-10, 10))
def test_times_and_seq_count_only_within_their_bounds(lane: Lane, iat: int, life: int, seq: int) -> None:
    claims = _copy(lane)
    claims["iat"] = NOW_S + iat
    claims["exp"] = NOW_S + iat + life
    claims["seq"] = NOW_S * 1_000_000 + seq
    verdict = judge(signed(claims, lane), lane, last_seq=NOW_S * 1_000_000)
    longest = 1200 - iat if lane is Lane.QUOTA else 300
    counts = 0 < life <= longest and iat <= 10 and iat + life + 10 > 0 and seq > 0
    assert isinstance(verdict, Refused) is not counts


@given(payload=st.binary(max_size=400), lane=LANES)
def test_any_bytes_are_refused(payload: bytes, lane: Lane) -> None:
    assert isinstance(judge(payload, lane), Refused)


@given(
    payload=st.binary(max_size=100) | JSON_VALUES.map(lambda value: json.dumps(value).encode()), lane=LANES
)
def test_any_signed_payload_is_refused(payload: bytes, lane: Lane) -> None:
    assert isinstance(judge(signed(payload, lane), lane), Refused)


@given(header=JSON_VALUES | st.fixed_dictionaries(dict.fromkeys(("alg", "kid", "typ"), st.text(max_size=8))))
def test_any_header_is_refused_even_if_signed(header: Any) -> None:
    payload = json.dumps(GOOD[Lane.OPERATOR]).encode()
    signing_input = f"{b64url_encode(json.dumps(header).encode())}.{b64url_encode(payload)}"
    signature = b64url_encode(KEYS[Lane.OPERATOR.role].sign(signing_input.encode()))
    verdict = judge(f"{signing_input}.{signature}".encode(), Lane.OPERATOR)
    assert isinstance(verdict, Refused)
    assert verdict.jti is None


@given(data=st.binary(max_size=60), tail=st.sampled_from(["=", "\n", " ", "+", "/"]))
def test_what_decodes_encodes_to_the_same_text(data: bytes, tail: str) -> None:
    text = b64url_encode(data)
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert isinstance(judge(f"{text}{tail}.{text}.{text}".encode(), Lane.OPERATOR), Refused)
