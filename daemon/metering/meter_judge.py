"""Whether a meter can be relied upon, and if not, why.

It is judged by itself (does its register go on) and by the rest of the site (does it move when the devices
do, can the plant draw that much). What cannot be explained at once is looked into for a moment: its figure
is shown meanwhile, but nothing is learned from it and nothing rises.
"""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from daemon.metering.jump import Finding, JumpWatch
from daemon.metering.reading import Reading, Resolution, Surroundings
from daemon.metering.standstill import Standstill

LOST_S = 300.0
RECOVERY_S = 60.0
"""A meter that was distrusted shows good readings for so long before it is trusted again."""


class Doubt(StrEnum):
    """Why a meter is not relied upon."""

    STALE = "stale"
    LOST = "lost"
    """Stale for `LOST_S`."""
    FROZEN = "frozen"
    """Shows the same figures although the load says that they must have moved."""
    JUMPING = "jumping"
    """Shows more than the plant can draw, or a change that nothing explains."""
    BACKWARDS = "backwards"
    """Its register ran backwards."""

    @property
    def ends_at_once(self) -> bool:
        """Whether one good reading ends it: silence says nothing against what came before and after."""
        return self in {Doubt.STALE, Doubt.LOST}


@dataclass(frozen=True, slots=True)
class MeterRecord:
    """What is remembered of one meter; a new one has shown nothing yet."""

    reading: Reading | None = None
    standstill: Standstill = field(default_factory=Standstill)
    jump: JumpWatch = field(default_factory=JumpWatch)
    finding: Finding = Finding.EXPLAINED
    doubt: Doubt | None = None
    """Why it is not relied upon now."""
    good_s: float | None = None
    """Monotonic: since when its readings have been fresh and beyond suspicion; `None` = they are not."""

    def begun_anew(self) -> "MeterRecord":
        """What it showed beside the devices says nothing any more, for there are others; a doubt stays."""
        if self.doubt is not None:
            return self
        standstill = replace(self.standstill, baseline_w=None, away_s=None)
        return replace(self, jump=JumpWatch(), standstill=standstill, finding=Finding.EXPLAINED)

    def repeats_frozen(self, reading: Reading) -> bool:
        """Whether a meter that is said to be frozen shows its figure again: that teaches nothing."""
        before = self.reading
        return self.doubt is Doubt.FROZEN and before is not None and reading.power_w == before.power_w

    @property
    def trusted(self) -> bool:
        """Whether the loop may be closed on its power."""
        return self.reading is not None and self.doubt is None

    @property
    def fresh(self) -> bool:
        """Whether its readings of now are beyond suspicion, be it trusted again already or not."""
        return self.good_s is not None

    @property
    def unsure(self) -> bool:
        """Whether its reading of now is being looked into."""
        return self.finding is Finding.UNSURE


def judged(
    record: MeterRecord, reading: Reading, around: Surroundings, resolution: Resolution, now_s: float
) -> MeterRecord:
    """After one more look."""
    if not reading.fresh or math.isnan(reading.power_w):
        silent_s = now_s - reading.sampled_s
        return _doubted(record, Doubt.LOST if silent_s >= LOST_S else Doubt.STALE)
    if reading.is_another_meters(record.reading):
        record = MeterRecord(doubt=record.doubt)
    before = record.reading
    beyond = abs(reading.power_w) > around.most_w
    shown, standstill, jump = before, record.standstill, record.jump
    if reading.is_newer(before):
        shown, standstill = reading, standstill.read(before, reading)
        if record.repeats_frozen(reading):
            jump = replace(jump, change=None)
        elif not beyond:
            jump = jump.read(before, reading, around)
    standstill = standstill.compared(reading, around, resolution, now_s)
    change = jump.change
    jump, finding = jump.looked(reading, around, resolution, now_s)
    record = MeterRecord(shown, standstill, jump, finding, record.doubt, record.good_s)
    if before is not None and reading.register_wh < before.register_wh:
        return _doubted(record, Doubt.BACKWARDS)
    if beyond:
        return _doubted(record, Doubt.JUMPING)
    if standstill.proven(reading, around, resolution):
        return _doubted(record, Doubt.FROZEN)
    if finding is Finding.UNEXPLAINED:
        # That it differs because the others have moved is no jump of its own.
        stood = change is not None and standstill.changed_s < change.first.sampled_s
        stays = record.doubt is not None and not record.doubt.ends_at_once
        doubt = record.doubt if stays else Doubt.FROZEN if stood else Doubt.JUMPING
        return _doubted(record, doubt or Doubt.JUMPING)
    return _good(record, now_s)


def _doubted(record: MeterRecord, doubt: Doubt) -> MeterRecord:
    """Silence does not take the place of a graver doubt."""
    if not doubt.ends_at_once:
        return replace(record, doubt=doubt, good_s=None)
    if record.doubt is not None and not record.doubt.ends_at_once:
        doubt = record.doubt
    jump = replace(record.jump, change=None)
    return replace(record, doubt=doubt, good_s=None, jump=jump, finding=Finding.EXPLAINED)


def _good(record: MeterRecord, now_s: float) -> MeterRecord:
    good_s = now_s if record.good_s is None else record.good_s
    doubt = record.doubt
    if doubt is not None and (doubt.ends_at_once or now_s - good_s >= RECOVERY_S):
        doubt = None
    if good_s == record.good_s and doubt is record.doubt:
        return record
    return replace(record, good_s=good_s, doubt=doubt)
