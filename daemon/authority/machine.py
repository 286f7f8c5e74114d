"""Which limit is in force: a pure state machine.

The reference is EEBus LPC (Limitation of Power Consumption) with one deliberate change: silence never
ends in *unlimited*. No I/O, no clock, no randomness: time comes in with each event.
"""

from dataclasses import replace
from typing import assert_never

from daemon.authority.causes import INIT_S, METER_BACK_S, METER_LOST_S, settled
from daemon.authority.events import (
    Event,
    HoldSet,
    KeysTrusted,
    LeaseAccepted,
    LeaseSeen,
    LeaseTimed,
    LimitSet,
    QuotaTaken,
    Tick,
)
from daemon.authority.forecast import forecast_w, steady_for
from daemon.authority.limits import is_over, judged
from daemon.authority.moment import Moment
from daemon.authority.policy import Policy
from daemon.authority.ramp import Ramp
from daemon.authority.standing import Authority, Verdict
from daemon.authority.starting import Unfinished, fresh_for_s, start, unfinished_of
from daemon.authority.states import Cause, Source, State
from daemon.commands.orders import Lease

__all__ = [
    "INIT_S",
    "METER_BACK_S",
    "METER_LOST_S",
    "Authority",
    "Cause",
    "Event",
    "HoldSet",
    "KeysTrusted",
    "LeaseAccepted",
    "LeaseSeen",
    "LeaseTimed",
    "LimitSet",
    "Moment",
    "Policy",
    "QuotaTaken",
    "Ramp",
    "Source",
    "State",
    "Tick",
    "Unfinished",
    "Verdict",
    "forecast_w",
    "fresh_for_s",
    "start",
    "steady_for",
    "step",
    "unfinished_of",
]


def step(authority: Authority, event: Event, now: Moment, policy: Policy) -> Verdict:
    """The limit in force after an event."""
    clock = authority.clock.looked(now.wall_s, now.monotonic_s)
    if clock is not authority.clock:
        authority = replace(authority, clock=clock)
    match event:
        case Tick():
            authority = _ticked(authority, event, now)
        case QuotaTaken(quota):
            authority = replace(authority, quota=quota, causes=authority.causes - {Cause.TRUST})
        case LeaseSeen(iat_s, arrived_s):
            authority = replace(authority, clock=authority.clock.with_lease(iat_s, arrived_s))
        case LeaseAccepted(lease):
            authority = _leased(authority, lease, now, policy)
        case HoldSet(hold):
            authority = replace(authority, hold=hold)
        case LimitSet(limit):
            authority = replace(authority, operator_limit=limit)
        case LeaseTimed(lease):
            authority = _shortened(authority, lease, now, policy)
        case KeysTrusted(kids):
            authority = _keys_trusted(authority, kids)
        case _:
            assert_never(event)
    return judged(settled(authority, now, policy), now, policy)


def _ticked(authority: Authority, tick: Tick, now: Moment) -> Authority:
    if tick.records_writable is not authority.records_writable:
        authority = replace(authority, records_writable=tick.records_writable)
    lost_s = None if tick.meter_trusted else _since(authority.meter_lost_s, now)
    fresh = tick.meter_trusted if tick.meter_fresh is None else tick.meter_fresh
    fresh_s = _since(authority.meter_fresh_s, now) if fresh else None
    if (lost_s, fresh_s) != (authority.meter_lost_s, authority.meter_fresh_s):
        authority = replace(authority, meter_lost_s=lost_s, meter_fresh_s=fresh_s)
    # An expired overlay is forgotten only on a clock that can be believed: another may bring it back.
    if authority.clock.trusted:
        if authority.hold is not None and is_over(authority.hold.until, now):
            authority = replace(authority, hold=None)
        if authority.operator_limit is not None and is_over(authority.operator_limit.until, now):
            authority = replace(authority, operator_limit=None)
    return authority


def _since(since_s: float | None, now: Moment) -> float:
    return now.monotonic_s if since_s is None else since_s


def _leased(authority: Authority, lease: Lease, now: Moment, policy: Policy) -> Authority:
    quota = authority.quota
    counts = (
        quota is not None
        and lease.rev == quota.rev
        and now.wall_s < quota.exp
        and Cause.TRUST not in authority.causes
        and authority.clock.trusted
    )
    left_s = fresh_for_s(lease, policy.lease_timeout_s) - max(now.wall_s - lease.wall_s, 0.0)
    if not counts or left_s <= 0:
        return authority
    until_s = now.monotonic_s + left_s
    if authority.fresh_until_s is not None:
        until_s = max(until_s, authority.fresh_until_s)
    return replace(authority, fresh_until_s=until_s, causes=authority.causes - {Cause.LEASE})


def _shortened(authority: Authority, lease: Lease | None, now: Moment, policy: Policy) -> Authority:
    """What is fresh already never lasts for longer: that takes another lease."""
    if authority.fresh_until_s is None or lease is None:
        return authority
    left_s = fresh_for_s(lease, policy.lease_timeout_s) - max(now.wall_s - lease.wall_s, 0.0)
    until_s = min(authority.fresh_until_s, now.monotonic_s + left_s)
    return replace(authority, fresh_until_s=until_s)


def _keys_trusted(authority: Authority, kids: frozenset[str]) -> Authority:
    if authority.quota is None or authority.quota.kid in kids:
        return authority
    return replace(authority, causes=authority.causes | {Cause.TRUST}, fresh_until_s=None)
