"""One cycle: freeze the table, judge the limit, measure, allocate, order. Synchronous, no I/O."""

from dataclasses import dataclass, replace

import numpy as np

from daemon.allocation.allocate import allocate
from daemon.allocation.counting import Look
from daemon.allocation.following import Following
from daemon.allocation.learning import adopted, observed
from daemon.allocation.memory import UNKNOWN, LoadMemory, ordered
from daemon.allocation.ramp import ramp_ceiling_w, ramp_lead_w
from daemon.allocation.situation import Ahead, Plan, Situation
from daemon.authority.machine import (
    Authority,
    Event,
    Moment,
    Policy,
    QuotaTaken,
    Source,
    State,
    Tick,
    Verdict,
    forecast_w,
    steady_for,
    step,
)
from daemon.cycle.layout import SiteLayout
from daemon.dispatch import Dispatcher
from daemon.metering.measuring import LoadPower, Metering
from daemon.metering.site_power import SitePower
from daemon.table import SiteTable, Snapshot
from daemon.table.table import Floats
from drivers.ports import Fleet
from drivers.quantity import Quantity

_FIRST_PICTURE_S = 10.0
_MARGIN = 0.003
_NOISE_MARGIN = 3.0
_DEADBAND = 0.002
_GRACE_S = 3.0
_AHEAD_S = 4.0


@dataclass(frozen=True, slots=True)
class ControlPolicy:
    """What the configuration says about control."""

    authority: Policy
    ramp_up_w_per_s: float
    settle_s: float
    rise_delay_s: float
    """Fixed per site: how long after room appeared the load begins to rise."""


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What one cycle saw and decided."""

    moment: Moment
    snapshot: Snapshot
    verdict: Verdict
    power: SitePower
    loads_power: LoadPower
    plan: Plan | None
    """`None` before the first full picture."""
    uncontrolled_w: float | None
    lowest_w: float | None
    """What the site could go down to: what nothing can shed."""
    wanted_w: float
    """What the site would take if it were let."""
    settling: bool
    limit_age_s: float
    """Since the limit in force last changed."""
    planned_s: float
    """How long loads have been ordered about at all; 0 before the first full picture."""
    orders: int
    level: tuple[int, int, int]
    """Loads at their lowest level, reduced, full."""


class Controller:
    """Holds the loop's memory between cycles. Everything it knows of time comes with the `Moment`."""

    def __init__(
        self,
        layout: SiteLayout,
        policy: ControlPolicy,
        table: SiteTable,
        fleet: Fleet,
        verdict: Verdict,
        now: Moment,
        uncontrolled_w: float | None = None,
    ) -> None:
        """`uncontrolled_w`: what was learned in the last run; `None` = nothing."""
        self.layout = layout
        self.policy = policy
        self.verdict = verdict
        self.dispatcher = Dispatcher(layout.loads, layout.sleeps, fleet)
        self.memory = LoadMemory.fresh(layout.loads)
        self.excluded_until = np.full(len(layout.loads), -np.inf)
        """(loads,): Unix seconds until which a load is not to be ordered about; inf = until included."""
        self.excluded = np.zeros(len(layout.loads), dtype=np.bool_)
        self._table = table
        self._started_s = now.monotonic_s
        self._last_s = now.monotonic_s
        self.metering = Metering(layout.instruments, layout.loads, uncontrolled_w)
        self._following = Following()
        self._ceiling_w = 0.0
        self.largest_step_w = float(np.diff(layout.loads.watts, axis=1).max(initial=0.0))
        """Of a single load."""
        self._settle_until_s = -np.inf
        self._limit_changed_s = now.monotonic_s
        self._planned_from_s: float | None = None
        self._room_since_s: float | None = None
        self._quota_taken_s = -np.inf
        self._power: SitePower | None = None
        self.last: CycleResult | None = None

    @property
    def authority(self) -> Authority:
        """The state of authority as last judged."""
        return self.verdict.authority

    def apply(self, event: Event, now: Moment) -> None:
        """Take what somebody with authority said. The next cycle acts on it."""
        if isinstance(event, QuotaTaken):
            self._quota_taken_s = now.monotonic_s
        self._judged(step(self.authority, event, now, self.policy.authority), now, announced=False)

    def _judged(self, verdict: Verdict, now: Moment, *, announced: bool) -> None:
        if verdict.limit_w < self.verdict.limit_w and not announced:
            self._settle_until_s = now.monotonic_s + self.policy.settle_s
        if verdict.limit_w != self.verdict.limit_w:
            self._limit_changed_s = now.monotonic_s
        if verdict.limit_w > self.verdict.limit_w:
            self._room_since_s = now.monotonic_s
        self.verdict = verdict

    def _was_announced(self, verdict: Verdict, now: Moment) -> bool:
        """Whether a limit that time alone brought was known a settling window before."""
        if verdict.source is Source.FAILSAFE and verdict.authority.state is State.FAILSAFE:
            return True
        return now.monotonic_s - self._quota_taken_s >= self.policy.settle_s

    def cycle(self, now: Moment, *, records_writable: bool) -> CycleResult:
        """One look and one decision."""
        dt_s = max(now.monotonic_s - self._last_s, 0.0)
        self._last_s = now.monotonic_s
        tick = self._tick(records_writable=records_writable)
        verdict = step(self.authority, tick, now, self.policy.authority)
        self._judged(verdict, now, announced=self._was_announced(verdict, now))

        self.excluded = self.excluded_until > now.wall_s
        snapshot = self._table.freeze(now.monotonic_s)
        self.dispatcher.take(snapshot.outcomes)
        loads = self.layout.loads
        seen = self.metering.loads(snapshot, self._expected_w(now))
        measured_w, setpoint_w = seen.measured_w, seen.setpoint_w
        self.memory = adopted(self.memory, loads, measured_w, setpoint_w)
        output = self._output(snapshot)
        self.memory = observed(self.memory, loads, measured_w, seen.sampled_s, now.monotonic_s, output)
        look = Look(self.memory, loads, measured_w, now.monotonic_s)
        counted = look.counted_w
        in_flight_s = now.monotonic_s - self.dispatcher.last_sent_s
        power = self._power = self.metering.site(snapshot, seen, counted, in_flight_s)

        plan, orders = None, 0
        if snapshot.complete or now.monotonic_s - self._started_s >= _FIRST_PICTURE_S:
            if self._planned_from_s is None:
                self._planned_from_s = now.monotonic_s
            plan = self._plan(look, now, power, dt_s)
            orders = self._order(plan, measured_w, counted, setpoint_w, now)
        self.last = self._result(now, snapshot, power, seen, plan, orders, counted)
        return self.last

    def _output(self, snapshot: Snapshot) -> Floats:
        """(loads,): TH/s or GPUs at work; NaN = not known."""
        loads = self.layout.loads
        output = np.full(len(loads), np.nan)
        for index, quantity in ((loads.hashes, Quantity.HASHRATE), (loads.gpus, Quantity.GPU_ACTIVE)):
            if len(index):
                output[index] = snapshot.fresh(quantity)[loads.rows[index]]
        return output

    def _tick(self, *, records_writable: bool) -> Tick:
        """What the last cycle saw of the meter."""
        if self._power is None:
            return Tick(meter_trusted=False, records_writable=records_writable)
        return Tick(self._power.trusted, records_writable, self._power.meter_fresh)

    def _expected_w(self, now: Moment) -> Floats:
        """(loads,): what each draws at its operating point by its profile; NaN while that is not known."""
        loads, memory = self.layout.loads, self.memory
        at_level_w = loads.watts[np.arange(len(loads)), np.maximum(memory.level, 0)]
        known = (memory.level != UNKNOWN) & ~memory.in_window(loads, now.monotonic_s)
        return np.where(known, at_level_w, np.nan)

    def _uncontrolled_w(self) -> float:
        return (self.metering.uncontrolled_w or 0.0) + self.metering.cooling_w

    def _plan(self, look: Look, now: Moment, power: SitePower, dt_s: float) -> Plan:
        limit_w = float(self.verdict.limit_w)
        rate_w_per_s = self.policy.ramp_up_w_per_s
        draw_w = look.loads_w + self._uncontrolled_w()
        self._ceiling_w = ramp_ceiling_w(
            self._ceiling_w, limit_w, draw_w, rate_w_per_s, dt_s, self.largest_step_w
        )
        self._following = self._following.looked(self.metering.cooling_w, look.loads_w, now.monotonic_s)
        situation = replace(
            self._situation(limit_w, look.measured_w, now),
            deadline_s=max(self._settle_until_s, now.monotonic_s + _GRACE_S),
            ceiling_w=self._ceiling_w,
            may_rise=self._may_rise(power, now),
            ahead=self._ahead(now),
            at_once_w=ramp_lead_w(rate_w_per_s, self.largest_step_w),
        )
        return allocate(situation, look, self.layout.circuits)

    def _situation(self, limit_w: float, measured_w: Floats, now: Moment) -> Situation:
        """A limit that is to be met within the settling window, with nothing else in the way."""
        return Situation(
            now_s=now.monotonic_s,
            measured_w=measured_w,
            excluded=self.excluded,
            limit_w=limit_w,
            deadline_s=now.monotonic_s + self.policy.settle_s,
            uncontrolled_w=self._uncontrolled_w(),
            margin_w=self._margin_w(limit_w),
            deadband_w=_DEADBAND * limit_w,
            ceiling_w=limit_w,
            may_rise=True,
            cooling_w=self.metering.cooling_w,
            follows=self._following.share or 0.0,
        )

    def _margin_w(self, limit_w: float) -> float:
        """From the meter's noise; wider while something else stands in for it."""
        share = _MARGIN + (0.0 if self._power is None else self._power.extra_margin)
        return share * limit_w + _NOISE_MARGIN * self.metering.residual.noise_w

    def _may_rise(self, power: SitePower, now: Moment) -> bool:
        """Nothing rises on silence, on a doubtful meter, or before the site's own delay."""
        commanded = self.authority.state in {State.CONTROLLED, State.LIMITED}
        if not (commanded and power.may_rise):
            self._room_since_s = None
            return False
        if self._room_since_s is None:
            self._room_since_s = now.monotonic_s
        return now.monotonic_s - self._room_since_s >= self.policy.rise_delay_s

    def _ahead(self, now: Moment) -> list[Ahead]:
        """Lower limits that are known to come within the slowest load's latency."""
        horizon_s = float(self.layout.loads.latency_down_s.max(initial=0.0)) + _AHEAD_S
        if steady_for(self.authority, now, self.policy.authority, horizon_s):
            return []
        lowest_w = self.verdict.limit_w
        ahead = []
        for in_s in range(1, int(horizon_s) + 1):
            limit_w = forecast_w(self.authority, now, self.policy.authority, in_s)
            if limit_w < lowest_w:
                ahead.append(Ahead(float(in_s), float(limit_w)))
                lowest_w = limit_w
        return ahead

    def _order(self, plan: Plan, measured_w: Floats, counted: Floats, setpoint_w: Floats, now: Moment) -> int:
        orders = self.dispatcher.order(self.memory.level, plan.level, now.monotonic_s)
        self.memory = ordered(self.memory, plan.level, measured_w, counted, now.monotonic_s)
        self.dispatcher.remind(self.memory, setpoint_w, self.excluded, now.monotonic_s)
        return orders

    def _result(
        self,
        now: Moment,
        snapshot: Snapshot,
        power: SitePower,
        seen: LoadPower,
        plan: Plan | None,
        orders: int,
        counted: Floats,
    ) -> CycleResult:
        loads, memory = self.layout.loads, self.memory
        uncontrolled_w = self.metering.uncontrolled_w
        lowest_w = None
        base_w = self._uncontrolled_w()
        if uncontrolled_w is not None:
            sheddable = memory.obeys & (memory.level != UNKNOWN) & ~self.excluded
            lowest_w = base_w + float(np.where(sheddable, memory.learned_w[:, 0], counted).sum())
        top_w = float(memory.learned_w[np.arange(len(loads)), loads.top].sum())
        lowest, full = memory.level == 0, memory.level == loads.top
        reduced = (memory.level != UNKNOWN) & ~lowest & ~full
        return CycleResult(
            moment=now,
            snapshot=snapshot,
            verdict=self.verdict,
            power=power,
            loads_power=seen,
            plan=plan,
            uncontrolled_w=uncontrolled_w,
            lowest_w=lowest_w,
            wanted_w=base_w + top_w,
            settling=now.monotonic_s < self._settle_until_s,
            limit_age_s=now.monotonic_s - self._limit_changed_s,
            planned_s=0.0 if self._planned_from_s is None else now.monotonic_s - self._planned_from_s,
            orders=orders,
            level=(int(lowest.sum()), int(reduced.sum()), int((full & ~lowest).sum())),
        )

    def fall_to_failsafe(self, now: Moment) -> int:
        """Order what the failsafe limit asks for, for a stop that is to leave it; how many orders."""
        plan = self.hypothetical(min(self.verdict.limit_w, self.policy.authority.failsafe_w), now)
        if plan is None:
            return 0
        return self.dispatcher.order(
            self.memory.level, np.minimum(plan.level, self.memory.level), now.monotonic_s
        )

    def hypothetical(self, limit_w: int, now: Moment) -> Plan | None:
        """What would be done under a limit, without doing it; `None` before the first full picture."""
        asked = self.asked(limit_w, now)
        return None if asked is None else allocate(*asked, self.layout.circuits)

    def asked(self, limit_w: int, now: Moment) -> tuple[Situation, Look] | None:
        """What an allocation under a limit that comes at once starts from; `None` as `hypothetical`."""
        if self.last is None or self.last.plan is None:
            return None
        measured_w = self.last.loads_power.measured_w
        look = Look(self.memory, self.layout.loads, measured_w, now.monotonic_s)
        return self._situation(float(limit_w), measured_w, now), look
