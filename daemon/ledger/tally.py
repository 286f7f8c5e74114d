"""What is counted within one interval, beside the registers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.ledger.minutes import Verdict
from daemon.ledger.observation import CycleObservation, MeterReading
from daemon.ledger.records import TimeStatus

FRESH_S = 6.0
"""A power reading older than this says nothing of the present; likewise a cycle that long ago."""

STATES = ("init", "controlled", "limited", "failsafe")
_DOUBT = {TimeStatus.TRUSTED: 0, TimeStatus.HELD_OVER: 1, TimeStatus.UNKNOWN: 2}


@dataclass(slots=True)
class PointTally:
    """Power samples of one point in one interval."""

    samples: int = 0
    covered_s: float = 0.0
    drawn_ws: float = 0.0
    max_w: float | None = None
    _last_sample_s: float = field(default=float("-inf"), init=False)

    def count(self, reading: MeterReading, wall_s: float) -> None:
        """Count a reading's power as a sample, once however often it is shown."""
        sampled_s = wall_s - reading.age_s
        # The same sample seen again differs only by the rounding of its age.
        if reading.power_w is None or reading.age_s > FRESH_S or sampled_s <= self._last_sample_s + 0.001:
            return
        self._last_sample_s = sampled_s
        self.samples += 1
        self.max_w = reading.power_w if self.max_w is None else max(self.max_w, reading.power_w)

    def cover(self, dur_s: float, power_w: float) -> None:
        """Count `dur_s` seconds at `power_w`."""
        self.covered_s += dur_s
        self.drawn_ws += dur_s * power_w


@dataclass(slots=True)
class SiteTally:
    """What was in force and what was made of the energy in one interval."""

    seen_s: float = 0.0
    limit_ws: float = 0.0
    floor_ws: float = 0.0
    floor_s: float = 0.0
    settle_s: float = 0.0
    state_s: dict[str, float] = field(default_factory=dict)
    hashes_th: float | None = None
    gpu_s: float | None = None
    over_s: float = 0.0
    over_wh: float = 0.0
    time_status: TimeStatus | None = None

    def note(self, status: TimeStatus) -> None:
        """Keep the worst status of the clock."""
        if self.time_status is None or _DOUBT[status] > _DOUBT[self.time_status]:
            self.time_status = status

    def cover(self, dur_s: float, in_force: CycleObservation, seen: CycleObservation) -> None:
        """Count `dur_s` seconds: `in_force` decided what held, `seen` measured at their end."""
        self.seen_s += dur_s
        self.limit_ws += dur_s * in_force.limit_w
        if in_force.floor_w is not None:
            self.floor_ws += dur_s * in_force.floor_w
            self.floor_s += dur_s
        if in_force.settling:
            self.settle_s += dur_s
        self.state_s[in_force.state] = self.state_s.get(in_force.state, 0.0) + dur_s
        if seen.hash_ths is not None:
            self.hashes_th = (self.hashes_th or 0.0) + dur_s * seen.hash_ths
        if seen.gpu_active is not None:
            self.gpu_s = (self.gpu_s or 0.0) + dur_s * seen.gpu_active

    def judge(self, verdict: Verdict) -> None:
        """Add a minute's verdict."""
        self.over_s += verdict.over_s
        self.over_wh += verdict.over_wh

    def members(self, dur_s: int, last: CycleObservation) -> dict[str, Any]:
        """The members that only the site meter's interval has.

        Of seconds that nobody saw (the daemon was down within the interval) the limit counts as the mean
        of those seen, or as `last` when none were; they are in no state and in no verdict.
        """
        limit_w = self.limit_ws / self.seen_s if self.seen_s else float(last.limit_w)
        floor_w = self.floor_ws / self.floor_s if self.floor_s else last.floor_w
        return {
            "limit_wh": round(limit_w * dur_s / 3600.0),
            "limit_ref": last.quota_hash,
            "floor_w": None if floor_w is None else round(floor_w),
            "over_s": round(self.over_s),
            "over_wh": round(self.over_wh),
            "settle_s": round(self.settle_s),
            "state_s": whole_seconds(self.state_s),
            "output": {
                "hashes_th": None if self.hashes_th is None else round(self.hashes_th),
                "gpu_s": None if self.gpu_s is None else round(self.gpu_s),
            },
        }


NOT_THE_SITE: Mapping[str, None] = dict.fromkeys(
    ("limit_wh", "limit_ref", "floor_w", "over_s", "over_wh", "settle_s", "state_s", "output")
)
"""The same members in the intervals of every other point."""


def whole_seconds(state_s: Mapping[str, float]) -> dict[str, int]:
    """Seconds in every state, whole, with their sum kept: the largest remainders are rounded up."""
    names = (*STATES, *sorted(set(state_s) - set(STATES)))
    exact = {name: state_s.get(name, 0.0) for name in names}
    whole = {name: int(exact[name]) for name in names}
    missing = round(sum(exact.values())) - sum(whole.values())
    by_remainder = sorted(names, key=lambda name: whole[name] - exact[name])
    for name in by_remainder[:missing]:
        whole[name] += 1
    return whole
