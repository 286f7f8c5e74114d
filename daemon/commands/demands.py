"""What a message asks for, and whether that can be had: times, arguments, revision. Pure."""

from daemon.commands import claims as forms
from daemon.commands.claims import Arguments, CommandClaims, LeaseClaims, QuotaClaims
from daemon.commands.orders import ScheduleEntry
from daemon.commands.verdicts import Admitted, Command, Facts, HearLease, TakeQuota
from daemon.commands.words import READ_ONLY, Op, Reason

SKEW_S = 10
MAX_REV_JUMP = 10**6
MAX_UNTIL_S = 31 * 24 * 3600


def untimely(claims: forms.Common, now_s: float) -> tuple[Reason, str] | None:
    """Why the message is not of this time; `None` = it is."""
    if now_s >= claims.exp + SKEW_S:
        return Reason.EXPIRED, f"expired {int(now_s - claims.exp)} s ago"
    if claims.iat > now_s + SKEW_S:
        return Reason.NOT_YET_VALID, f"issued {int(claims.iat - now_s)} s ahead of the site's clock"
    return None


def only_lowers(claims: CommandClaims, facts: Facts) -> bool:
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


def needs_time(claims: QuotaClaims | LeaseClaims | CommandClaims, *, lowers: bool) -> bool:
    """Whether nothing can be made of the message on a clock that is not trusted."""
    match claims:
        case QuotaClaims():
            return False
        case LeaseClaims():
            return True
        case CommandClaims():
            return not lowers and claims.op not in READ_ONLY


def stale(claims: QuotaClaims | LeaseClaims | CommandClaims, held_rev: int) -> str | None:
    """Why the message comes too late for the quota that is held; `None` = it does not."""
    match claims:
        case QuotaClaims(rev=rev) if rev <= held_rev:
            return f"revision {held_rev} is held"
        case CommandClaims(expect_rev=expected) if expected is not None and expected != held_rev:
            return f"revision {held_rev} is held"
        case _:
            return None


def asked(message: Admitted, facts: Facts) -> TakeQuota | HearLease | Command:
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
