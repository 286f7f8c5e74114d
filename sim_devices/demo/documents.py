"""Which limit is in force, as an outsider knows it: from the signed documents and their times alone.

Written from the contract, apart from the daemon's own state machine, which it is to judge.
"""

from dataclasses import dataclass, field

from daemon.commands.orders import ScheduleEntry
from sim_devices.demo.terms import Terms

FAILSAFE_OFFSET_S = 60.0
"""A site begins its fall to failsafe after an offset of its own; nobody outside knows more than this."""


@dataclass(frozen=True, slots=True)
class PublishedQuota:
    """A signed quota and the Unix time at which it was published."""

    rev: int
    entries: tuple[ScheduleEntry, ...]
    exp: int
    published_s: float


@dataclass(frozen=True, slots=True)
class PublishedLease:
    """A signed heartbeat and the Unix time at which it was published."""

    rev: int
    iat: int
    exp: int
    published_s: float


@dataclass(slots=True)
class Documents:
    """Everything that was signed and published for a site."""

    terms: Terms
    quotas: list[PublishedQuota] = field(default_factory=list)
    leases: list[PublishedLease] = field(default_factory=list)

    def held(self, wall_s: float) -> PublishedQuota | None:
        """The quota that counts at a time: the highest revision published by then."""
        published = [quota for quota in self.quotas if quota.published_s <= wall_s]
        return max(published, key=lambda quota: quota.rev, default=None)

    def fresh_until_s(self, wall_s: float) -> float | None:
        """Until when the heartbeats published by a time keep authority alive; `None` = there was none."""
        return max(
            (
                min(lease.exp, lease.iat + self.terms.lease_timeout_s)
                for lease in self.leases
                if lease.published_s <= wall_s and self._counts(lease)
            ),
            default=None,
        )

    def limit_w(self, wall_s: float) -> float:
        """The limit in force at a time, W."""
        scheduled_w = self._scheduled_w(wall_s)
        fresh_until_s = self.fresh_until_s(wall_s)
        if fresh_until_s is None:
            return min(self.terms.failsafe_w, scheduled_w)
        if wall_s < fresh_until_s:
            return scheduled_w
        return min(self._fallen_w(fresh_until_s, wall_s), scheduled_w)

    def _counts(self, lease: PublishedLease) -> bool:
        quota = self.held(lease.published_s)
        return quota is not None and quota.rev == lease.rev and lease.published_s < quota.exp

    def _scheduled_w(self, wall_s: float) -> float:
        quota = self.held(wall_s)
        for entry in () if quota is None else quota.entries:
            if entry.start <= wall_s < entry.end:
                released_w = self.terms.contract_max_w
                return released_w if entry.limit_w is None else min(entry.limit_w, released_w)
        return self.terms.failsafe_w

    def _fallen_w(self, since_s: float, wall_s: float) -> float:
        """The failsafe limit on its way down from what was in force when the heartbeats ended."""
        from_w, to_w = self._scheduled_w(since_s), self.terms.failsafe_w
        if from_w <= to_w:
            return to_w
        gone_s = max(0.0, wall_s - since_s - FAILSAFE_OFFSET_S)
        ramp_s = self.terms.failsafe_ramp_s
        share = min(1.0, gone_s / ramp_s) if ramp_s > 0 else float(gone_s > 0)
        return from_w - (from_w - to_w) * share
