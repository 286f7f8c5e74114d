"""The limit that is to come, as far as that is known already: by the schedule, and by a fall under way.

Silence is not foreseen. A heartbeat that may still come keeps the limit, and the fall that its absence
leads to is a ramp, which need not be met ahead.
"""

from daemon.authority.limits import parts
from daemon.authority.moment import Moment
from daemon.authority.policy import Policy
from daemon.authority.schedule import next_change_s
from daemon.authority.standing import Authority


def forecast_w(authority: Authority, now: Moment, policy: Policy, ahead_s: float) -> int:
    """The limit that will be in force after so many seconds if heartbeats and meter go on as they do now."""
    return min(limit_w for limit_w, _ in parts(authority, now.later(ahead_s), policy))


def steady_for(authority: Authority, now: Moment, ahead_s: float) -> bool:
    """Whether time alone changes no limit within so many seconds."""
    ramp = authority.ramp
    if ramp is not None and now.monotonic_s < ramp.ends_s:
        return False
    edge_s = next_change_s(authority.quota, now.wall_s)
    return edge_s is None or edge_s - now.wall_s > ahead_s
