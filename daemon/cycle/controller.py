"""One cycle: freeze the table, judge the limit, measure, allocate, order. Synchronous, no I/O."""

import numpy as np

from daemon.allocation.allocate import allocate
from daemon.allocation.counting import Look
from daemon.allocation.learning import adopted, observed
from daemon.allocation.loads import Bools, Ints, of_each
from daemon.allocation.memory import UNKNOWN, LoadMemory, ordered
from daemon.allocation.situation import Plan, Situation
from daemon.authority.machine import Authority, Event, Moment, Tick, Verdict, step
from daemon.cycle.layout import SiteLayout
from daemon.cycle.regulation import ControlPolicy, Regulation
from daemon.cycle.result import Census, CycleResult
from daemon.dispatch import Dispatcher
from daemon.dispatch.outlets import Outlets
from daemon.dispatch.reversion import shares_w
from daemon.metering.darkness import Darkness
from daemon.metering.load_power import LoadPower
from daemon.metering.measuring import Metering
from daemon.metering.site_power import SitePower
from daemon.table import SiteTable, Snapshot
from daemon.table.carrying import Heirs, carried
from daemon.table.snapshot import REASON_CODE
from daemon.table.table import Floats
from drivers.ports import Absence, Fleet
from drivers.quantity import Quantity

__all__ = ["ControlPolicy", "Controller", "CycleResult"]

_FIRST_PICTURE_S = 10.0
_NEVER_READ = REASON_CODE[Absence.NEVER_READ]
_SHARE = 0.01
"""Of the contract: a smaller move of the uncontrolled load changes nobody's share of the failsafe limit."""


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
        self.dispatcher = Dispatcher(layout.loads, layout.sleeps, fleet, layout.endurance)
        self.outlets = Outlets(layout.loads, layout.sockets, fleet)
        self.memory = LoadMemory.fresh(layout.loads)
        self.excluded_until = np.full(len(layout.loads), -np.inf)
        """(loads,): Unix seconds until which a load is not to be ordered about; inf = until included."""
        self.excluded = np.zeros(len(layout.loads), dtype=np.bool_)
        self.metering = Metering(layout.instruments, layout.loads, uncontrolled_w)
        self.regulation = Regulation(layout, policy, self.metering, now)
        self._darkness = Darkness()
        self._table = table
        self._fleet = fleet
        self._started_s = now.monotonic_s
        self._planned_from_s: float | None = None
        self._power: SitePower | None = None
        self._look: Look | None = None
        self._census: tuple[LoadMemory, Floats, Census] | None = None
        self._shares: tuple[float, Floats] | None = None
        self._nominal: tuple[Ints, Floats] | None = None
        """(loads,): what each draws at its level by its profile, while the levels are these."""
        self.last: CycleResult | None = None

    @property
    def authority(self) -> Authority:
        """The state of authority as last judged."""
        return self.verdict.authority

    def go_by(self, layout: SiteLayout, policy: ControlPolicy, heirs: Heirs, now: Moment) -> None:
        """Go by other limits and devices from the next cycle on.

        Args:
            layout: in place of the one before.
            policy: likewise.
            heirs: who of the new goes on from whom of the old.
            now: both clocks.
        """
        counted_w = (
            self.memory.learned_w.max(axis=1, initial=0.0) if self._look is None else self._look.counted_w
        )
        dispatcher, outlets, metering, loads = self.dispatcher, self.outlets, self.metering, layout.loads
        self.layout, self.policy = layout, policy
        self.memory = self.memory.carried(heirs.loads, loads)
        self.dispatcher = Dispatcher(loads, layout.sleeps, self._fleet, layout.endurance)
        self.dispatcher.take_over(dispatcher, heirs.loads)
        self.outlets = Outlets(loads, layout.sockets, self._fleet)
        self.outlets.take_over(outlets, heirs.loads)
        self.metering = Metering(layout.instruments, loads)
        self.metering.take_over(metering, heirs, counted_w, now.monotonic_s)
        self.regulation.go_by(layout, policy, self.metering)
        self._darkness = Darkness()
        never = np.full(len(loads), -np.inf)
        self.excluded_until = carried(self.excluded_until, heirs.loads, never)
        # What was worked out with the old layout is worked out anew.
        self._look = self._census = self._shares = self._nominal = None

    def apply(self, event: Event, now: Moment) -> None:
        """Take what somebody with authority said. The next cycle acts on it."""
        verdict = step(self.authority, event, now, self.policy.authority)
        self.regulation.told(self.verdict, verdict, event, now)
        self.verdict = verdict

    def cycle(self, now: Moment, *, records_writable: bool) -> CycleResult:
        """One look and one decision."""
        tick = self._tick(records_writable=records_writable)
        verdict = step(self.authority, tick, now, self.policy.authority)
        self.regulation.ticked(self.verdict, verdict, now)
        self.verdict = verdict

        self.excluded = self.excluded_until > now.wall_s
        snapshot = self._table.freeze(now.monotonic_s)
        self.dispatcher.take(snapshot.outcomes)
        seen = self.metering.loads(snapshot, lambda: self._expected_w(now))
        look = self._seen(snapshot, seen, now)
        self.metering.joining.look(look.counted_w, self.memory.level != UNKNOWN)
        in_flight_s = now.monotonic_s - self.dispatcher.last_sent_s
        power = self._power = self.metering.site(snapshot, seen, look.counted_w, in_flight_s)
        look = self._darkened(look, snapshot, power)

        plan, orders = None, 0
        if snapshot.complete or now.monotonic_s - self._started_s >= _FIRST_PICTURE_S:
            if self._planned_from_s is None:
                self._planned_from_s = now.monotonic_s
            sparing = self.dispatcher.sparing(now.monotonic_s)
            kept = self.excluded | self.metering.joining.new
            situation = self.regulation.situation(self.verdict, look, kept, power, now, sparing)
            plan = allocate(situation, look, self.layout.circuits)
            orders = self._order(plan, look, seen.setpoint_w)
            self._switch(plan, look, snapshot)
        self.last = self._result(now, snapshot, seen, power, look, plan, orders)
        return self.last

    def _tick(self, *, records_writable: bool) -> Tick:
        """What the last cycle saw of the meter."""
        if self._power is None:
            return Tick(meter_trusted=False, records_writable=records_writable)
        return Tick(self._power.trusted, records_writable, self._power.meter_fresh)

    def _expected_w(self, now: Moment) -> Floats:
        """(loads,): what each draws at its operating point by its profile; NaN while that is not known."""
        loads, memory = self.layout.loads, self.memory
        if self._nominal is None or self._nominal[0] is not memory.level:
            self._nominal = memory.level, of_each(loads.watts, np.maximum(memory.level, 0))
        at_level_w = self._nominal[1]
        window = memory.in_window(loads, now.monotonic_s)
        if memory.all_known and not np.count_nonzero(window):
            return at_level_w
        known_w: Floats = np.where((memory.level >= 0) & ~window, at_level_w, np.nan)
        return known_w

    def _seen(self, snapshot: Snapshot, seen: LoadPower, now: Moment) -> Look:
        """Remember what was seen of the loads."""
        loads, measured_w, sampled_s = self.layout.loads, seen.measured_w, seen.sampled_s
        if np.count_nonzero(self.outlets.off):
            measured_w, sampled_s = self._behind_outlets(snapshot, measured_w, sampled_s)
        memory = self.memory
        if not memory.all_known:
            # A PDU may tell of a load before the load itself was asked, and only that knows its set-point.
            asked = snapshot.reasons[loads.rows] != _NEVER_READ
            memory = adopted(memory, loads, np.where(asked, measured_w, np.nan), seen.setpoint_w)
        memory = observed(
            memory, loads, measured_w, sampled_s, now.monotonic_s, lambda: self._output(snapshot)
        )
        self.memory = self.outlets.remembered(memory)
        before = self._look
        if (
            before is not None
            and before.dark is None
            and before.holds(self.memory, measured_w, now.monotonic_s)
        ):
            self._look = before.later(now.monotonic_s)
        else:
            curves = None if before is None else before.last_curves
            self._look = Look(self.memory, loads, measured_w, now.monotonic_s, curves)
        return self._look

    def _darkened(self, look: Look, snapshot: Snapshot, power: SitePower) -> Look:
        """Have those count at their nameplates that are dark."""

        def silent() -> Bools:
            failed: Bools = snapshot.reasons.take(self.layout.loads.rows) != 0
            return failed & ~look.missing & ~self.outlets.off

        metered_w = power.watts if power.trusted else None
        dark = self._darkness.looked(
            metered_w, float(self.verdict.limit_w), silent, look.counted_w, look.now_s
        )
        if dark is None:
            return look
        # What they last said of themselves is of before.
        measured_w = np.where(dark, np.nan, look.measured_w)
        self._look = Look(look.memory, look.loads, measured_w, look.now_s, look.last_curves, dark)
        return self._look

    def _behind_outlets(
        self, snapshot: Snapshot, measured_w: Floats, sampled_s: Floats
    ) -> tuple[Floats, Floats]:
        power_w = snapshot.fresh(Quantity.POWER)
        own_w = power_w[self.layout.loads.rows]
        self.outlets.look(snapshot, own_w, power_w, snapshot.monotonic_s - snapshot.age_s)
        return self.outlets.corrected(measured_w, sampled_s, snapshot.monotonic_s)

    def _switch(self, plan: Plan, look: Look, snapshot: Snapshot) -> None:
        """Outlets, where nothing else is left."""
        if not self.outlets.any:
            return
        deaf = (self.dispatcher.stubborn(self.memory) | look.missing) & ~self.excluded
        if np.count_nonzero(deaf) or np.count_nonzero(self.outlets.off):
            self.outlets.act(plan, look, deaf, self.layout.circuits, snapshot.fresh(Quantity.POWER))

    def _output(self, snapshot: Snapshot) -> Floats:
        """(loads,): TH/s or GPUs at work; NaN = not known."""
        loads = self.layout.loads
        kinds = ((loads.hashes, Quantity.HASHRATE), (loads.gpus, Quantity.GPU_ACTIVE))
        for index, quantity in kinds:
            if len(index) == len(loads):
                return snapshot.fresh(quantity).take(loads.rows)
        output = np.full(len(loads), np.nan)
        for index, quantity in kinds:
            if len(index):
                output[index] = snapshot.fresh(quantity).take(loads.rows.take(index))
        return output

    def _order(self, plan: Plan, look: Look, setpoint_w: Floats) -> int:
        orders = self.dispatcher.order(self.memory.level, plan.level, look.now_s)
        if orders:
            self.memory = ordered(self.memory, plan.level, look.measured_w, look.counted_w, look.now_s)
        silenced = self.excluded | self.outlets.off if self.outlets.any else self.excluded
        self.dispatcher.remind(self.memory, setpoint_w, silenced, look.now_s)
        if self.dispatcher.has_timers:
            self.dispatcher.feed_timers(self.memory, self._failsafe_shares_w(), silenced, look.now_s)
        return orders

    def _failsafe_shares_w(self) -> Floats:
        """(loads,): what each falls back to if it hears no more of us."""
        failsafe_w = self.policy.authority.failsafe_w - self.regulation.uncontrolled_w
        moved_w = _SHARE * self.layout.instruments.contract_w
        if self._shares is None or abs(self._shares[0] - failsafe_w) > moved_w:
            self._shares = failsafe_w, shares_w(self.layout.loads, failsafe_w)
        return self._shares[1]

    def _result(
        self,
        now: Moment,
        snapshot: Snapshot,
        seen: LoadPower,
        power: SitePower,
        look: Look,
        plan: Plan | None,
        orders: int,
    ) -> CycleResult:
        regulation, census = self.regulation, self._counted(look)
        uncontrolled_w, base_w = self.metering.uncontrolled_w, regulation.uncontrolled_w
        planned_from_s = now.monotonic_s if self._planned_from_s is None else self._planned_from_s
        return CycleResult(
            moment=now,
            snapshot=snapshot,
            verdict=self.verdict,
            power=power,
            loads_power=seen,
            plan=plan,
            uncontrolled_w=uncontrolled_w,
            lowest_w=None if uncontrolled_w is None else base_w + census.least_w,
            wanted_w=base_w + census.most_w,
            settling=now.monotonic_s < regulation.settle_until_s,
            limit_age_s=now.monotonic_s - regulation.limit_changed_s,
            planned_s=now.monotonic_s - planned_from_s,
            orders=orders,
            level=census.level,
        )

    def _counted(self, look: Look) -> Census:
        """Worked out anew only when something has changed."""
        kept, excluding = self._census, bool(np.count_nonzero(self.excluded))
        if kept is not None and kept[0] is self.memory and kept[1] is look.counted_w and not excluding:
            return kept[2]
        census = Census.of(look, self.memory, self.excluded)
        self._census = None if excluding else (self.memory, look.counted_w, census)
        return census

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
        return self.regulation.unhindered(float(limit_w), look, self.excluded, self.last.power), look
