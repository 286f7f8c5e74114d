"""The authority alone, with a clock that a test moves and nothing else around it."""

from dataclasses import replace
from typing import Any

from daemon.authority.machine import (
    Authority,
    Cause,
    Event,
    HoldSet,
    KeysTrusted,
    LeaseAccepted,
    LeaseSeen,
    LimitSet,
    Moment,
    Policy,
    QuotaTaken,
    Source,
    State,
    Tick,
    Verdict,
    start,
    step,
    unfinished_of,
)
from daemon.commands.orders import Hold, Lease, OperatorLimit, Quota, ScheduleEntry

MW = 1_000_000
POLICY = Policy(
    contract_max_w=25 * MW,
    failsafe_w=5 * MW,
    lease_timeout_s=120.0,
    failsafe_ramp_s=300.0,
    failsafe_offset_s=30.0,
)
WALL_S = 1_790_000_000.0
DAY_S = 86_400


def quota_of(
    rev: int, wall_s: float, *steps: tuple[int, int | None], last_s: int = DAY_S, **changes: Any
) -> Quota:
    """A quota: (seconds from `wall_s`, limit) each until the next, the last for `last_s`."""
    wall = int(wall_s)
    starts = [wall + after for after, _ in steps] + [wall + steps[-1][0] + last_s]
    entries = tuple(ScheduleEntry(starts[i], starts[i + 1], limit) for i, (_, limit) in enumerate(steps))
    quota = Quota(rev, entries, starts[-1], "dispatch-1", "", f"hash-{rev}")
    return replace(quota, **changes)


class AuthorityBench:
    """Tells the machine what happens, second by second; a new one has just been started."""

    def __init__(self, policy: Policy = POLICY, **kept: Any) -> None:
        self.policy = policy
        self.wall_s = WALL_S
        self.monotonic_s = 5_000.0
        self.boot_id = "boot-1"
        self.leasing = False
        self.meter = True
        self.meter_fresh: bool | None = None
        self.writable = True
        self.rev = 0
        self.last_lease: Lease | None = None
        self.kept_hold: Hold | None = None
        """As on disk: one that is over stays there."""
        self.kept_limit: OperatorLimit | None = None
        known: dict[str, Any] = {"boot_id": "boot-1", "boottime_s": self.boottime_s, "last_limit_w": None}
        self.verdict = start(policy, self.now, **(known | kept))

    @property
    def now(self) -> Moment:
        return Moment(self.wall_s, self.monotonic_s)

    @property
    def boottime_s(self) -> float:
        return self.monotonic_s + 700.0

    @property
    def authority(self) -> Authority:
        return self.verdict.authority

    @property
    def state(self) -> State:
        return self.authority.state

    def is_in(self, state: State) -> bool:
        return self.state is state

    def without_meter(self, seconds: float) -> None:
        self.meter = False
        self.run(seconds)

    def with_meter(self, seconds: float) -> None:
        self.meter = True
        self.run(seconds)

    @property
    def limit_w(self) -> int:
        return self.verdict.limit_w

    @property
    def source(self) -> Source:
        return self.verdict.source

    @property
    def causes(self) -> frozenset[Cause]:
        return self.authority.causes

    def tell(self, event: Event) -> Verdict:
        self.verdict = step(self.authority, event, self.now, self.policy)
        return self.verdict

    def tick(self) -> Verdict:
        return self.tell(Tick(self.meter, self.writable, self.meter_fresh))

    def run(self, seconds: float) -> list[Verdict]:
        """Let time pass, a tick a second, a lease every ten if `leasing`; every verdict."""
        verdicts = []
        for second in range(1, round(seconds) + 1):
            self.wall_s += 1.0
            self.monotonic_s += 1.0
            if self.leasing and second % 10 == 0:
                self.lease()
            verdicts.append(self.tick())
        return verdicts

    def quota(self, *steps: tuple[int, int | None], **changes: Any) -> Verdict:
        """Take a quota of the next revision."""
        self.rev += 1
        return self.tell(QuotaTaken(quota_of(self.rev, self.wall_s, *steps, **changes)))

    def lease(self, rev: int | None = None, *, sent_s_ago: float = 0.0, lives_s: int = 300) -> Verdict:
        """A lease for the newest quota (or `rev`), signed so many seconds ago, arrives and passes."""
        iat = int(self.wall_s - sent_s_ago)
        self.tell(LeaseSeen(iat, self.wall_s))
        lease = Lease(
            self.rev if rev is None else rev, iat, iat + lives_s, self.boot_id, self.boottime_s, self.wall_s
        )
        held, kept = self.authority.quota, self.last_lease
        newest = kept is None or kept.boot_id != lease.boot_id or lease.iat >= kept.iat
        if held is not None and lease.rev == held.rev and newest:
            self.last_lease = lease
        return self.tell(LeaseAccepted(lease))

    def commanded(self, *steps: tuple[int, int | None]) -> None:
        """A quota, and leases from now on."""
        self.quota(*(steps or ((0, None),)))
        self.lease()
        self.leasing = True

    def hold(self, limit_w: int, until_s: float | None = None) -> Verdict:
        until = None if until_s is None else int(self.wall_s + until_s)
        self.kept_hold = Hold(limit_w, "crane", until)
        return self.tell(HoldSet(self.kept_hold))

    def set_limit(self, limit_w: int, until_s: float | None = None) -> Verdict:
        until = None if until_s is None else int(self.wall_s + until_s)
        self.kept_limit = OperatorLimit(limit_w, until)
        return self.tell(LimitSet(self.kept_limit))

    def release_hold(self) -> Verdict:
        self.kept_hold = None
        return self.tell(HoldSet(None))

    def remove_limit(self) -> Verdict:
        self.kept_limit = None
        return self.tell(LimitSet(None))

    def revoke(self) -> Verdict:
        """The key of the quota held is trusted no more."""
        return self.tell(KeysTrusted(frozenset({"dispatch-2"})))

    def fall_silent(self) -> None:
        """No leases until the site is in failsafe."""
        self.leasing = False
        self.run(self.policy.lease_timeout_s + 1)
        assert self.state is State.FAILSAFE

    def restart(
        self, *, after_s: float = 3.0, reboot: bool = False, up_s: float = 20.0, wall_step_s: float = 0.0
    ) -> Verdict:
        """The daemon stops and starts again with what it had kept."""
        before = self.verdict
        unfinished = unfinished_of(before.authority, self.boot_id, self.boottime_s - self.monotonic_s)
        self.wall_s += after_s + wall_step_s
        self.monotonic_s += after_s
        if reboot:
            self.boot_id, self.monotonic_s = "boot-2", up_s
        self.leasing = False
        self.verdict = start(
            self.policy,
            self.now,
            boot_id=self.boot_id,
            boottime_s=self.boottime_s,
            last_limit_w=before.limit_w,
            last_source=before.source,
            quota=before.authority.quota,
            lease=self.last_lease,
            hold=self.kept_hold,
            operator_limit=self.kept_limit,
            unfinished=unfinished,
        )
        return self.verdict
