"""A start of the daemon: what was persisted, and the limit that follows from it."""

from dataclasses import dataclass

from daemon.authority.causes import by_schedule
from daemon.authority.limits import judged
from daemon.authority.moment import Moment
from daemon.authority.policy import Policy
from daemon.authority.ramp import Ramp
from daemon.authority.standing import Authority, Verdict
from daemon.authority.states import Cause, Source, State
from daemon.commands.orders import Hold, Lease, OperatorLimit, Quota


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What of a failsafe must survive a restart, so that none is a way out of it.

    Times are seconds of the boot-time clock of `boot_id`.
    """

    boot_id: str
    causes: frozenset[Cause] = frozenset()
    quota_hash: str | None = None
    """The quota held: the cause *trust* is over with another one."""
    ramp: Ramp | None = None
    meter_lost_s: float | None = None
    """Since when no site power was known that could be relied upon; `None` = it was known."""


def unfinished_of(authority: Authority, boot_id: str, shift_s: float) -> Unfinished:
    """What is to be persisted now; `shift_s` = boot-time clock − monotonic clock."""
    ramp, lost_s = authority.ramp, authority.meter_lost_s
    return Unfinished(
        boot_id=boot_id,
        causes=authority.causes,
        quota_hash=None if authority.quota is None else authority.quota.hash,
        ramp=None if ramp is None else ramp.shifted(shift_s),
        meter_lost_s=None if lost_s is None else lost_s + shift_s,
    )


def start(
    policy: Policy,
    now: Moment,
    *,
    boot_id: str,
    boottime_s: float,
    last_limit_w: int | None,
    last_source: Source | None = None,
    quota: Quota | None = None,
    lease: Lease | None = None,
    hold: Hold | None = None,
    operator_limit: OperatorLimit | None = None,
    unfinished: Unfinished | None = None,
) -> Verdict:
    """The state after a start of the daemon, from what was persisted.

    A restart is not an event of the grid: while the persisted lease is fresh by the boot-time clock of
    the same boot, its limit is resumed. After a reboot the wall clock proves nothing. A cause of failsafe
    ends by its own end alone.
    """
    unfinished = unfinished or Unfinished(boot_id)
    causes = _standing(unfinished, quota)
    fresh_until_s = None
    if last_limit_w is not None and Cause.LEASE not in unfinished.causes and Cause.TRUST not in causes:
        left_s = _left_s(policy, quota, lease, boot_id, boottime_s)
        fresh_until_s = None if left_s is None else now.monotonic_s + left_s
    before_w = policy.failsafe_w if last_limit_w is None else last_limit_w
    init_limit_w = min(before_w, policy.failsafe_w)
    shift_s = now.monotonic_s - boottime_s
    ramp = None
    if fresh_until_s is None:
        before_w, last_source = init_limit_w, Source.FAILSAFE
    elif unfinished.ramp is not None:
        ramp = unfinished.ramp.shifted(shift_s)
    if causes:
        state = State.FAILSAFE
    elif fresh_until_s is None:
        state = State.INIT
    else:
        state = by_schedule(quota, now.wall_s)
    meter_lost_s = now.monotonic_s
    if unfinished.meter_lost_s is not None and unfinished.boot_id == boot_id:
        meter_lost_s = min(unfinished.meter_lost_s + shift_s, meter_lost_s)
    authority = Authority(
        state=state,
        since=now,
        last_limit_w=before_w,
        last_source=last_source or Source.FAILSAFE,
        init_limit_w=init_limit_w,
        quota=quota,
        fresh_until_s=fresh_until_s,
        hold=hold,
        operator_limit=operator_limit,
        causes=causes,
        ramp=ramp if causes else None,
        meter_lost_s=meter_lost_s,
    )
    return judged(authority, now, policy)


def fresh_for_s(lease: Lease, timeout_s: float) -> float:
    """Seconds after its arrival for which a lease keeps authority alive; a delayed one has less."""
    return min(lease.exp, lease.iat + timeout_s) - lease.wall_s


def _left_s(
    policy: Policy, quota: Quota | None, lease: Lease | None, boot_id: str, boottime_s: float
) -> float | None:
    """For how long the persisted lease is still fresh; `None` = it is not."""
    # A quota that was taken after the lease did not end it.
    if lease is None or quota is None or lease.rev > quota.rev or lease.boot_id != boot_id:
        return None
    age_s = boottime_s - lease.boottime_s
    left_s = fresh_for_s(lease, policy.lease_timeout_s) - age_s
    return left_s if age_s >= 0 and left_s > 0 else None


def _standing(unfinished: Unfinished, quota: Quota | None) -> frozenset[Cause]:
    """Causes that a restart does not end. That no lease is fresh shows by itself."""
    causes = unfinished.causes - {Cause.LEASE}
    if quota is None or quota.hash != unfinished.quota_hash:
        causes -= {Cause.TRUST}
    return causes
