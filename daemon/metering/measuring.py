"""What a site draws, cycle by cycle: its loads, its meters, and what nobody controls."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from daemon.allocation.loads import Ints, Loads
from daemon.metering.cover import Cover, CoverWatch
from daemon.metering.disagreement import Disagreement
from daemon.metering.feeds import FeedWatch
from daemon.metering.instruments import Instruments
from daemon.metering.joining import LASTS_S, Joining
from daemon.metering.jump import Finding
from daemon.metering.load_power import LoadPower
from daemon.metering.meter_judge import MeterRecord, judged
from daemon.metering.nonsense import Believable, NonsenseCounter
from daemon.metering.pairing import Drawn, Pair, Pairing
from daemon.metering.reading import Reading, Surroundings
from daemon.metering.residual import Residual
from daemon.metering.site_power import SiteKnowledge, SitePower, measure_site
from daemon.table import Snapshot
from daemon.table.carrying import BEGINS, Heirs, among, carry
from daemon.table.rows import neighbours
from daemon.table.table import Floats
from drivers.quantity import COLUMN, Quantity

METER_NOISE = 0.0025
"""Half of a class 0.5 meter's error bound, as a standard deviation."""
_INNOVATION = 0.02
_APART = 0.01
"""Of the meter's figure: the more the loads changed between two samples, the less it says of the rest."""
_HOLE = 0.1
"""Loads that draw so much less together than they count at, as without work, will draw it again."""
_IN_A_HOLE = 0.05
"""Until they do, a smaller rest is believed so slowly: what followed them down follows them back."""
_LAG_S = 3.0
"""Besides the slowest poll, what it takes a change to be seen everywhere."""
_AT_REST_S = 4.0
"""After the last order: loads and meter show the same again."""
_OVER_CONTRACT = 1.25
_OVER_NAMEPLATES = 1.2
"""A site may exceed contract and nameplates by this before a meter that says so is disbelieved."""
_UNKNOWN = 3.0
"""The same, of whichever is more, before the uncontrolled load is known."""
_NO_COVER = Cover(0.0, 0.0)


class Metering:
    """Holds what is remembered of the site's instruments between cycles."""

    def __init__(self, instruments: Instruments, loads: Loads, uncontrolled_w: float | None = None) -> None:
        """`uncontrolled_w`: what was kept of the last run; `None` = nothing."""
        self.instruments = instruments
        self.feeds = FeedWatch(instruments.feeds, instruments.slowest_s)
        self.nonsense = NonsenseCounter(len(instruments.names))
        self.records = [MeterRecord() for _ in instruments.meters]
        self.disagreements = [Disagreement() for _ in instruments.meters[1:]]
        """Of the revenue meter with each check meter."""
        self.residual = Residual.recalled(uncontrolled_w, METER_NOISE * instruments.contract_w)
        self.moved_w = 0.0
        """By how much the uncontrolled load last changed at once."""
        self.moved_s = -np.inf
        """When that was, monotonic."""
        self.joining = Joining(np.zeros(len(loads), dtype=np.bool_))
        self.excess_w = 0.0
        """By how much the devices' own figures exceed the meter's; 0 = they do not."""
        self._excess_s: float | None = None
        self._loads = loads
        self._rows = neighbours(loads.rows)
        self._believable = _believable(instruments)
        self._cover = CoverWatch(instruments.feeds, instruments.circuit_meters, loads.nameplate_w)
        self.drawn_w = 0.0
        """What the loads draw: as measured, as they count where they are not."""
        self._cooling_w = np.full(len(instruments.cooling), np.nan)
        self._cooling_s = np.full(len(instruments.cooling), -np.inf)
        self.cooling_w = 0.0
        """What the cooling draws, as last measured."""
        self.cooling_known = not len(instruments.cooling)
        """Whether all of it was measured at least once."""
        self._cooling_rows = instruments.cooling_rows
        self._meter_names = [meter.name for meter in instruments.meters]
        self._nameplates_w = float(loads.nameplate_w.sum())
        self._nameplates_w += float(instruments.nameplate_w[self._cooling_rows].sum())
        self._pairing = Pairing(instruments.slowest_s)
        self._last_w = np.full(len(loads), np.nan)
        self._power_w = np.full(len(instruments.names), np.nan)
        self._metered_w: float | None = None
        self._learned: Reading | None = None
        self._learned_s: float | None = None

    def take_over(self, before: "Metering", heirs: Heirs, counted_w: Floats, now_s: float) -> None:
        """Go on with what is known of the instruments and loads that were there already.

        Args:
            before: of the old layout.
            heirs: who goes on from whom.
            counted_w: (old loads,) what each counted at.
            now_s: monotonic.
        """
        mine, theirs, devices = self.instruments, before.instruments, heirs.devices
        self.feeds.take_over(before.feeds, heirs.loads, among(devices, mine.feeds.rows, theirs.feeds.rows))
        self.nonsense.take_over(before.nonsense, devices)
        circuits = among(devices, mine.circuit_rows, theirs.circuit_rows)
        self._cover.take_over(before._cover, circuits)  # noqa: SLF001  of the same class
        meters = among(devices, mine.meter_rows, theirs.meter_rows).tolist()
        self.records = [MeterRecord() if old == BEGINS else before.records[old] for old in meters]
        if meters[:1] == [0]:
            self.disagreements = [
                Disagreement() if old == BEGINS else replace(before.disagreements[old - 1], agreed_w=None)
                for old in meters[1:]
            ]
        cooling = among(devices, mine.cooling_rows, theirs.cooling_rows)
        carry(before, self, ("_cooling_w", "_cooling_s"), cooling)
        self._sum_cooling()
        stays = np.zeros(len(counted_w), dtype=np.bool_)
        stays[heirs.loads[heirs.loads != BEGINS]] = True
        gone_w = float(np.fmax(counted_w, before._last_w)[~stays].sum())  # noqa: SLF001  of the same class
        carry(before, self, ("_last_w",), heirs.loads)
        self._metered_w, self.drawn_w = before._metered_w, before.drawn_w  # noqa: SLF001  of the same class
        self.moved_w, self.moved_s = before.moved_w, before.moved_s
        # What those who have gone draw is controlled no more, whatever it is.
        self.residual = before.residual.more(gone_w + before.cooling_w - self.cooling_w)
        until_s = now_s + LASTS_S + 2 * mine.slowest_s
        self.joining = before.joining.carried(heirs.loads, -np.inf if heirs.all_stay else until_s)

    def _sum_cooling(self) -> None:
        unknown = np.isnan(self._cooling_w)
        self.cooling_w = float(np.where(unknown, 0.0, self._cooling_w).sum())
        self.cooling_known = not np.count_nonzero(unknown)

    @property
    def uncontrolled_w(self) -> float | None:
        """What nobody controls, besides the cooling; `None` = not known."""
        return self.residual.uncontrolled_w

    def loads(self, snapshot: Snapshot, expected_w: Callable[[], Floats]) -> LoadPower:
        """What the loads draw.

        Args:
            snapshot: of this cycle.
            expected_w: gives (loads,) what each draws at its operating point by its profile, NaN = not
                known; asked for only where PDUs are to be compared with that.
        """
        said_w = snapshot.fresh(Quantity.POWER)
        sampled_s = snapshot.monotonic_s - snapshot.age_s
        power_w = self._believable.sane(said_w)
        self.nonsense.take(said_w, power_w, sampled_s)
        self._power_w = power_w
        feeds, rows = self.instruments.feeds, self._rows
        own_w = power_w[rows]
        fed = self.feeds.look(
            own_w,
            power_w[feeds.rows],
            power_w[feeds.other_rows],
            expected_w,
            self._loads.nameplate_w,
            snapshot.monotonic_s,
        )
        setpoint_w = snapshot.fresh(Quantity.SETPOINT)[rows]
        own_s, unread = sampled_s[rows], (~np.isfinite(own_w)).nonzero()[0]
        if len(unread):
            own_s = own_s.copy()
            own_s[unread] = feeds.of_loads(sampled_s[feeds.rows], -np.inf).take(unread)
        return LoadPower(
            measured_w=fed.power_w,
            sampled_s=own_s,
            by_pdu=fed.by_pdu,
            setpoint_w=_not_below_zero(setpoint_w),
        )

    def site(self, snapshot: Snapshot, power: LoadPower, counted_w: Floats, in_flight_s: float) -> SitePower:
        """What the site draws, and what of it nobody controls.

        Args:
            snapshot: of this cycle.
            power: what `loads` said of it.
            counted_w: (loads,) what each counts at.
            in_flight_s: since the last order went out.
        """
        now_s, measured_w = snapshot.monotonic_s, power.measured_w
        fresh_cooling_w = self._power_w[self._cooling_rows]
        cooled = np.isfinite(fresh_cooling_w)
        self._cooling_w = np.where(cooled, fresh_cooling_w, self._cooling_w)
        self._cooling_s = np.where(cooled, now_s - snapshot.age_s[self._cooling_rows], self._cooling_s)
        self._sum_cooling()
        # Mostly a few of all.
        unmeasured = (~np.isfinite(measured_w)).nonzero()[0]
        if len(unmeasured):
            before_w, count_w = self._last_w.take(unmeasured), counted_w.take(unmeasured)
            known_w = _with(measured_w, unmeasured, count_w)
            self._last_w = _with(measured_w, unmeasured, before_w)
            last_w = float(_with(measured_w, unmeasured, _or(before_w, count_w)).sum())
            seen_w = float(_with(measured_w, unmeasured, 0.0).sum())
            self.drawn_w = float(known_w.sum())
        else:
            known_w = self._last_w = measured_w
            self.drawn_w = last_w = seen_w = float(measured_w.sum())
        around = Surroundings(
            devices_w=last_w + self.cooling_w,
            measured_w=seen_w + float(np.where(cooled, fresh_cooling_w, 0.0).sum()),
            most_w=self._most_w(),
            lag_s=self.instruments.slowest_s + _LAG_S,
        )
        self._judge(snapshot, around)
        metered = any(record.trusted for record in self.records)
        know = SiteKnowledge(
            counted_w=float(counted_w.sum()) + self.cooling_w,
            known_w=self.drawn_w + self.cooling_w,
            uncontrolled_w=self.uncontrolled_w,
            last_metered_w=self._metered_w,
            cover=_NO_COVER if metered else self._cover.look(self._power_w, known_w),
        )
        site = measure_site(self.records, self._meter_names, know, now_s)
        if site.may_rise and site.watts is not None:
            self._metered_w = site.watts
        if metered and snapshot.complete:
            # Cooling that is silent is not waited for.
            cooling_w = np.where(cooled, self._cooling_w, np.nan)
            drawn = Drawn(measured_w, power.sampled_s, cooling_w, self._cooling_s, know.known_w)
            self._learn(know, drawn, around, in_flight_s, now_s)
            self._cover.learn(self._power_w, known_w, now_s)
        else:
            self._pairing.forget()
        if self.joining.lasts and now_s >= self.joining.until_s:
            self.residual = self.residual.more(-self.joining.watts)
            self.joining.end()
        return site

    def _most_w(self) -> float:
        if self.uncontrolled_w is None:
            return _UNKNOWN * max(self._nameplates_w, self.instruments.contract_w)
        able_w = self._nameplates_w + max(self.cooling_w, 0.0) + self.uncontrolled_w
        return max(_OVER_CONTRACT * self.instruments.contract_w, _OVER_NAMEPLATES * able_w)

    def _judge(self, snapshot: Snapshot, around: Surroundings) -> None:
        now_s = snapshot.monotonic_s
        register_age_s = snapshot.age_of(Quantity.ENERGY_IMPORT)
        if self.joining.lasts:
            # Who came or went has changed what the devices draw together, and nothing about the meters.
            self.records = [record.begun_anew() for record in self.records]
        for index, meter in enumerate(self.instruments.meters):
            reading = _reading(snapshot, meter.row, float(register_age_s[meter.row]))
            resolution = meter.resolution(reading.power_w, reading.register_wh)
            self.records[index] = judged(self.records[index], reading, around, resolution, now_s)
        first = self.records[0].reading if self.records else None
        for index, other in enumerate(self.records[1:]):
            if first is not None and other.reading is not None and self.records[0].fresh and other.fresh:
                self.disagreements[index] = self.disagreements[index].looked(
                    first, other.reading, around.devices_w, 0.005 * around.most_w, now_s
                )

    def _learn(
        self, know: SiteKnowledge, drawn: Drawn, around: Surroundings, in_flight_s: float, now_s: float
    ) -> None:
        """From a reading of which nothing was learned yet: a figure that repeats says nothing new."""
        record = next(record for record in self.records if record.trusted)
        reading, before = record.reading, self._learned
        if reading is None or record.unsure:
            self._pairing.forget()
            return
        if record.finding is Finding.MOVED:
            raw_w = reading.power_w - know.known_w
            self.moved_w, self.moved_s = raw_w - (self.uncontrolled_w or 0.0), now_s
            self.residual = self.residual.moved(raw_w)
            self._pairing.forget()
        if before is None or (reading.is_newer(before) and _says_more(reading, before)):
            dt_s = 1.0 if self._learned_s is None else now_s - self._learned_s
            self._learned, self._learned_s = reading, now_s
            self._exceeded(reading, around, now_s)
            self._pairing.take(reading, drawn, dt_s, in_flight_s, now_s)
        hole = self.drawn_w < (1 - _HOLE) * (know.counted_w - self.cooling_w)
        for pair in self._pairing.pairs(drawn, now_s):
            self._learn_of(pair, hole=hole)

    def _learn_of(self, pair: Pair, *, hole: bool) -> None:
        raw_w, dt_s = pair.reading.power_w - pair.known_w, pair.dt_s
        allowed_w = _APART * abs(pair.reading.power_w)
        if self.joining.lasts and pair.apart_w <= allowed_w and pair.in_flight_s >= _AT_REST_S:
            self.residual = self.residual.moved(raw_w)
            self.joining.end()
            return
        if pair.apart_w > allowed_w:
            dt_s = min(dt_s, 1.0) * (allowed_w / pair.apart_w) ** 2
        if hole and self.uncontrolled_w is not None and raw_w < self.uncontrolled_w:
            dt_s *= _IN_A_HOLE
        self.residual = self.residual.learned(
            raw_w,
            dt_s,
            pair.in_flight_s,
            _INNOVATION * self.instruments.contract_w,
            METER_NOISE * abs(pair.reading.power_w),
        )

    def _exceeded(self, reading: Reading, around: Surroundings, now_s: float) -> None:
        """Whether the parts are more than the whole, for a while."""
        excess_w = around.measured_w - reading.power_w
        if excess_w <= max(0.02 * abs(reading.power_w), 0.005 * around.most_w):
            self._excess_s, self.excess_w = None, 0.0
        elif self._excess_s is None:
            self._excess_s = now_s
        elif now_s - self._excess_s >= 60.0:
            self.excess_w = excess_w


def _believable(instruments: Instruments) -> Believable:
    """Site meters are judged by themselves; everything else by its nameplate."""
    nameplate_w = instruments.nameplate_w
    most_w = _UNKNOWN * max(float(nameplate_w.sum()), instruments.contract_w)
    believable = Believable.of(nameplate_w, most_w)
    rows = [meter.row for meter in instruments.meters]
    believable.lowest_w[rows] = -np.inf
    believable.highest_w[rows] = np.inf
    return believable


def _with(column: Floats, those: Ints, values: Floats | float) -> Floats:
    """The column with other values in some places."""
    column = column.copy()
    column[those] = values
    return column


def _or(values: Floats, others: Floats) -> Floats:
    """The values, the others where there are none."""
    return np.where(np.isnan(values), others, values)


def _not_below_zero(values: Floats) -> Floats:
    below = (values < 0).nonzero()[0]
    return _with(values, below, np.nan) if len(below) else values


def _says_more(now: Reading, before: Reading) -> bool:
    register_moved = now.has_register and now.register_wh != before.register_wh
    return register_moved or now.power_w != before.power_w


def _reading(snapshot: Snapshot, row: int, register_age_s: float) -> Reading:
    age_s = float(snapshot.age_s[row])
    values = snapshot.values[row].tolist()
    return Reading(
        power_w=values[COLUMN[Quantity.POWER]],
        register_wh=values[COLUMN[Quantity.ENERGY_IMPORT]],
        sampled_s=snapshot.monotonic_s - age_s,
        register_s=snapshot.monotonic_s - register_age_s,
        serial=values[COLUMN[Quantity.SERIAL]],
        fresh=age_s <= float(snapshot.stale_after_s[row]),
    )
