"""Values that no device can mean: not used, counted, shown."""

from dataclasses import dataclass

import numpy as np

from daemon.table.carrying import Origin, carry
from daemon.table.table import Floats

_BELOW_W = 5.0
_BELOW = 0.005
"""A sensor's zero may lie this share of the nameplate below zero."""
_ABOVE = 2.0
_ABOVE_W = 100.0
"""No device draws twice its nameplate and more: a 10 kW miner was seen at 11.5 kW."""


@dataclass(frozen=True, slots=True)
class Believable:
    """What a device of each row can draw, W."""

    lowest_w: Floats
    highest_w: Floats

    @classmethod
    def of(cls, nameplate_w: Floats, most_w: float) -> "Believable":
        """From the nameplates; one of 0 says nothing, and `most_w` bounds it."""
        known = nameplate_w > 0
        return cls(
            lowest_w=-np.maximum(_BELOW_W, _BELOW * nameplate_w),
            highest_w=np.where(known, _ABOVE * nameplate_w + _ABOVE_W, most_w),
        )

    def sane(self, power_w: Floats) -> Floats:
        """NaN for what cannot be; a zero that is a little below zero is zero."""
        can_be = (power_w >= self.lowest_w) & (power_w <= self.highest_w)
        sane_w: Floats = np.maximum(power_w, 0.0)
        sane_w[(~can_be).nonzero()[0]] = np.nan
        return sane_w


class NonsenseCounter:
    """Counts each device's values that were not used."""

    def __init__(self, rows: int) -> None:
        self.counts = np.zeros(rows, dtype=np.int64)
        """(devices,): since the start."""
        self.now = np.zeros(rows, dtype=np.bool_)
        """(devices,): the last value was nonsense."""
        self._counted_s = np.full(rows, -np.inf)

    def take_over(self, before: "NonsenseCounter", devices: Origin) -> None:
        """Go on counting for those who were there already."""
        carry(before, self, ("counts", "now", "_counted_s"), devices)

    def take(self, said_w: Floats, used_w: Floats, sampled_s: Floats) -> None:
        """One look: what the devices said, what of it is used, and when it was asked for."""
        self.now = np.isfinite(said_w) & ~np.isfinite(used_w)
        if not np.count_nonzero(self.now):
            return
        new = self.now & (sampled_s > self._counted_s)
        self.counts[new] += 1
        self._counted_s[new] = sampled_s[new]
