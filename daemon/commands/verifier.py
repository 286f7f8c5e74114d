"""Which signed messages count: the checks of contract §4 in their order, as a pure function in three parts.

1. `authenticate`: the form and the signature; whoever fails here gets no answer.
2. `admit`: type, claims, audience, role, retained, known `jti`.
3. `decide`: times, replay, arguments, revision, clock, safety.

Between them the caller looks up what is stored about the sender.
"""

import re
from collections.abc import Iterable

from pydantic import ValidationError

from daemon.commands import claims as forms
from daemon.commands.claims import CommandClaims, LeaseClaims, QuotaClaims
from daemon.commands.demands import asked, needs_time, only_lowers, stale, untimely
from daemon.commands.keyring import Keyring
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
from daemon.commands.words import Lane, Reason, may
from daemon.signing import BadSignatureError, Envelope, MalformedError, loads, parse, verify

MAX_AHEAD_S = 24 * 3600
"""How far a `seq` may be ahead: one beyond would shut its key out for as long."""

_JTI = re.compile(forms.UUID_FORM)


class Verifier:
    """The site's trust: its id and whose signatures count."""

    def __init__(self, site: str, keys: Iterable[TrustedKey]) -> None:
        self.site = site
        self.keys = Keyring(keys)

    def authenticate(
        self, lane: Lane, payload: bytes, *, now_s: float, held_hash: str | None
    ) -> Refused | HeldAlready | Authentic:
        """Check the form and the signature.

        Args:
            lane: where it came in.
            payload: what came.
            now_s: the wall clock, Unix seconds, for the validity of keys.
            held_hash: hash of the quota held.
        """
        if len(payload) > lane.max_bytes:
            return Refused(Reason.TOO_LARGE, f"{len(payload)} bytes; at most {lane.max_bytes}")
        try:
            envelope = parse(payload)
        except MalformedError as error:
            return Refused(Reason.MALFORMED, str(error))
        kid = envelope.header.kid
        trusted = self.keys.valid(kid, now_s)
        if trusted is None:
            return Refused(Reason.UNKNOWN_KEY, "not a key that is trusted now", kid)
        try:
            verify(envelope, trusted.key)
        except BadSignatureError as error:
            return Refused(Reason.BAD_SIGNATURE, str(error), kid)
        if lane is Lane.QUOTA and held_hash is not None and envelope.hash == held_hash:
            return HeldAlready()
        return _read(lane, envelope, trusted)

    def admit(  # noqa: PLR0911  one return for each check of the list
        self, message: Authentic, *, retained: bool, known_hash: str | None, facts: Facts
    ) -> Refused | Repeated | Admitted:
        """Check whether the message is for this site, from someone who may say it, and new.

        Args:
            message: what `authenticate` gave.
            retained: whether the broker had kept it.
            known_hash: hash of the message with this (kid, jti) that was answered before.
            facts: see there.
        """
        lane, kid, jti = message.lane, message.kid, message.jti
        if message.envelope.header.typ != lane.typ:
            return Refused(Reason.WRONG_TYPE, f"typ must be {lane.typ} here", kid, jti)
        try:
            claims = _claims(message, facts)
        except ValueError as error:
            return Refused(Reason.MALFORMED, str(error), kid, jti)
        if claims.aud != self.site:
            return Refused(Reason.WRONG_AUDIENCE, f"this is site {self.site}", kid, jti)
        role = message.key.role
        if role is not lane.role:
            return Refused(Reason.ROLE_DENIED, f"{kid} is a key of role {role}", kid, jti)
        if isinstance(claims, CommandClaims) and not may(role, claims.op):
            return Refused(Reason.ROLE_DENIED, f"not for the role {role}", kid, jti)
        if retained and lane is not Lane.QUOTA:
            return Refused(Reason.RETAINED, "commands and leases are never retained", kid, jti)
        if known_hash is not None:
            if known_hash == message.envelope.hash:
                return Repeated(kid, claims.jti)
            return Refused(Reason.JTI_REUSE, "this jti belongs to another message", kid, jti)
        return Admitted(message, claims)

    def decide(
        self, message: Admitted, *, last_seq: int | None, facts: Facts
    ) -> Refused | TakeQuota | HearLease | Command:
        """Check whether the message counts now.

        Args:
            message: what `admit` gave.
            last_seq: highest seq taken from this key and type.
            facts: see there.
        """
        claims = message.claims
        kid, jti, seq = message.authentic.kid, claims.jti, claims.seq
        lowers = isinstance(claims, CommandClaims) and only_lowers(claims, facts)
        refused = None
        if facts.clock_trusted or not (lowers or isinstance(claims, QuotaClaims)):
            refused = untimely(claims, facts.now_s)
        if refused is None and last_seq is not None and seq <= last_seq:
            refused = Reason.REPLAYED, "its seq is not above the last one"
        if refused is not None:
            return Refused(*refused, kid, jti, kept=True)
        # From here on the seq is used up, whatever follows.
        try:
            verdict = asked(message, facts)
        except ValueError as error:
            return Refused(Reason.INVALID_ARGS, str(error), kid, jti, uses_seq=seq, kept=True)
        overtaken = stale(claims, facts.held_rev)
        if overtaken is not None:
            return Refused(Reason.STALE_REVISION, overtaken, kid, jti, uses_seq=seq, kept=True)
        if not facts.clock_trusted and needs_time(claims, lowers=lowers):
            return Refused(Reason.CLOCK_UNTRUSTED, "the site's clock is not trusted now", kid, jti)
        if isinstance(verdict, Command):
            objection = facts.objection(verdict.op, verdict.arguments)
            if objection is not None:
                return Refused(Reason.UNSAFE, objection, kid, jti, uses_seq=seq, kept=True)
        return verdict


def _read(lane: Lane, envelope: Envelope, trusted: TrustedKey) -> Authentic:
    body, problem = None, "the payload must be an object"
    try:
        value = loads(envelope.payload)
    except MalformedError as error:
        problem = str(error)
    else:
        body = value if isinstance(value, dict) else None
    jti = body.get("jti") if body is not None else None
    well_formed = isinstance(jti, str) and _JTI.fullmatch(jti)
    return Authentic(lane, envelope, trusted, body, problem, jti if well_formed else None)


def _claims(message: Authentic, facts: Facts) -> QuotaClaims | LeaseClaims | CommandClaims:
    """The claims, checked by themselves.

    Raises:
        ValueError: what is wrong with them.
    """
    if message.body is None:
        raise ValueError(message.problem)
    if message.body.get("expect_rev", 0) is None:
        raise ValueError("expect_rev: leave it out, or give a revision")
    claims: QuotaClaims | LeaseClaims | CommandClaims
    try:
        match message.lane:
            case Lane.QUOTA:
                claims = QuotaClaims.model_validate(message.body)
            case Lane.LEASE:
                claims = LeaseClaims.model_validate(message.body)
            case Lane.DISPATCHER | Lane.OPERATOR | Lane.ENGINEER:
                claims = CommandClaims.model_validate(message.body)
    except ValidationError as error:
        raise ValueError(forms.first_problem(error)) from error
    _check_common(claims, message.kid, facts)
    return claims


def _check_common(claims: QuotaClaims | LeaseClaims | CommandClaims, kid: str, facts: Facts) -> None:
    if claims.iss != kid:
        raise ValueError("iss: must be the kid")
    if claims.exp <= claims.iat:
        raise ValueError("exp: must be after iat")
    latest = _latest_exp(claims)
    if latest is not None and claims.exp > latest:
        raise ValueError("exp: later than allowed")
    # A clock that is not trusted must not shut out a sender whose own two times agree.
    clock_s = facts.now_s if facts.clock_trusted else max(facts.now_s, claims.iat)
    if claims.seq > (clock_s + MAX_AHEAD_S) * 1_000_000:
        raise ValueError("seq: more than 24 h ahead of the clock")


def _latest_exp(claims: QuotaClaims | LeaseClaims | CommandClaims) -> int | None:
    """The latest `exp` allowed; `None` for a quota whose schedule is refused later anyway."""
    if not isinstance(claims, QuotaClaims):
        return claims.iat + forms.MAX_LIFE_S
    try:
        return forms.schedule_of(claims.schedule)[-1].end
    except ValueError:
        return None
