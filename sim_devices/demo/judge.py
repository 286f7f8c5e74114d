"""Whether the site held its quota: from the plant's truth, the signed limits and the exchange's book.

Nothing here is what the daemon says of itself.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

METER_CLASS = 0.005
"""A class 0.5 meter's error."""
READ_EVERY_S = 2.0
"""The register at the end of a span may have been read so far from it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The plant's truth at a moment."""

    wall_s: float
    power_w: float
    floor_w: float
    """What nothing could shed then."""
    register_wh: float


@dataclass(frozen=True, slots=True)
class Step:
    """A moment at which another limit came into force."""

    name: str
    at_s: float
    limit_w: float | None
    """`None` = released."""
    unannounced: bool = False
    """It lowered the limit at once, so a settling window follows."""


@dataclass(frozen=True, slots=True)
class Second:
    """A clock second: means over its samples."""

    start_s: int
    power_w: float
    allowed_w: float
    """max(limit, floor)."""

    @property
    def over(self) -> bool:
        """Whether more was drawn than allowed."""
        return self.power_w > self.allowed_w


@dataclass(frozen=True, slots=True)
class Holding:
    """How the limits were held."""

    over: tuple[Second, ...]
    """Clock seconds above max(limit, floor), settling windows included."""
    broken: tuple[Second, ...]
    """Those outside the windows."""
    seconds_to_comply: Mapping[str, float | None]
    """By step; `None` = not before the next one."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A record of the site meter in the exchange's book."""

    start_s: int
    dur_s: int
    measured: bool
    """An `interval`, not a `gap`."""
    wh: int | None
    receipted: bool
    """A receipt that verifies covers it."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the exchange's book holds of what it should."""

    due: int
    """Intervals that ended while the daemon ran."""
    receipted: int
    missing: tuple[int, ...]
    """Starts of intervals that are not in the book."""
    doubled: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy over exactly the time that the records cover, by two ways of counting."""

    plant_wh: float
    ledger_wh: int
    tolerance_wh: float

    @property
    def agrees(self) -> bool:
        """Whether the two differ by no more than meter and reading times explain."""
        return abs(self.plant_wh - self.ledger_wh) <= self.tolerance_wh


def seconds_of(samples: Sequence[Sample], limit_w: Callable[[float], float]) -> list[Second]:
    """Every clock second that has samples."""
    seconds = []
    for start_s, group in groupby(samples, key=lambda sample: int(sample.wall_s // 1)):
        parts = list(group)
        allowed_w = sum(max(limit_w(part.wall_s), part.floor_w) for part in parts) / len(parts)
        seconds.append(Second(start_s, sum(part.power_w for part in parts) / len(parts), allowed_w))
    return seconds


def judge_holding(
    samples: Sequence[Sample], limit_w: Callable[[float], float], steps: Sequence[Step], settle_s: float
) -> Holding:
    """How the limits were held.

    Args:
        samples: the plant's truth, in order of time.
        limit_w: the limit in force at a Unix time.
        steps: in order of time; judged from the first one on, and the last sample ends the last one.
        settle_s: length of the window after an unannounced step.
    """
    begin = bisect_left(samples, steps[0].at_s, key=lambda sample: sample.wall_s)
    over = tuple(second for second in seconds_of(samples[begin:], limit_w) if second.over)
    windows = [(step.at_s, step.at_s + settle_s) for step in steps if step.unannounced]
    broken = tuple(
        second
        for second in over
        if not any(second.start_s + 1 > start_s and second.start_s < end_s for start_s, end_s in windows)
    )
    ends_s = [step.at_s for step in steps[1:]] + [samples[-1].wall_s if samples else 0.0]
    comply = {
        step.name: _seconds_to_comply(step.at_s, end_s, samples, limit_w, {second.start_s for second in over})
        for step, end_s in zip(steps, ends_s, strict=True)
        if step.limit_w is not None
    }
    return Holding(over, broken, comply)


def _seconds_to_comply(
    start_s: float,
    end_s: float,
    samples: Sequence[Sample],
    limit_w: Callable[[float], float],
    over: set[int],
) -> float | None:
    """Until the last moment above what was allowed within a clock second that was; `None` = to the end."""
    first, after = (bisect_left(samples, at_s, key=lambda sample: sample.wall_s) for at_s in (start_s, end_s))
    span = samples[first:after]
    for sample in reversed(span):
        if int(sample.wall_s // 1) in over and sample.power_w > max(limit_w(sample.wall_s), sample.floor_w):
            return None if sample is span[-1] else round(sample.wall_s - start_s, 1)
    return 0.0


def judge_settlement(
    records: Sequence[Settled], *, online_s: float, stopped_s: float, interval_s: int
) -> Settlement:
    """What the book holds of the intervals that ended while the daemon ran.

    Args:
        records: of the site meter, in the order of the ledger.
        online_s: when the daemon was first heard of; its first interval holds this or an earlier moment,
            or begins right after.
        stopped_s: when it was told to stop. What ended by then is due.
        interval_s: length of an interval.
    """
    starts = [record.start_s for record in records]
    latest_first = int(online_s // interval_s + 1) * interval_s
    first = min([*starts, latest_first])
    due = range(first, int(stopped_s // interval_s) * interval_s, interval_s)
    times = {start: starts.count(start) for start in {*starts, *due}}
    receipted = {record.start_s for record in records if record.receipted}
    return Settlement(
        due=len(due),
        receipted=len([start for start in due if start in receipted and times[start] == 1]),
        missing=tuple(start for start in due if not times[start]),
        doubled=tuple(sorted(start for start, count in times.items() if count > 1)),
    )


def judge_energy(samples: Sequence[Sample], records: Sequence[Settled]) -> Energy | None:
    """Compare the plant's own register with the records from the first whole interval on.

    A site's first record is never whole: it begins with the very first reading of the meter, late by as
    much as the daemon took to start. `None` = no other interval was measured.
    """
    receipted = [record for record in records if record.receipted]
    first = next((index for index, record in enumerate(receipted) if index and record.measured), None)
    if first is None:
        return None
    covered = receipted[first:]
    # Gaps at the end without energy wait for the register.
    while covered[-1].wh is None:
        covered.pop()
    start_s, end_s = covered[0].start_s, covered[-1].start_s + covered[-1].dur_s
    plant_wh = _register_wh(samples, end_s) - _register_wh(samples, start_s)
    ends_w = _power_w(samples, start_s) + _power_w(samples, end_s)
    return Energy(
        plant_wh=round(plant_wh, 1),
        ledger_wh=sum(record.wh or 0 for record in covered),
        tolerance_wh=METER_CLASS * plant_wh + ends_w * READ_EVERY_S / 3600,
    )


def _register_wh(samples: Sequence[Sample], wall_s: float) -> float:
    """The true register at a time, between the samples on either side."""
    index = bisect_left(samples, wall_s, key=lambda sample: sample.wall_s)
    if index in {0, len(samples)}:
        raise ValueError("the plant's history does not cover the records")
    before, after = samples[index - 1], samples[index]
    share = (wall_s - before.wall_s) / (after.wall_s - before.wall_s)
    return before.register_wh + (after.register_wh - before.register_wh) * share


def _power_w(samples: Sequence[Sample], wall_s: float) -> float:
    index = bisect_left(samples, wall_s, key=lambda sample: sample.wall_s)
    return samples[min(index, len(samples) - 1)].power_w
