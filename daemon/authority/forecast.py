"""The limit that is to come if nobody says anything until then."""

from dataclasses import replace

from daemon.authority.causes import falls_at_s
from daemon.authority.limits import parts
from daemon.authority.moment import Moment
from daemon.authority.policy import Policy
from daemon.authority.ramp import Ramp
from daemon.authority.schedule import next_change_s
from daemon.authority.standing import Authority
from daemon.authority.states import State


def forecast_w(authority: Authority, now: Moment, policy: Policy, ahead_s: float) -> int:
    """The limit that will be in force after so many seconds if nobody says anything until then."""
    then = now.later(ahead_s)
    return _smallest_w(_fallen(authority, now, policy, then), then, policy)


def steady_for(authority: Authority, now: Moment, policy: Policy, ahead_s: float) -> bool:
    """Whether time alone changes no limit within so many seconds."""
    ramp, falls_s = authority.ramp, falls_at_s(authority)
    if ramp is not None and now.monotonic_s < ramp.ends_s:
        return False
    if falls_s is not None and falls_s + policy.failsafe_offset_s - now.monotonic_s <= ahead_s:
        return False
    edge_s = next_change_s(authority.quota, now.wall_s)
    return edge_s is None or edge_s - now.wall_s > ahead_s


def _fallen(authority: Authority, now: Moment, policy: Policy, then: Moment) -> Authority:
    """With the failsafe that silence will have led to by then."""
    falls_s = falls_at_s(authority)
    if falls_s is None or then.monotonic_s < falls_s:
        return authority
    falls = now.later(max(falls_s - now.monotonic_s, 0.0))
    from_w = _smallest_w(authority, falls, policy)
    ramp = Ramp(from_w, falls.monotonic_s + policy.failsafe_offset_s, policy.failsafe_ramp_s)
    return replace(authority, state=State.FAILSAFE, ramp=ramp)


def _smallest_w(authority: Authority, at: Moment, policy: Policy) -> int:
    return min(limit_w for limit_w, _ in parts(authority, at, policy))
