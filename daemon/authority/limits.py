"""Every limit that is in force, and the smallest of them."""

from dataclasses import replace
from typing import assert_never

from daemon.authority.causes import INIT_S
from daemon.authority.moment import Moment
from daemon.authority.policy import Policy
from daemon.authority.schedule import entry_at, next_change_s
from daemon.authority.standing import Authority, Verdict
from daemon.authority.states import Source, State


def is_over(until_s: int | None, now: Moment) -> bool:
    """Whether an overlay has ended; one without an end never does."""
    return until_s is not None and now.wall_s >= until_s


def parts(authority: Authority, now: Moment, policy: Policy) -> list[tuple[int, Source]]:
    """Every limit that is in force, in the order of `Source`."""
    found: list[tuple[int, Source]] = []
    # That one is over raises the limit only on a clock that can be believed (`judged`).
    if authority.hold is not None and not is_over(authority.hold.until, now):
        found.append((authority.hold.limit_w, Source.HOLD))
    if authority.operator_limit is not None and not is_over(authority.operator_limit.until, now):
        found.append((authority.operator_limit.limit_w, Source.OPERATOR))
    entry = entry_at(authority.quota, now.wall_s)
    match authority.state:
        case State.INIT:
            found.append((authority.init_limit_w, Source.FAILSAFE))
        case State.CONTROLLED | State.LIMITED:
            if entry is None:
                found.append((policy.failsafe_w, Source.FAILSAFE))
        case State.FAILSAFE:
            fallen_w = policy.failsafe_w
            if authority.ramp is not None:
                fallen_w = authority.ramp.limit_w(policy.failsafe_w, now.monotonic_s)
            found.append((fallen_w, Source.FAILSAFE))
        case _:
            assert_never(authority.state)
    if entry is not None and entry.limit_w is not None:
        # In every state: lowering needs one valid signature and nothing else.
        found.append((min(entry.limit_w, policy.contract_max_w), Source.QUOTA))
    found.append((policy.contract_max_w, Source.CONTRACT))
    return found


def judged(authority: Authority, now: Moment, policy: Policy) -> Verdict:
    """The smallest of the parts; it rises only on a trusted clock and while records can be written."""
    limit_w, source = min(parts(authority, now, policy), key=lambda part: part[0])
    may_rise = authority.clock.trusted and authority.records_writable
    if limit_w > authority.last_limit_w and not may_rise:
        limit_w, source = authority.last_limit_w, authority.last_source
    if (limit_w, source) != (authority.last_limit_w, authority.last_source):
        authority = replace(authority, last_limit_w=limit_w, last_source=source)
    return Verdict(authority, limit_w, source, _next_deadline_s(authority, now))


def _next_deadline_s(authority: Authority, now: Moment) -> float | None:
    to_monotonic = now.monotonic_s - now.wall_s
    edges = [next_change_s(authority.quota, now.wall_s)]
    edges += [overlay.until for overlay in (authority.hold, authority.operator_limit) if overlay]
    deadlines = [edge + to_monotonic for edge in edges if edge is not None]
    if authority.fresh_until_s is not None:
        deadlines.append(authority.fresh_until_s)
    if authority.state is State.INIT:
        deadlines.append(authority.since.monotonic_s + INIT_S)
    return min((deadline for deadline in deadlines if deadline > now.monotonic_s), default=None)
