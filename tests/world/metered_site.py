"""A metered site without any I/O: true energy, a wall clock that may be wrong, a daemon that may be dead."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.ledger.intervals import Finished, IntervalBuilder
from daemon.ledger.observation import CycleObservation, MeterReading
from daemon.ledger.records import TimeStatus, check_body
from daemon.ledger.register import Baseline
from daemon.timestamps import parse_utc

MIDNIGHT = 1_780_012_800  # 2026-05-29T00:00:00Z


@dataclass
class MeteredSite:
    """Time goes on by `run`, `down` and `step_clock`; `bodies` is what a store would hold."""

    interval_s: int = 300
    points: tuple[str, ...] = ("poi",)
    true_s: float = float(MIDNIGHT + 3600)
    clock_error_s: float = 0.0
    power_w: float = 900_000.0
    energy_wh: float = 5_000_000.4
    meter_answers: bool = True
    meter_sn: str | None = "SN-1"
    register_shift_wh: int = 0
    reading_age_s: float = 0.4
    limit_w: int = 1_000_000
    floor_w: int | None = 50_000
    settling: bool = False
    state: str = "limited"
    time_status: TimeStatus = TimeStatus.TRUSTED
    has_register: bool = True
    bodies: list[dict[str, Any]] = field(default_factory=list)
    saved: dict[str, Baseline] = field(default_factory=dict)
    builder: IntervalBuilder | None = None

    @property
    def register_wh(self) -> int:
        return int(self.energy_wh) + self.register_shift_wh

    @property
    def wall_s(self) -> float:
        return self.true_s + self.clock_error_s

    def run(self, seconds: float, cycle_s: float = 1.0) -> None:
        """The daemon is up (started if it was not) and sees a cycle every `cycle_s`."""
        if self.builder is None:
            self.builder = IntervalBuilder(self.interval_s, self.points, self.saved)
            self.keep(self.builder.observe(self.observation()))
        end_s = self.true_s + seconds
        while self.true_s < end_s:
            self._pass(min(cycle_s, end_s - self.true_s))
            self.keep(self.builder.observe(self.observation()))

    def kill(self) -> None:
        """Kill -9: what was not kept is gone."""
        self.builder = None

    def down(self, seconds: float) -> None:
        """The plant runs on without a daemon."""
        self.kill()
        self._pass(seconds)

    def step_clock(self, seconds: float) -> None:
        self.clock_error_s += seconds

    def swap_meter(self, meter_sn: str | None, register_wh: int) -> None:
        self.meter_sn = meter_sn
        self.register_shift_wh = register_wh - int(self.energy_wh)

    def keep(self, finished: Finished) -> None:
        """What the ledger does in one transaction."""
        self.bodies += finished.bodies
        self.saved.update({baseline.point: baseline for baseline in finished.baselines})

    def observation(self) -> CycleObservation:
        # What the register showed when it was read.
        read_wh = int(self.energy_wh - self.power_w * self.reading_age_s / 3600.0) + self.register_shift_wh
        reading = MeterReading(
            register_wh=read_wh if self.has_register else None,
            power_w=self.power_w,
            age_s=self.reading_age_s,
            meter_sn=self.meter_sn,
        )
        return CycleObservation(
            wall_s=self.wall_s,
            monotonic_s=self.true_s - MIDNIGHT,
            time_status=self.time_status,
            points=dict.fromkeys(self.points, reading) if self.meter_answers else {},
            limit_w=self.limit_w,
            quota_hash=None,
            floor_w=self.floor_w,
            settling=self.settling,
            state=self.state,
            hash_ths=1000.0,
            gpu_active=None,
        )

    def _pass(self, seconds: float) -> None:
        self.true_s += seconds
        self.energy_wh += self.power_w * seconds / 3600.0

    # --- what an auditor sees ---

    def records(self, point: str = "poi") -> list[dict[str, Any]]:
        """Its intervals and gaps, in order."""
        return [body for body in self.bodies if body.get("point") == point]

    def audit(self, point: str = "poi") -> int:
        """Check one point's chain by the contract's own words; returns the sum of its energy."""
        return audit(self.bodies, self.interval_s, point)


class SiteClock:
    """The site's clock, for what works with it."""

    def __init__(self, site: MeteredSite) -> None:
        self._site = site

    def wall(self) -> float:
        return self._site.wall_s

    def monotonic(self) -> float:
        return self._site.true_s

    def boottime(self) -> float:
        return self._site.true_s

    def boot_id(self) -> str:
        return "boot"


def audit(bodies: Iterable[Mapping[str, Any]], interval_s: int, point: str = "poi") -> int:
    """No hole, no double, registers joined, energy = registers' difference; returns Σ wh of the point."""
    next_start: int | None = None
    register_wh: int | None = None
    changed_wh = 0
    total_wh = 0
    for body in bodies:
        if body["kind"] == "day_close":
            continue
        check_body(body)
        if body["kind"] == "event" and body["what"] == "meter-changed" and body["detail"]["point"] == point:
            changed_wh += body["detail"]["reg_end_wh"] - body["detail"]["reg_start_wh"]
        if body.get("point") != point:
            continue
        start = parse_utc(body["start"])
        assert start % interval_s == 0
        assert next_start in {None, start}, "a hole or a double"
        next_start = start + body["dur_s"]
        if body["reg_end_wh"] is not None:
            assert register_wh in {None, body["reg_start_wh"]}, "registers must join"
            assert body["wh"] == body["reg_end_wh"] - body["reg_start_wh"] + changed_wh
            register_wh, changed_wh = body["reg_end_wh"], 0
        else:
            assert body["kind"] == "gap" or body["quality"] != 17
        total_wh += body["wh"] or 0
    return total_wh
