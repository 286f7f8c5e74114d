"""The settlement intervals of a site, from one observation per cycle. Pure: no clock, no storage.

Every wall-clock interval becomes exactly one `interval` or `gap` body per point, in grid order. Where a
record cannot be written whole the energy waits in the meter's register and comes with a later gap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from daemon.ledger.grid import DAY_S, interval_start, minute_end
from daemon.ledger.minutes import MinuteJudge
from daemon.ledger.observation import CycleObservation
from daemon.ledger.progress import Progress, dump_progress, load_progress
from daemon.ledger.records import GapReason, Quality, TimeStatus, gap
from daemon.ledger.register import Baseline, Energy, PointRegister
from daemon.ledger.tally import FRESH_S, NOT_THE_SITE
from daemon.timestamps import format_utc

EARLIEST_S = 1_704_067_200
"""2024-01-01: a wall clock before it has not been set (a board without a battery)."""

STEP_S = 2.0
"""A larger difference between wall and monotonic clock is a step of the wall clock."""

BEARABLE_STEP_S = 10.0
"""A step up to the skew that the contract allows leaves an interval measured, its boundaries estimated."""

AT_ONCE = 300
"""Intervals finished by one observation at most; a longer outage is caught up cycle by cycle."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What must be stored together: record bodies in order, and where every point continues."""

    bodies: list[dict[str, Any]]
    baselines: tuple[Baseline, ...]

    def __bool__(self) -> bool:
        return bool(self.bodies or self.baselines)


class IntervalBuilder:
    """Builds the bodies of `interval` and `gap` records and of `day_close` markers.

    A marker is `{"kind": "day_close", "day"}`; the ledger fills in what only the stored records tell.
    """

    def __init__(
        self,
        interval_s: int,
        points: Sequence[str],
        baselines: Mapping[str, Baseline],
        progress: str | None = None,
    ) -> None:
        """Continue from `baselines`, empty at the very first start.

        Args:
            interval_s: length of an interval; divides a day.
            points: device ids of the metered points, the site meter first.
            baselines: as stored with the last records.
            progress: what `progress` said last; of another interval it is ignored.
        """
        self._interval_s = interval_s
        self._points = tuple(points)
        self._minutes = MinuteJudge()
        self._last: CycleObservation | None = None
        self._watching_since = 0.0
        self._before_watching = GapReason.DOWN
        self._kept = tuple(baselines[point] for point in points if point in baselines)
        stored = {baseline.next_start for baseline in baselines.values()}
        self._next_start = interval_start(max(stored), interval_s) if stored else None
        self._virgin = not stored
        self._progress = load_progress(progress, self._next_start, self._minutes)
        longest_age_s = min(60.0, interval_s / 2)
        start = self._next_start or 0
        self._registers = {
            point: PointRegister(
                replace(baselines.get(point, Baseline(point, start)), next_start=start), longest_age_s
            )
            for point in points
        }
        self._longest_age_s = longest_age_s

    @property
    def next_start(self) -> int | None:
        """Start of the interval in progress; `None` before the first observation of a new site."""
        return self._next_start

    def baselines(self) -> tuple[Baseline, ...]:
        """Where every point continues."""
        return tuple(self._registers[point].baseline for point in self._points)

    def progress(self) -> str | None:
        """What is counted of the interval in progress, to be kept for a restart; `None` = nothing yet.

        A register needs none of it: what is lost with it is at most a part of what was seen in between.
        """
        start = self._next_start
        return None if start is None else dump_progress(start, self._progress, self._minutes)

    def observe(self, seen: CycleObservation) -> Finished:
        """Take one cycle; returns what it finished, often nothing.

        Nothing is finished while the wall clock has never been set, nor is an outage of more than a day
        turned into gaps before the clock is trusted: they could not be taken back.
        """
        if seen.wall_s < EARLIEST_S:
            return Finished([], ())
        self._watch(seen)
        bodies = list(self._meter_changes(seen))
        self._progress.site.note(seen.time_status)
        start = self._next_start if self._next_start is not None else self._begin(seen)
        since_s = self._since(seen)
        for _ in range(0 if self._doubtful(start, seen) else AT_ONCE):
            end = start + self._interval_s
            if end > seen.wall_s:
                break
            self._cover(since_s, end, seen)
            bodies += self._finish(start, end, seen)
            start, since_s = end, max(since_s, end)
        self._cover(since_s, seen.wall_s, seen)
        if start <= seen.wall_s < start + self._interval_s:
            for point in self._registers.keys() & seen.points.keys():
                self._progress.point(point).count(seen.points[point], seen.wall_s)
        self._last = seen
        return self._to_store(bodies)

    def _to_store(self, bodies: list[dict[str, Any]]) -> Finished:
        """The first known register is kept at once: what flows from there on is never lost."""
        baselines = self.baselines()
        if not bodies and baselines == self._kept:
            return Finished([], ())
        self._kept = baselines
        return Finished(bodies, baselines)

    # --- the clock ---

    def _begin(self, seen: CycleObservation) -> int:
        start = interval_start(seen.wall_s, self._interval_s)
        self._set_start(start)
        return start

    def _set_start(self, start: int) -> None:
        self._next_start = start
        self._registers = {
            point: PointRegister(replace(register.baseline, next_start=start), self._longest_age_s)
            for point, register in self._registers.items()
        }

    def _watch(self, seen: CycleObservation) -> None:
        """Notice a start, a step of the wall clock and a stall."""
        last = self._last
        if last is None:
            self._watching_since, self._before_watching = seen.wall_s, GapReason.DOWN
            ahead_s = (self._next_start or 0) - seen.wall_s
            self._progress.stepped = self._progress.stepped or ahead_s > STEP_S
            return
        went_s = seen.wall_s - last.wall_s
        step_s = went_s - (seen.monotonic_s - last.monotonic_s)
        if abs(step_s) > STEP_S:
            self._minutes = MinuteJudge()
            for register in self._registers.values():
                register.clock_stepped(step_s)
            if self._virgin:
                self._next_start = None
                self._progress = Progress()
            elif abs(step_s) > BEARABLE_STEP_S:
                self._progress.stepped = True
            self._progress.nudged = True
            self._watching_since, self._before_watching = seen.wall_s, GapReason.NO_CLOCK
        elif went_s > FRESH_S:
            self._watching_since, self._before_watching = seen.wall_s, GapReason.DOWN

    def _doubtful(self, start: int, seen: CycleObservation) -> bool:
        """Whether the wall clock would close more than a day and nobody has confirmed it."""
        if seen.time_status is not TimeStatus.UNKNOWN or seen.wall_s <= start + DAY_S:
            return False
        self._watching_since, self._before_watching = seen.wall_s, GapReason.NO_CLOCK
        return True

    def _since(self, seen: CycleObservation) -> float:
        """From when on the seconds up to this cycle were watched."""
        if self._last is None or self._watching_since == seen.wall_s:
            return seen.wall_s
        return self._last.wall_s

    # --- within an interval ---

    def _meter_changes(self, seen: CycleObservation) -> Iterator[dict[str, Any]]:
        if self._next_start is None:
            self._begin(seen)
        for point in self._points:
            reading = seen.points.get(point)
            if reading is None:
                continue
            body = self._registers[point].take(reading, seen.wall_s)
            if body is not None:
                yield body

    def _cover(self, start_s: float, end_s: float, seen: CycleObservation) -> None:
        """Count the seconds up to `end_s` that belong to the interval in progress."""
        in_force = self._last
        start = self._next_start or 0
        at, end_s = max(start_s, float(start)), min(end_s, float(start + self._interval_s))
        while in_force is not None and at < end_s:
            cut = min(end_s, float(minute_end(at)))
            self._progress.site.judge(self._minutes.close_until(at))
            self._cover_piece(at, cut - at, in_force, seen)
            at = cut

    def _cover_piece(
        self, at: float, dur_s: float, in_force: CycleObservation, seen: CycleObservation
    ) -> None:
        """Count a piece of time within one clock minute."""
        self._progress.site.cover(dur_s, in_force, seen)
        for point in self._points:
            reading = seen.points.get(point)
            if reading is None or reading.power_w is None or reading.age_s > FRESH_S:
                continue
            self._progress.point(point).cover(dur_s, reading.power_w)
            if point == self._points[0] and not in_force.settling:
                allowed_w = max(in_force.limit_w, in_force.floor_w or 0)
                self._minutes.add(at, dur_s, reading.power_w, allowed_w)

    # --- at its end ---

    def _finish(self, start: int, end: int, seen: CycleObservation) -> Iterator[dict[str, Any]]:
        progress = self._progress
        progress.site.judge(self._minutes.close_until(end))
        for point in self._points:
            yield self._record(point, start, end, seen)
        if end % DAY_S == 0:
            yield {"kind": "day_close", "day": format_utc(start)[:10]}
        self._next_start, self._progress, self._virgin = end, Progress(), False
        self._progress.site.note(seen.time_status)

    def _record(self, point: str, start: int, end: int, seen: CycleObservation) -> dict[str, Any]:
        register = self._registers[point]
        whole = register.whole()
        energy = register.advance(end)
        flaw = self._flaw(start, end, whole=whole, energy=energy, watched_only=_has_none(register))
        if energy is None and _has_none(register):
            return self._integrated(point, start, flaw, seen)
        if flaw is not None or energy is None:
            reason = flaw or GapReason.NO_METER
            if energy is None:
                return gap(point, start, self._interval_s, reason)
            registers_wh = (energy.reg_start_wh, energy.reg_end_wh)
            return gap(point, start, self._interval_s, reason, registers_wh=registers_wh, wh=energy.wh)
        quality = Quality.VALIDATED if energy.prompt and not self._progress.nudged else Quality.ESTIMATED
        return self._interval(point, start, energy, energy.wh, quality, seen)

    def _flaw(
        self, start: int, end: int, *, whole: bool, energy: Energy | None, watched_only: bool
    ) -> GapReason | None:
        """Why this interval must be a gap, if it must."""
        if self._progress.stepped:
            return GapReason.NO_CLOCK
        if whole and energy is not None:
            return None
        if end <= self._watching_since:
            return self._before_watching
        if start < self._watching_since:
            stepped = self._before_watching is GapReason.NO_CLOCK
            return GapReason.NO_CLOCK if stepped else GapReason.PARTIAL
        return None if watched_only else GapReason.NO_METER

    def _integrated(
        self, point: str, start: int, flaw: GapReason | None, seen: CycleObservation
    ) -> dict[str, Any]:
        """A point that has never shown a register: mean power over the interval, marked as estimated."""
        tally = self._progress.point(point)
        if tally.covered_s <= 0:
            return gap(point, start, self._interval_s, flaw or GapReason.NO_METER)
        wh = round(tally.drawn_ws / tally.covered_s * self._interval_s / 3600.0)
        if flaw is not None:
            return gap(point, start, self._interval_s, flaw, wh=round(tally.drawn_ws / 3600.0))
        thin = tally.covered_s < 0.9 * self._interval_s
        quality = Quality.QUESTIONABLE if thin else Quality.ESTIMATED
        return self._interval(point, start, None, wh, quality, seen)

    def _interval(
        self,
        point: str,
        start: int,
        energy: Energy | None,
        wh: int,
        quality: Quality,
        seen: CycleObservation,
    ) -> dict[str, Any]:
        site, tally = self._progress.site, self._progress.point(point)
        last = self._last or seen
        members = site.members(self._interval_s, last) if point == self._points[0] else NOT_THE_SITE
        return {
            "kind": "interval",
            "point": point,
            "meter_sn": self._registers[point].baseline.meter_sn,
            "start": format_utc(start),
            "dur_s": self._interval_s,
            "reg_start_wh": None if energy is None else energy.reg_start_wh,
            "reg_end_wh": None if energy is None else energy.reg_end_wh,
            "wh": wh,
            "max_w": None if tally.max_w is None else round(tally.max_w),
            "samples": tally.samples,
            "coverage_s": min(round(tally.covered_s), self._interval_s),
            "quality": int(quality),
            "time_status": (site.time_status or seen.time_status).value,
            **members,
        }


def _has_none(register: PointRegister) -> bool:
    return register.baseline.register_wh is None
