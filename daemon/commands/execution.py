"""What executing an order changes, as data: nothing here touches the site or the disk."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, assert_never

from daemon.commands import claims as forms
from daemon.commands.answers import Outcome
from daemon.commands.kept import Kept
from daemon.commands.orders import Exclusion, Hold, OperatorLimit
from daemon.commands.site import Site
from daemon.commands.verdicts import Authentic, Command, Refused, TakeQuota
from daemon.commands.waiting import Awaited, Flushed, PowerDown, Reloaded, SeenAgain
from daemon.commands.words import READ_ONLY, Op
from daemon.timestamps import format_utc


@dataclass(frozen=True, slots=True)
class Execution:
    """An order taken: what is kept, what is answered, and what the site is told once that is durable."""

    kept: Kept
    outcomes: tuple[Outcome, ...]
    effect: Callable[[], None]
    audit: Mapping[str, Any] | None = None
    """The ledger's record of it; `None` for what changes nothing."""
    awaited: Awaited | None = None
    """It is done when this has come about."""


def take_quota(order: TakeQuota, kept: Kept, site: Site, now_s: float) -> Execution:
    """Hold a quota."""
    quota = order.quota
    detail = {"rev": quota.rev, "kid": quota.kid, "jti": order.jti, "hash": quota.hash}
    return Execution(
        kept=replace(kept, quota=quota),
        outcomes=(Outcome.accepted(), Outcome.done()),
        effect=lambda: site.quota_taken(quota),
        audit={"kind": "event", "at": format_utc(now_s), "what": "quota", "detail": detail},
    )


def execute(command: Command, kept: Kept, site: Site, now_s: float) -> Execution:
    """Execute a command."""
    execution = _executed(command, kept, site)
    if command.op in READ_ONLY:
        return execution
    detail = {
        "op": command.op.value,
        "args": dict(command.args),
        "kid": command.kid,
        "jti": command.jti,
        "hash": command.hash,
    }
    return replace(
        execution, audit={"kind": "event", "at": format_utc(now_s), "what": "command", "detail": detail}
    )


def refusal(message: Authentic, refused: Refused, now_s: float) -> dict[str, Any]:
    """The ledger's record of an order that its sender may give, and that is not carried out."""
    body = message.body or {}
    detail = {
        "op": str(body["op"])[:64] if message.lane.commands else message.lane.value,
        "kid": message.kid,
        "jti": refused.jti,
        "hash": message.envelope.hash,
        "reason": refused.reason.value,
    }
    return {"kind": "event", "at": format_utc(now_s), "what": "refused", "detail": detail}


def _executed(command: Command, kept: Kept, site: Site) -> Execution:  # noqa: PLR0911  one for each kind
    match command.arguments:
        case forms.NoArgs():
            return _without_arguments(command, kept, site)
        case forms.HoldArgs(limit_w=limit_w, reason=reason, until=until):
            hold = Hold(limit_w, reason, until)
            return Execution(
                replace(kept, hold=hold),
                (Outcome.accepted(),),
                lambda: site.hold_set(hold),
                awaited=PowerDown(limit_w),
            )
        case forms.SetLimitArgs(limit_w=limit_w, until=until):
            limit = None if limit_w is None else OperatorLimit(limit_w, until)
            return Execution(
                replace(kept, set_limit=limit),
                (Outcome.accepted(),) if limit else (Outcome.accepted(), Outcome.done()),
                lambda: site.limit_set(limit),
                awaited=None if limit_w is None else PowerDown(limit_w),
            )
        case forms.ExcludeArgs(device=device, reason=reason, until=until):
            return _done(
                kept.excluding(device, Exclusion(reason, until)),
                lambda: site.excluded(device, reason, until),
            )
        case forms.DeviceArgs(device=device) if command.op is Op.RESTART:
            return Execution(
                kept, (Outcome.accepted(),), lambda: site.restart(device), awaited=SeenAgain(device)
            )
        case forms.DeviceArgs(device=device):
            return _done(kept.excluding(device, None), lambda: site.included(device))
        case forms.PlanArgs(limit_w=limit_w):
            return _done(kept, _nothing, site.plan(limit_w))
        case unreachable:
            assert_never(unreachable)


def _without_arguments(command: Command, kept: Kept, site: Site) -> Execution:
    if command.op is Op.PING:
        return _done(kept, _nothing, site.state_object())
    if command.op is Op.RELEASE_HOLD:
        return _done(replace(kept, hold=None), lambda: site.hold_set(None))
    if command.op is Op.FLUSH:
        job = command.jti
        return Execution(kept, (Outcome.accepted(),), lambda: site.flush(job), awaited=Flushed(job))
    if command.op is Op.RELOAD:
        job = command.jti
        return Execution(kept, (Outcome.accepted(),), lambda: site.reload(job), awaited=Reloaded(job))
    raise AssertionError(f"{command.op} was let through by the verifier")


def _done(kept: Kept, effect: Callable[[], None], result: Mapping[str, Any] | None = None) -> Execution:
    return Execution(kept, (Outcome.accepted(), Outcome.done(result)), effect)


def _nothing() -> None:
    """The effect of a question."""
