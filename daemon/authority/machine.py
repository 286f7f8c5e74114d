"""Which limit is in force: a pure state machine.

The reference is EEBus LPC (Limitation of Power Consumption) with one deliberate change: silence never
ends in *unlimited*. No I/O, no clock, no randomness: time comes in with each event.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from daemon.authority.clock_trust import ClockTrust
from daemon.authority.schedule import entry_at, next_change_s
from daemon.commands.orders import Hold, Lease, OperatorLimit, Quota


class State(StrEnum):
    """Where the site stands towards those who may command it."""

    INIT = "init"
    CONTROLLED = "controlled"
    LIMITED = "limited"
    FAILSAFE = "failsafe"


class Source(StrEnum):
    """Who set the limit in force; in a tie the first of this order."""

    HOLD = "hold"
    OPERATOR = "operator"
    FAILSAFE = "failsafe"
    QUOTA = "quota"
    CONTRACT = "contract"
    CIRCUIT = "circuit"


class Cause(StrEnum):
    """Why the site is in failsafe; each has its own end and ends no other."""

    LEASE = "lease"
    METER = "meter"
    TRUST = "trust"


INIT_S = 120.0
METER_LOST_S = 300.0
METER_BACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says about limits."""

    contract_max_w: int
    failsafe_w: int
    lease_timeout_s: float
    failsafe_ramp_s: float
    failsafe_offset_s: float
    """Fixed per site, so that the sites of a programme do not fall together."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks."""

    wall_s: float
    monotonic_s: float

    def later(self, seconds: float) -> "Moment":
        """The same clocks after so many seconds."""
        return Moment(self.wall_s + seconds, self.monotonic_s + seconds)


@dataclass(frozen=True, slots=True)
class Ramp:
    """The fall to the failsafe limit: the interpolated value is the limit in force meanwhile."""

    from_w: int
    starts_s: float
    lasts_s: float

    def limit_w(self, target_w: int, monotonic_s: float) -> int:
        """The limit at a moment; never below `target_w`, never above `from_w` unless the target is."""
        if self.from_w <= target_w or monotonic_s >= self.starts_s + self.lasts_s:
            return target_w
        if monotonic_s <= self.starts_s:
            return self.from_w
        share = (monotonic_s - self.starts_s) / self.lasts_s
        return int(self.from_w - (self.from_w - target_w) * share)


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""

    meter_trusted: bool
    records_writable: bool = True


@dataclass(frozen=True, slots=True)
class QuotaTaken:
    """A new quota was accepted and stored."""

    quota: Quota


@dataclass(frozen=True, slots=True)
class LeaseSeen:
    """A lease passed signature, type, audience, role and `seq`: its time says something of our clock."""

    iat_s: int
    arrived_s: float
    """By the wall clock."""


@dataclass(frozen=True, slots=True)
class LeaseAccepted:
    """A lease passed every check. It counts only if it is for the quota held."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class HoldSet:
    """An operator's hold; `None` releases it."""

    hold: Hold | None


@dataclass(frozen=True, slots=True)
class LimitSet:
    """An operator's limit; `None` removes it."""

    limit: OperatorLimit | None


@dataclass(frozen=True, slots=True)
class KeysTrusted:
    """The trusted keys as of now; a quota signed by another one loses its authority."""

    kids: frozenset[str]


Event = Tick | QuotaTaken | LeaseSeen | LeaseAccepted | HoldSet | LimitSet | KeysTrusted


@dataclass(frozen=True, slots=True)
class Authority:
    """Everything that the limit in force depends on."""

    state: State
    since: Moment
    last_limit_w: int
    last_source: Source
    init_limit_w: int
    """In force in `init`: the failsafe limit, or the last one that was kept if that is lower."""
    quota: Quota | None = None
    fresh_until_s: float | None = None
    """Monotonic: authority is fresh before this."""
    hold: Hold | None = None
    operator_limit: OperatorLimit | None = None
    causes: frozenset[Cause] = frozenset()
    ramp: Ramp | None = None
    clock: ClockTrust = field(default_factory=ClockTrust)
    meter_changed_s: float = 0.0
    """Monotonic: since then the meter is as `meter_trusted` says."""
    meter_trusted: bool = False
    records_writable: bool = True

    def fresh(self, monotonic_s: float) -> bool:
        """Whether a counting lease is alive."""
        return self.fresh_until_s is not None and monotonic_s < self.fresh_until_s


@dataclass(frozen=True, slots=True)
class Verdict:
    """The limit in force after an event."""

    authority: Authority
    limit_w: int
    source: Source
    next_deadline_s: float | None
    """Monotonic: the next moment at which silence alone may change the verdict, if known."""


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
) -> Verdict:
    """The state after a start of the daemon, from what was persisted.

    A restart is not an event of the grid: while the persisted lease is fresh by the boot-time clock of
    the same boot, its limit is resumed. After a reboot the wall clock proves nothing.
    """
    fresh_until_s = None
    # A quota that was taken after the lease did not end it.
    if lease is not None and quota is not None and lease.rev <= quota.rev and lease.boot_id == boot_id:
        age_s = boottime_s - lease.boottime_s
        left_s = fresh_for_s(lease, policy.lease_timeout_s) - age_s
        if age_s >= 0 and left_s > 0 and last_limit_w is not None:
            fresh_until_s = now.monotonic_s + left_s
    before_w = policy.failsafe_w if last_limit_w is None else last_limit_w
    init_limit_w = min(before_w, policy.failsafe_w)
    if fresh_until_s is None:
        before_w = init_limit_w
        last_source = Source.FAILSAFE
    authority = Authority(
        state=State.INIT if fresh_until_s is None else _by_schedule(quota, now.wall_s),
        since=now,
        last_limit_w=before_w,
        last_source=last_source or Source.FAILSAFE,
        init_limit_w=init_limit_w,
        quota=quota,
        fresh_until_s=fresh_until_s,
        hold=hold,
        operator_limit=operator_limit,
        meter_changed_s=now.monotonic_s,
    )
    return _judge(authority, now, policy)


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
        case KeysTrusted(kids):
            authority = _keys_trusted(authority, kids)
        case _:
            assert_never(event)
    return _judge(_settled(authority, now, policy), now, policy)


def fresh_for_s(lease: Lease, timeout_s: float) -> float:
    """Seconds after its arrival for which a lease keeps authority alive; a delayed one has less."""
    return min(lease.exp, lease.iat + timeout_s) - lease.wall_s


def forecast_w(authority: Authority, now: Moment, policy: Policy, ahead_s: float) -> int:
    """The limit that will be in force after so many seconds if nobody says anything until then."""
    return min(limit for limit, _ in _parts(authority, now.later(ahead_s), policy))


def steady_for(authority: Authority, now: Moment, ahead_s: float) -> bool:
    """Whether time alone changes no limit within so many seconds."""
    ramp = authority.ramp
    if ramp is not None and now.monotonic_s < ramp.starts_s + ramp.lasts_s:
        return False
    edge_s = next_change_s(authority.quota, now.wall_s)
    return edge_s is None or edge_s - now.wall_s > ahead_s


def _ticked(authority: Authority, tick: Tick, now: Moment) -> Authority:
    if tick.records_writable is not authority.records_writable:
        authority = replace(authority, records_writable=tick.records_writable)
    if tick.meter_trusted != authority.meter_trusted:
        authority = replace(authority, meter_trusted=tick.meter_trusted, meter_changed_s=now.monotonic_s)
    # An expired overlay is forgotten only on a clock that can be believed: another may bring it back.
    if authority.clock.trusted:
        if authority.hold is not None and _over(authority.hold.until, now):
            authority = replace(authority, hold=None)
        if authority.operator_limit is not None and _over(authority.operator_limit.until, now):
            authority = replace(authority, operator_limit=None)
    return authority


def _over(until_s: int | None, now: Moment) -> bool:
    return until_s is not None and now.wall_s >= until_s


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


def _keys_trusted(authority: Authority, kids: frozenset[str]) -> Authority:
    if authority.quota is None or authority.quota.kid in kids:
        return authority
    return replace(authority, causes=authority.causes | {Cause.TRUST}, fresh_until_s=None)


def _settled(authority: Authority, now: Moment, policy: Policy) -> Authority:
    """Causes and state as of now."""
    causes = set(authority.causes)
    in_state_s = now.monotonic_s - authority.since.monotonic_s
    silent = not authority.fresh(now.monotonic_s)
    if silent and (authority.state is not State.INIT or in_state_s >= INIT_S):
        causes.add(Cause.LEASE)
    meter_s = now.monotonic_s - authority.meter_changed_s
    if not authority.meter_trusted and meter_s >= METER_LOST_S:
        causes.add(Cause.METER)
    if authority.meter_trusted and meter_s >= METER_BACK_S:
        causes.discard(Cause.METER)
    if causes != authority.causes:
        authority = replace(authority, causes=frozenset(causes))
    if causes:
        target = State.FAILSAFE
    elif silent:
        target = State.INIT
    else:
        target = _by_schedule(authority.quota, now.wall_s)
    if target is authority.state:
        return authority
    ramp = None
    if target is State.FAILSAFE:
        ramp = Ramp(
            authority.last_limit_w,
            now.monotonic_s + policy.failsafe_offset_s,
            policy.failsafe_ramp_s,
        )
    return replace(authority, state=target, since=now, ramp=ramp)


def _by_schedule(quota: Quota | None, wall_s: float) -> State:
    entry = entry_at(quota, wall_s)
    return State.CONTROLLED if entry is not None and entry.limit_w is None else State.LIMITED


def _parts(authority: Authority, now: Moment, policy: Policy) -> list[tuple[int, Source]]:
    """Every limit that is in force, in the order of `Source`."""
    parts: list[tuple[int, Source]] = []
    # That one is over raises the limit only on a clock that can be believed (`_judge`).
    if authority.hold is not None and not _over(authority.hold.until, now):
        parts.append((authority.hold.limit_w, Source.HOLD))
    if authority.operator_limit is not None and not _over(authority.operator_limit.until, now):
        parts.append((authority.operator_limit.limit_w, Source.OPERATOR))
    entry = entry_at(authority.quota, now.wall_s)
    match authority.state:
        case State.INIT:
            parts.append((authority.init_limit_w, Source.FAILSAFE))
        case State.CONTROLLED | State.LIMITED:
            if entry is None:
                parts.append((policy.failsafe_w, Source.FAILSAFE))
        case State.FAILSAFE:
            fallen_w = policy.failsafe_w
            if authority.ramp is not None:
                fallen_w = authority.ramp.limit_w(policy.failsafe_w, now.monotonic_s)
            parts.append((fallen_w, Source.FAILSAFE))
        case _:
            assert_never(authority.state)
    if entry is not None and entry.limit_w is not None:
        # In every state: lowering needs one valid signature and nothing else.
        parts.append((min(entry.limit_w, policy.contract_max_w), Source.QUOTA))
    parts.append((policy.contract_max_w, Source.CONTRACT))
    return parts


def _judge(authority: Authority, now: Moment, policy: Policy) -> Verdict:
    parts = _parts(authority, now, policy)
    limit_w, source = min(parts, key=lambda part: part[0])
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
