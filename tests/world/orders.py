"""Keys, clocks and facts for tests of signed orders."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from daemon.commands.claims import Arguments
from daemon.commands.trust import TrustedKey
from daemon.commands.verdicts import (
    Admitted,
    Authentic,
    Command,
    Facts,
    HearLease,
    HeldAlready,
    Refused,
    Repeated,
    TakeQuota,
)
from daemon.commands.verifier import Verifier
from daemon.commands.words import Lane, Op, Role
from daemon.signing import PrivateKey, sign
from daemon.timestamps import format_utc

SITE = "lhe-01"
NOW_S = 1_800_000_000

SITE_KEY = PrivateKey.from_seed(b"\x09" * 32, "lhe-01-key")
KEYS = {
    Role.DISPATCHER: PrivateKey.from_seed(b"\x01" * 32, "dispatch-1"),
    Role.OPERATOR: PrivateKey.from_seed(b"\x02" * 32, "operator-1"),
    Role.ENGINEER: PrivateKey.from_seed(b"\x03" * 32, "engineer-1"),
}
TRUSTED = [TrustedKey(key.public(), role) for role, key in KEYS.items()]
VERIFIER = Verifier(SITE, TRUSTED)
JTI = "0a0b0c0d-1111-4222-8333-444455556666"

Verdict = Refused | HeldAlready | Repeated | TakeQuota | HearLease | Command


class CountedUuids:
    """UUIDs that a failing test can be read by."""

    def __init__(self) -> None:
        self._next = 0

    def uuid(self) -> str:
        self._next += 1
        return f"00000000-0000-4000-8000-{self._next:012d}"

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


def no_objection(op: Op, arguments: Arguments) -> str | None:
    del op, arguments
    return None


FACTS = Facts(
    now_s=NOW_S,
    clock_trusted=True,
    held_rev=0,
    hold_w=None,
    present_limit_w=10_000_000,
    contract_max_w=25_000_000,
    knows_device=lambda device: device == "m-00001",
    restart_obstacle=lambda _device: None,
    objection=no_objection,
)


def common(role: Role = Role.OPERATOR, **changes: Any) -> dict[str, Any]:
    """The claims that every message has, signed just now."""
    claims = {
        "iss": KEYS[role].kid,
        "aud": SITE,
        "jti": JTI,
        "seq": NOW_S * 1_000_000,
        "iat": NOW_S,
        "exp": NOW_S + 300,
    }
    return {**claims, **changes}


def quota_claims(**changes: Any) -> dict[str, Any]:
    entries = [
        {"start": format_utc(NOW_S - 600), "end": format_utc(NOW_S + 600), "limit_w": 12_000_000},
        {"start": format_utc(NOW_S + 600), "end": format_utc(NOW_S + 1200), "limit_w": None},
    ]
    claims = {**common(Role.DISPATCHER), "rev": 1, "schedule": entries, "exp": NOW_S + 1200}
    return {**claims, **changes}


def lease_claims(**changes: Any) -> dict[str, Any]:
    return {**common(Role.DISPATCHER), "rev": 1, **changes}


def command_claims(op: str = "ping", args: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {**common(), "op": op, "args": dict(args or {}), **changes}


def signed(claims: Any, lane: Lane, *, role: Role | None = None, typ: str | None = None) -> bytes:
    """Claims signed by the key of a role, by default the lane's."""
    text = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return sign(text, typ or lane.typ, KEYS[role or lane.role]).encode()


def judge(
    payload: bytes,
    lane: Lane,
    *,
    verifier: Verifier = VERIFIER,
    retained: bool = False,
    known_hash: str | None = None,
    held_hash: str | None = None,
    last_seq: int | None = None,
    **facts: Any,
) -> Verdict:
    """All three parts of the verifier, one after the other."""
    now = replace(FACTS, **facts)
    message = verifier.authenticate(lane, payload, now_s=now.now_s, held_hash=held_hash)
    if not isinstance(message, Authentic):
        return message
    admitted = verifier.admit(message, retained=retained, known_hash=known_hash, facts=now)
    if not isinstance(admitted, Admitted):
        return admitted
    return verifier.decide(admitted, last_seq=last_seq, facts=now)
