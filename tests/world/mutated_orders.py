"""Orders as an attacker would bend them, and what each bend must come to.

Nothing here asks the verifier: a case says beforehand which words would be right.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from daemon.commands.words import Lane, Reason, Role
from daemon.signing import PrivateKey
from daemon.timestamps import format_utc
from tests.world.orders import KEYS, NOW_S, SITE, command_claims, lease_claims, quota_claims

UNANSWERED = frozenset({Reason.TOO_LARGE, Reason.MALFORMED, Reason.UNKNOWN_KEY, Reason.BAD_SIGNATURE})
MALFORMED = frozenset({Reason.MALFORMED})
FORGED = frozenset({Reason.BAD_SIGNATURE})
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519: S and S + this verify alike where S is not checked."""

ATTACKER = PrivateKey.from_seed(b"\x66" * 32, "attacker")
_EC_KEY = ec.derive_private_key(0x1234567, ec.SECP256R1())

HOLD = {"limit_w": 5_000_000, "reason": "crane", "until": "2027-01-15T09:00:00Z"}
GOOD: Mapping[Lane, Mapping[str, Any]] = {
    Lane.QUOTA: quota_claims(),
    Lane.LEASE: lease_claims(),
    Lane.DISPATCHER: command_claims("plan", {"limit_w": 1_000_000}, iss=KEYS[Role.DISPATCHER].kid),
    Lane.OPERATOR: command_claims("hold", HOLD, expect_rev=0),
    Lane.ENGINEER: command_claims(
        "device.exclude", {"device": "m-00001", "reason": "fan"}, iss=KEYS[Role.ENGINEER].kid
    ),
}
LANES = tuple(GOOD)


@dataclass(frozen=True, slots=True)
class Case:
    """A message, how it comes, and the words of which one is right; no words = it must be taken."""

    name: str
    lane: Lane
    payload: bytes
    words: frozenset[Reason]
    answerable: bool = False
    """Whether an answer may be given: the signature is good."""
    facts: Mapping[str, Any] = field(default_factory=dict)


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _jws(header: bytes, payload: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    signing_input = b64(header) + b"." + b64(payload)
    return signing_input + b"." + b64(sign(signing_input))


def _header(lane: Lane, **changes: Any) -> bytes:
    return _text({"alg": "EdDSA", "kid": KEYS[lane.role].kid, "typ": lane.typ, **changes})


def signed(lane: Lane, payload: bytes, *, typ: str | None = None, role: Role | None = None) -> bytes:
    key = KEYS[role or lane.role]
    header = _header(lane, kid=key.kid, typ=typ or lane.typ)
    return _jws(header, payload, key.sign)


_WHOLE = {lane: signed(lane, _text(claims)) for lane, claims in GOOD.items()}


def whole(rng: Random) -> Case:
    """A message that must be taken."""
    lane = rng.choice(LANES)
    return Case("whole", lane, _WHOLE[lane], frozenset())


# --- without the key ---


def _bits(rng: Random) -> Case:
    lane = rng.choice(LANES)
    text = bytearray(_WHOLE[lane])
    for at in rng.sample(range(len(text)), rng.choice((1, 1, 1, 2, 5))):
        text[at] ^= 1 << rng.randrange(8)
    return Case("bits", lane, bytes(text), UNANSWERED)


def _cut(rng: Random) -> Case:
    lane = rng.choice(LANES)
    good = _WHOLE[lane]
    at = rng.randrange(len(good))
    bent = rng.choice(
        (
            good[:at],
            good[at + 1 :],
            good[:at] + rng.randbytes(rng.randrange(1, 9)) + good[at:],
            good + rng.choice((b"\n", b" ", b"=", b".", b"." + b64(b"x"))),
            b" " + good,
        )
    )
    return Case("cut", lane, bent, UNANSWERED)


def _spelling(rng: Random) -> Case:
    """Unused bits set, padding, the other alphabet: the same signature in other bytes."""
    lane = rng.choice(LANES)
    parts = _WHOLE[lane].split(b".")
    which = rng.randrange(3)
    part = parts[which]
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if len(part) % 4 and rng.random() < 0.5:
        spare = {2: 16, 3: 4}[len(part) % 4]
        number = alphabet.index(part[-1:])
        other = number - number % spare + rng.randrange(1, spare)
        parts[which] = part[:-1] + alphabet[other : other + 1]
    else:
        parts[which] = part + b"=" * (-len(part) % 4 or 1)
    return Case("spelling", lane, b".".join(parts), MALFORMED)


def _spliced(rng: Random) -> Case:
    one, other = rng.sample(LANES, 2)
    ours, theirs = _WHOLE[one].split(b"."), _WHOLE[other].split(b".")
    theirs_at = rng.choice(((0,), (1,), (2,), (0, 1), (1, 2), (0, 2)))
    parts = [theirs[at] if at in theirs_at else ours[at] for at in range(3)]
    return Case("spliced", one, b".".join(parts), FORGED)


def _forged(rng: Random) -> Case:
    lane = rng.choice(LANES)
    claims = {**GOOD[lane], "jti": f"{rng.getrandbits(32):08x}-0000-4000-8000-000000000000"}
    return Case("forged", lane, _jws(_header(lane), _text(claims), ATTACKER.sign), FORGED)


def _stranger(rng: Random) -> Case:
    lane = rng.choice(LANES)
    kid = rng.choice((ATTACKER.kid, "dispatch-2", "..", "dispatch-1.jwk", "a" * 64))
    claims = {**GOOD[lane], "iss": kid}
    bent = _jws(_header(lane, kid=kid), _text(claims), ATTACKER.sign)
    return Case("stranger", lane, bent, frozenset({Reason.UNKNOWN_KEY}))


def _strange_kid(rng: Random) -> Case:
    lane = rng.choice(LANES)
    kid = rng.choice(
        ("", "../../etc/passwd", "a" * 65, 7, None, ["dispatch-1"], "dispatch-1\n", "дispatch-1")
    )
    bent = _jws(_header(lane, kid=kid), _text(GOOD[lane]), KEYS[lane.role].sign)
    return Case("strange kid", lane, bent, MALFORMED)


def _algorithm(rng: Random) -> Case:
    lane = rng.choice(LANES)
    public = KEYS[lane.role].public()
    secrets = (public.raw, b64(public.raw), _text(public.jwk()))
    algorithm, sign = rng.choice(
        (
            ("none", lambda _: b""),
            ("None", lambda _: b""),
            ("HS256", lambda text: hmac.digest(rng.choice(secrets), text, hashlib.sha256)),
            ("RS256", lambda text: hashlib.sha256(text).digest() * 8),
            ("ES256", lambda text: _EC_KEY.sign(text, ec.ECDSA(hashes.SHA256()))[:64]),
            ("ed25519", KEYS[lane.role].sign),
            ("Ed448", KEYS[lane.role].sign),
            (["EdDSA"], KEYS[lane.role].sign),
            (None, KEYS[lane.role].sign),
        )
    )
    return Case("algorithm", lane, _jws(_header(lane, alg=algorithm), _text(GOOD[lane]), sign), MALFORMED)


def _embedded(rng: Random) -> Case:
    """The key to verify with comes along, or where to fetch it."""
    lane = rng.choice(LANES)
    extra: dict[str, Any] = rng.choice(
        (
            {"jwk": {**ATTACKER.public_jwk(), "kid": KEYS[lane.role].kid}},
            {"jku": "http://127.0.0.1/keys"},
            {"x5u": "file:///etc/passwd"},
            {"x5c": [b64(rng.randbytes(40)).decode()]},
            {"crit": ["exp"], "exp": 1},
            {"b64": False, "crit": ["b64"]},
            {"zip": "DEF"},
            {"cty": "JWT"},
        )
    )
    signer = rng.choice((ATTACKER, KEYS[lane.role]))
    return Case("embedded", lane, _jws(_header(lane, **extra), _text(GOOD[lane]), signer.sign), MALFORMED)


def _header_text(rng: Random) -> Case:
    lane = rng.choice(LANES)
    kid, typ = KEYS[lane.role].kid.encode(), lane.typ.encode()
    header = rng.choice(
        (
            b'{"alg":"none","alg":"EdDSA","kid":"%s","typ":"%s"}' % (kid, typ),
            b'{"alg":"EdDSA","kid":"x","kid":"%s","typ":"%s"}' % (kid, typ),
            b'{"alg":"EdDSA","kid":"%s"}' % kid,
            b'\xef\xbb\xbf{"alg":"EdDSA","kid":"%s","typ":"%s"}' % (kid, typ),
            b'[{"alg":"EdDSA","kid":"%s","typ":"%s"}]' % (kid, typ),
            _header(lane).decode().encode("utf-16"),
            b"[" * 400,
            b'{"alg":"EdDSA","kid":"%s","typ":"%s"}' % (kid, b"a" * 600),
            b"",
            b"null",
        )
    )
    return Case("header", lane, _jws(header, _text(GOOD[lane]), KEYS[lane.role].sign), MALFORMED)


def _malleable(rng: Random) -> Case:
    """S + L, a zero, R of small order: other signatures that lax verifiers take."""
    lane = rng.choice(LANES)
    signing_input, _, last = _WHOLE[lane].rpartition(b".")
    signature = base64.urlsafe_b64decode(last + b"==")
    s = int.from_bytes(signature[32:], "little")
    bent = rng.choice(
        (
            signature[:32] + (s + GROUP_ORDER).to_bytes(32, "little"),
            bytes(64),
            b"\x01" + bytes(63),
            signature[:63],
            signature + b"\x00",
            signature[32:] + signature[:32],
        )
    )
    return Case("malleable", lane, signing_input + b"." + b64(bent), FORGED)


def _other_form(rng: Random) -> Case:
    lane = rng.choice(LANES)
    header, payload, signature = (part.decode() for part in _WHOLE[lane].split(b"."))
    flat = {"protected": header, "payload": payload, "signature": signature}
    many = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    bent = rng.choice((_text(flat), _text(many), _text(GOOD[lane]), f"{header}..{signature}".encode(), b""))
    if not bent:
        bent = b"."
    words = UNANSWERED if b".." in bent else MALFORMED
    return Case("other form", lane, bent, words)


def _noise(rng: Random) -> Case:
    return Case("noise", rng.choice(LANES), rng.randbytes(rng.randrange(1, 300)), MALFORMED)


def _huge(rng: Random) -> Case:
    lane = rng.choice(LANES)
    return Case("huge", lane, _WHOLE[lane] + b"A" * lane.max_bytes, frozenset({Reason.TOO_LARGE}))


# --- with the key: what its owner never meant, or meant for somewhere or some time else ---


def _held(name: str, lane: Lane, payload: bytes, *words: Reason, **facts: Any) -> Case:
    return Case(name, lane, payload, frozenset(words), answerable=True, facts=facts)


def _payload_text(rng: Random) -> Case:
    lane = rng.choice(LANES)
    good = _text(GOOD[lane])
    deep = rng.choice((20, 500, 1_500))
    bent = rng.choice(
        (
            good[:-1] + b',"seq":1}',
            good[:-1] + b',"aud":"%s"}' % SITE.encode(),
            good.replace(b'"iat":', b'"iat":1,"iat":', 1),
            good.replace(b'"seq":', b'"seq":1e', 1),
            good.replace(b'"seq":', b'"seq":-0,"x":', 1),
            good.replace(b'"exp":', b'"exp":0', 1),
            good[:-1] + b',"n":' + b"9" * rng.choice((17, 400, 5_000)) + b"}",
            good[:-1] + b',"n":NaN}',
            good[:-1] + b',"n":-Infinity}',
            good[:-1] + b',"n":1.0}',
            good[:-1] + b',"n":' + b"[" * deep + b"]" * deep + b"}",
            good[:-1] + b',"n":' + b'{"a":' * deep + b"1" + b"}" * deep + b"}",
            good[:-1] + b',"n":"\\ud800"}',
            good + b" ,",
            b"\xef\xbb\xbf" + good,
            good.decode().encode("utf-16"),
            b"[" + good + b"]",
            b"null",
            good[:-1],
            b"",
        )
    )
    return _held("payload", lane, signed(lane, bent), Reason.MALFORMED)


def _claims(rng: Random) -> Case:
    lane = rng.choice(LANES)
    claims: dict[str, Any] = dict(GOOD[lane])
    match rng.randrange(3):
        case 0:
            claims[rng.choice(("untill", "nbf", "sub", "x", "", "Op"))] = rng.choice((1, "x", None, [], {}))
        case 1:
            del claims[rng.choice([name for name in claims if name != "expect_rev"])]
        case _:
            name = rng.choice(("iss", "jti", "seq", "iat", "exp"))
            claims[name] = rng.choice((None, [], {}, "1", True, -1, "x" * 5_000))
    return _held("claims", lane, signed(lane, _text(claims)), Reason.MALFORMED)


def _elsewhere(rng: Random) -> Case:
    lane = rng.choice(LANES)
    site = rng.choice(("lhe-02", "LHE-01", "lhe-01 ", "", "*", "lhe-0"))
    return _held("wrong site", lane, signed(lane, _text({**GOOD[lane], "aud": site})), Reason.WRONG_AUDIENCE)


def _other_topic(rng: Random) -> Case:
    one, other = rng.sample(LANES, 2)
    words = Reason.WRONG_TYPE if one.typ != other.typ else Reason.ROLE_DENIED
    return _held("other topic", other, _WHOLE[one], words)


def _other_type(rng: Random) -> Case:
    lane = rng.choice(LANES)
    typ = rng.choice(("JWT", "", "qw-rsp+jws", "qw-receipt+jws", lane.typ.upper(), lane.typ + " "))
    return _held("other type", lane, signed(lane, _text(GOOD[lane]), typ=typ or "x"), Reason.WRONG_TYPE)


def _other_role(rng: Random) -> Case:
    lane = rng.choice(LANES)
    role = rng.choice([role for role in KEYS if role is not lane.role])
    bent = signed(lane, _text({**GOOD[lane], "iss": KEYS[role].kid}), role=role)
    return _held("other role", lane, bent, Reason.ROLE_DENIED)


def _old(rng: Random) -> Case:
    lane = rng.choice(LANES)
    match rng.randrange(6):
        case 0:
            seq = NOW_S * 1_000_000 + rng.choice((0, 1, 86_400_000_000))
            return _held("old seq", lane, _WHOLE[lane], Reason.REPLAYED, last_seq=seq)
        case 1:
            late_s = int(GOOD[lane]["exp"]) - NOW_S + rng.choice((10, 3_600, 31_536_000))
            return _held("expired", lane, _WHOLE[lane], Reason.EXPIRED, now_s=NOW_S + late_s)
        case 2:
            # So far ahead of the site's clock, its seq is out of bounds too: that comes first.
            early_s = rng.choice((11, 3_600, 86_400))
            return _held("early", lane, _WHOLE[lane], Reason.NOT_YET_VALID, now_s=NOW_S - early_s)
        case 3:
            ahead = (NOW_S + 86_401) * 1_000_000
            return _held(
                "seq ahead", lane, signed(lane, _text({**GOOD[lane], "seq": ahead})), Reason.MALFORMED
            )
        case 4:
            return _held("reused jti", lane, _WHOLE[lane], Reason.JTI_REUSE, known_hash="another")
        case _:
            lives_s = rng.choice((0, -1, 301 if lane is not Lane.QUOTA else 1_201, 10**9))
            claims = {**GOOD[lane], "exp": NOW_S + lives_s}
            return _held("lifetime", lane, signed(lane, _text(claims)), Reason.MALFORMED)


def _retained(rng: Random) -> Case:
    lane = rng.choice([lane for lane in LANES if lane is not Lane.QUOTA])
    return _held("retained", lane, _WHOLE[lane], Reason.RETAINED, retained=True)


def _arguments(rng: Random) -> Case:
    limits: tuple[Any, ...] = (-1, 1.5, "1", True, [], 2**53, 10**30)
    limit = rng.choice(limits)
    malformed = isinstance(limit, float) or (isinstance(limit, int) and limit >= 2**53)
    words = Reason.MALFORMED if malformed else Reason.INVALID_ARGS
    if rng.random() < 0.5:
        entries = [dict(entry) for entry in GOOD[Lane.QUOTA]["schedule"]]
        entries[rng.randrange(2)]["limit_w"] = limit
        bent = {**GOOD[Lane.QUOTA], "schedule": entries}
        return _held("limit", Lane.QUOTA, signed(Lane.QUOTA, _text(bent)), words)
    if rng.random() < 0.5:
        far = format_utc(NOW_S + rng.choice((0, -1, 31 * 86_400 + 1)))
        limit, words = 5, Reason.INVALID_ARGS
        args = {"limit_w": limit, "reason": "x", "until": far}
    else:
        args = {"limit_w": limit, "reason": "x"}
    claims = {**GOOD[Lane.OPERATOR], "args": args}
    return _held("arguments", Lane.OPERATOR, signed(Lane.OPERATOR, _text(claims)), words)


def _operation(rng: Random) -> Case:
    op = rng.choice(("flush", "reload", "hold ", "HOLD", "quota", "", "x" * 200, "nothing"))
    claims = {**GOOD[Lane.OPERATOR], "op": op, "args": {}}
    words = Reason.ROLE_DENIED if op in {"flush", "reload"} else Reason.INVALID_ARGS
    return _held("operation", Lane.OPERATOR, signed(Lane.OPERATOR, _text(claims)), words)


def _revision(rng: Random) -> Case:
    held, rev, words = rng.choice(
        (
            (0, 0, Reason.INVALID_ARGS),
            (0, -1, Reason.INVALID_ARGS),
            (7, 1_000_008, Reason.INVALID_ARGS),
            (7, 7, Reason.STALE_REVISION),
            (7, 1, Reason.STALE_REVISION),
        )
    )
    bent = signed(Lane.QUOTA, _text({**GOOD[Lane.QUOTA], "rev": rev}))
    return _held("revision", Lane.QUOTA, bent, words, held_rev=held)


WITHOUT_KEY = (
    *(_bits,) * 12,
    *(_cut,) * 4,
    *(_spliced,) * 2,
    *(_forged,) * 2,
    _spelling,
    _stranger,
    _strange_kid,
    _algorithm,
    _embedded,
    _header_text,
    _malleable,
    _other_form,
    _noise,
    _huge,
)
WITH_KEY = (
    *(_payload_text,) * 3,
    *(_claims,) * 3,
    *(_old,) * 3,
    *(_arguments,) * 2,
    _elsewhere,
    _other_topic,
    _other_type,
    _other_role,
    _retained,
    _operation,
    _revision,
)


def bent(rng: Random) -> Case:
    """A message that must not count."""
    return rng.choice(WITHOUT_KEY if rng.random() < 0.75 else WITH_KEY)(rng)
