"""Whether a meter's power changed by more than anything else on the site explains."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from daemon.metering.reading import Reading, Resolution, Surroundings

JUMP = 0.1
"""Of the power expected: a larger difference wants an explanation."""
JUMP_OF_MOST = 0.05
"""Of what the plant can draw: a smaller difference never does."""
CONFIRM_S = 5.0
"""A change is looked into for so long after the devices have had time to show it."""
BORNE_OUT = 0.2
"""The register has counted what the power says, to this share."""
UNDECIDED_S = 60.0
"""A register too coarse to say so by then says nothing."""
BASE_S = 30.0
"""Time constant of what the meter shows beyond the devices."""
SETTLED_S = 30.0
"""Before a meter was watched for so long, nothing is known that its reading could have jumped from."""


class Finding(StrEnum):
    """What is made of a reading."""

    EXPLAINED = "explained"
    UNSURE = "unsure"
    """Being looked into."""
    MOVED = "moved"
    """What nobody controls has changed at once: the register bears it out, or nothing speaks against it."""
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class _Change:
    """A difference that is being looked into, from the reading that showed it first."""

    since_s: float
    upwards: bool
    first: Reading
    sum_ws: float = 0.0
    """∫ power over the readings since `first`."""


@dataclass(frozen=True, slots=True)
class JumpWatch:
    """What is remembered of one meter."""

    base_w: float | None = None
    """What it shows beyond the devices, filtered; negative where something generates."""
    watched_s: float = 0.0
    change: _Change | None = None
    distrusted: bool = False
    """The change was looked into and nothing explains it."""

    def read(self, before: Reading | None, now: Reading, around: Surroundings) -> "JumpWatch":
        """After the meter was asked again."""
        raw_w = now.power_w - around.devices_w
        if before is None or self.base_w is None:
            return replace(self, base_w=raw_w)
        passed_s = now.sampled_s - before.sampled_s
        watched_s = self.watched_s + passed_s
        if self.change is not None:
            change = replace(self.change, sum_ws=self.change.sum_ws + now.power_w * passed_s)
            return replace(self, change=change, watched_s=watched_s)
        if abs(self._unexplained_w(now, around)) > self._tolerated_w(around) and watched_s >= SETTLED_S:
            return replace(self, watched_s=watched_s)
        share = min(1.0, passed_s / min(max(watched_s, 1.0), BASE_S))
        return JumpWatch(self.base_w + share * (raw_w - self.base_w), watched_s, None, self.distrusted)

    def looked(
        self, reading: Reading, around: Surroundings, resolution: Resolution, now_s: float
    ) -> tuple["JumpWatch", Finding]:
        """After a look at the devices, with the reading that was taken in last."""
        difference_w = self._unexplained_w(reading, around)
        if self.watched_s < SETTLED_S or abs(difference_w) <= self._tolerated_w(around):
            at_ease = self.change is None and not self.distrusted
            return self if at_ease else replace(self, change=None, distrusted=False), Finding.EXPLAINED
        if self.change is None:
            change = _Change(now_s, difference_w > 0, reading)
            return replace(self, change=change), self._meanwhile
        looked_s = now_s - self.change.since_s
        if looked_s < around.lag_s + CONFIRM_S:
            return self, self._meanwhile
        believed = _borne_out(self.change, reading, resolution)
        if reading.power_w < around.measured_w - self._tolerated_w(around):
            # Less than is measured inside the site right now.
            believed = False
        elif believed is None and self._nothing_else_will_tell(self.change, reading, looked_s):
            believed = True
        match believed:
            case True:
                base_w = reading.power_w - around.devices_w
                return replace(self, base_w=base_w, change=None, distrusted=False), Finding.MOVED
            case False:
                return replace(self, change=None, distrusted=True), Finding.UNEXPLAINED
            case None:
                return self, self._meanwhile

    @staticmethod
    def _nothing_else_will_tell(change: _Change, reading: Reading, looked_s: float) -> bool:
        """Nothing spoke against it: more is believed soon, for it only sheds; less when it has lasted."""
        return (change.upwards and not reading.has_register) or looked_s >= UNDECIDED_S

    @property
    def _meanwhile(self) -> Finding:
        return Finding.UNEXPLAINED if self.distrusted else Finding.UNSURE

    def _expected_w(self, around: Surroundings) -> float:
        return around.devices_w + (self.base_w or 0.0)

    def _unexplained_w(self, reading: Reading, around: Surroundings) -> float:
        return reading.power_w - self._expected_w(around)

    def _tolerated_w(self, around: Surroundings) -> float:
        return max(JUMP * abs(self._expected_w(around)), JUMP_OF_MOST * around.most_w)


def _borne_out(change: _Change, reading: Reading, resolution: Resolution) -> bool | None:
    """Whether the register counted what the power said since the change; `None` = it cannot say (yet)."""
    passed_s = reading.sampled_s - change.first.sampled_s
    counted_s = reading.register_s - change.first.register_s
    if not (reading.has_register and change.first.has_register) or passed_s <= 0 or counted_s <= 0:
        return None
    mean_w = change.sum_ws / passed_s
    error_w = 2 * resolution.register_wh * 3600.0 / counted_s
    if error_w > BORNE_OUT * mean_w:
        return None
    counted_w = (reading.register_wh - change.first.register_wh) * 3600.0 / counted_s
    return math.isclose(counted_w, mean_w, rel_tol=0.0, abs_tol=BORNE_OUT * mean_w + error_w)
