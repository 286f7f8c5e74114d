"""What the interval builder is shown once per cycle."""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.ledger.records import TimeStatus


@dataclass(frozen=True, slots=True)
class MeterReading:
    """A metered point as the snapshot has it. `None` = absent, never zero."""

    register_wh: int | None
    """Cumulative import, unrolled."""
    power_w: float | None
    age_s: float
    """How long before the observation the values were sampled."""
    meter_sn: str | None


@dataclass(frozen=True, slots=True)
class CycleObservation:
    """One cycle: readings just taken, and what has been in force since this cycle decided it."""

    wall_s: float
    monotonic_s: float
    """`Clock.monotonic()` at the same moment: tells a step of the wall clock from a stalled daemon."""
    time_status: TimeStatus
    points: Mapping[str, MeterReading]
    """By device id; a point that is missing has no reading."""
    limit_w: int
    quota_hash: str | None
    floor_w: int | None
    """What nothing can shed; `None` = not known yet, then the limit alone is the measure."""
    settling: bool
    state: str
    hash_ths: float | None
    gpu_active: float | None
