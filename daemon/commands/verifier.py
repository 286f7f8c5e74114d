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
from daemon.commands.claims import Arguments, CommandClaims, LeaseClaims, QuotaClaims
from daemon.commands.orders import ScheduleEntry
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
from daemon.commands.words import READ_ONLY, Lane, Op, Reason, Role, may
from daemon.signing import BadSignatureError, Envelope, MalformedError, loads, parse, verify

SKEW_S = 10
MAX_AHEAD_S = 24 * 3600
"""How far a `seq` may be ahead: one beyond would shut its key out for as long."""
MAX_REV_JUMP = 10**6
MAX_UNTIL_S = 31 * 24 * 3600
MAX_HEADER_BYTES = 1024
"""base64url of the longest header that is read, and more."""
MAX_HEADERS = 256
"""Headers whose signer is remembered."""

_JTI = re.compile(forms.UUID_FORM)
_NOT_YET = frozenset({Op.RELOAD})


class Verifier:
    """The site's trust: its id and whose signatures count."""

    def __init__(self, site: str, keys: Iterable[TrustedKey]) -> None:
        self.site = site
        self._keys = {trusted.key.kid: trusted for trusted in keys}
        self._headers: dict[bytes, str | None] = {}

    def claimed_signer(self, lane: Lane, payload: bytes) -> str | None:
        """The key of this site that a message names and that may speak here, unverified; `None` = none.

        Costs little: a sender's header is the same text each time, and is remembered.
        """
        header = payload[: payload.find(b".", 0, MAX_HEADER_BYTES) + 1]
        if header not in self._headers:
            if len(self._headers) >= MAX_HEADERS:
                self._headers.clear()
            self._headers[header] = self._named_in(header)
        kid = self._headers[header]
        return kid if kid is not None and self._keys[kid].role is lane.role else None

    def _named_in(self, header: bytes) -> str | None:
        try:
            kid = parse(header + b".").header.kid
        except MalformedError:
            return None
        return kid if kid in self._keys else None

    def command_lane(self, payload: bytes) -> Lane:
        """Where a command that came without a topic belongs: its key's role; unreadable ones anywhere."""
        try:
            trusted = self._keys.get(parse(payload[: Lane.OPERATOR.max_bytes + 1]).header.kid)
        except MalformedError:
            trusted = None
        return Lane.of_commands(Role.OPERATOR if trusted is None else trusted.role)

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
        trusted = self._keys.get(kid)
        if trusted is None or not trusted.valid_at(now_s):
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
        lowers = isinstance(claims, CommandClaims) and _only_lowers(claims, facts)
        refused = None
        if facts.clock_trusted or not (lowers or isinstance(claims, QuotaClaims)):
            refused = _untimely(claims, facts.now_s)
        if refused is None and last_seq is not None and seq <= last_seq:
            refused = Reason.REPLAYED, "its seq is not above the last one"
        if refused is not None:
            return Refused(*refused, kid, jti, kept=True)
        # From here on the seq is used up, whatever follows.
        try:
            verdict = _asked(message, facts)
        except ValueError as error:
            return Refused(Reason.INVALID_ARGS, str(error), kid, jti, uses_seq=seq, kept=True)
        stale = _stale(claims, facts.held_rev)
        if stale is not None:
            return Refused(Reason.STALE_REVISION, stale, kid, jti, uses_seq=seq, kept=True)
        if not facts.clock_trusted and _needs_time(claims, lowers=lowers):
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


def _untimely(claims: forms.Common, now_s: float) -> tuple[Reason, str] | None:
    if now_s >= claims.exp + SKEW_S:
        return Reason.EXPIRED, f"expired {int(now_s - claims.exp)} s ago"
    if claims.iat > now_s + SKEW_S:
        return Reason.NOT_YET_VALID, f"issued {int(claims.iat - now_s)} s ahead of the site's clock"
    return None


def _only_lowers(claims: CommandClaims, facts: Facts) -> bool:
    """Whether executing the command can lower the load and never raise it."""
    try:
        arguments = _arguments(claims)
    except ValueError:
        return False
    match arguments:
        case forms.HoldArgs(limit_w=limit_w):
            # Above the present limit it can only bite later, unless it replaces a tighter hold.
            return facts.hold_w is None or limit_w <= facts.hold_w or limit_w <= facts.present_limit_w
        case forms.SetLimitArgs(limit_w=limit_w):
            return limit_w is not None and limit_w < facts.present_limit_w
        case _:
            return False


def _needs_time(claims: QuotaClaims | LeaseClaims | CommandClaims, *, lowers: bool) -> bool:
    match claims:
        case QuotaClaims():
            return False
        case LeaseClaims():
            return True
        case CommandClaims():
            return not lowers and claims.op not in READ_ONLY


def _stale(claims: QuotaClaims | LeaseClaims | CommandClaims, held_rev: int) -> str | None:
    match claims:
        case QuotaClaims(rev=rev) if rev <= held_rev:
            return f"revision {held_rev} is held"
        case CommandClaims(expect_rev=expected) if expected is not None and expected != held_rev:
            return f"revision {held_rev} is held"
        case _:
            return None


def _asked(message: Admitted, facts: Facts) -> TakeQuota | HearLease | Command:
    """What the message asks for.

    Raises:
        ValueError: it asks for something that there is not.
    """
    claims, kid = message.claims, message.authentic.kid
    envelope = message.authentic.envelope
    # Before the clock is trusted a message's own time is the better measure of what lies ahead of it.
    now_s = facts.now_s if facts.clock_trusted else claims.iat
    match claims:
        case QuotaClaims():
            _check_quota(claims.rev, forms.schedule_of(claims.schedule), now_s, facts.held_rev)
            return TakeQuota(forms.quota_of(envelope), claims.jti, claims.seq)
        case LeaseClaims():
            if claims.rev < 1:
                raise ValueError("rev: at least 1")
            return HearLease(kid, claims.rev, claims.iat, claims.exp, claims.seq)
        case CommandClaims():
            arguments = _arguments(claims)
            _check_arguments(arguments, now_s, facts)
            if Op(claims.op) is Op.RESTART and isinstance(arguments, forms.DeviceArgs):
                _check_restart(arguments.device, facts)
            return Command(
                kid=kid,
                jti=claims.jti,
                seq=claims.seq,
                exp=claims.exp,
                op=Op(claims.op),
                arguments=arguments,
                args=claims.args,
                hash=envelope.hash,
            )


def _check_quota(rev: int, entries: tuple[ScheduleEntry, ...], now_s: float, held_rev: int) -> None:
    if rev < 1:
        raise ValueError("rev: at least 1")
    if rev > held_rev + MAX_REV_JUMP:
        raise ValueError(f"rev: more than {MAX_REV_JUMP} above revision {held_rev} that is held")
    if entries[-1].end <= now_s:
        raise ValueError("schedule: it is over")


def _arguments(claims: CommandClaims) -> Arguments:
    try:
        op = Op(claims.op)
    except ValueError:
        raise ValueError("op: there is no such operation") from None
    arguments = forms.arguments_of(op, claims.args)
    if op in _NOT_YET:
        raise ValueError("op: not supported by this version")
    if claims.expect_rev is not None and claims.expect_rev < 0:
        raise ValueError("expect_rev: 0 or a revision")
    return arguments


def _check_restart(device: str, facts: Facts) -> None:
    obstacle = facts.restart_obstacle(device)
    if obstacle is not None:
        raise ValueError(f"device: {obstacle}")


def _check_arguments(arguments: Arguments, now_s: float, facts: Facts) -> None:
    match arguments:
        case forms.SetLimitArgs(limit_w=limit_w) if limit_w is not None and limit_w > facts.contract_max_w:
            raise ValueError(f"limit_w: above the contract maximum of {facts.contract_max_w} W")
        case forms.ExcludeArgs(device=device) | forms.DeviceArgs(device=device):
            if not facts.knows_device(device):
                raise ValueError("device: there is no such device")
        case _:
            pass
    match arguments:
        case (
            forms.SetLimitArgs(until=until) | forms.HoldArgs(until=until) | forms.ExcludeArgs(until=until)
        ) if until is not None and not now_s < until <= now_s + MAX_UNTIL_S:
            raise ValueError("until: after now and within 31 days")
        case _:
            pass
