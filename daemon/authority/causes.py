"""Why the site is in failsafe, and the state that follows from it."""

from dataclasses import replace

from daemon.authority.moment import Moment
from daemon.authority.policy import Policy
from daemon.authority.ramp import Ramp
from daemon.authority.schedule import entry_at
from daemon.authority.standing import Authority
from daemon.authority.states import Cause, State
from daemon.commands.orders import Quota

INIT_S = 120.0
METER_LOST_S = 300.0
METER_BACK_S = 60.0


def settled(authority: Authority, now: Moment, policy: Policy) -> Authority:
    """Causes and state as of now."""
    causes = _causes(authority, now)
    if causes != authority.causes:
        authority = replace(authority, causes=causes)
    if causes:
        target = State.FAILSAFE
    elif not authority.fresh(now.monotonic_s):
        target = State.INIT
    else:
        target = by_schedule(authority.quota, now.wall_s)
    if target is authority.state:
        return authority
    ramp = None
    if target is State.FAILSAFE:
        starts_s = now.monotonic_s + policy.failsafe_offset_s
        ramp = Ramp(authority.last_limit_w, starts_s, policy.failsafe_ramp_s)
    return replace(authority, state=target, since=now, ramp=ramp)


def _causes(authority: Authority, now: Moment) -> frozenset[Cause]:
    """Only the beginning and the end that time alone brings: a lease or a quota ends its cause itself."""
    causes = set(authority.causes)
    beyond_init = authority.state is not State.INIT or now.monotonic_s - authority.since.monotonic_s >= INIT_S
    if beyond_init and not authority.fresh(now.monotonic_s):
        causes.add(Cause.LEASE)
    if authority.meter_lost_s is None:
        fresh_s = authority.meter_fresh_s
        if fresh_s is not None and now.monotonic_s - fresh_s >= METER_BACK_S:
            causes.discard(Cause.METER)
    elif now.monotonic_s - authority.meter_lost_s >= METER_LOST_S:
        causes.add(Cause.METER)
    return frozenset(causes)


def by_schedule(quota: Quota | None, wall_s: float) -> State:
    """The state of a site whose authority is fresh."""
    entry = entry_at(quota, wall_s)
    return State.CONTROLLED if entry is not None and entry.limit_w is None else State.LIMITED
