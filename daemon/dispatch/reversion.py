"""Keeps reversion timers running: a device that hears no more falls to its share of the failsafe limit."""

import numpy as np

from daemon.allocation.loads import Ints, Loads
from daemon.table.carrying import Origin, among, carried
from daemon.table.table import Floats
from drivers.ports import Fleet

_FEED = 1 / 3
"""Of its time: two feeds may be lost before a timer ends."""


class ReversionTimers:
    """Of the loads that have one."""

    def __init__(self, loads: Loads, after_s: Floats, fleet: Fleet) -> None:
        """`after_s`: (loads,); inf = it has none."""
        self._loads = loads
        self._fleet = fleet
        self._those = np.flatnonzero(np.isfinite(after_s))
        self._every_s = _FEED * after_s[self._those]
        self._fed_s = np.full(len(self._those), -np.inf)

    def take_over(self, before: "ReversionTimers", origin: Origin) -> None:
        """Go on with the times of those who were there already."""
        mine = among(origin, self._those, before._those)  # noqa: SLF001  of the same class
        self._fed_s = carried(before._fed_s, mine, self._fed_s)  # noqa: SLF001  of the same class

    def due(self, now_s: float) -> Ints:
        """Indices of the loads whose order is to be written again, right as it is; the next time is set."""
        if not len(self._those):
            return self._those
        due = now_s - self._fed_s >= self._every_s
        self._fed_s[due] = now_s
        return self._those[due]

    def arm(self, those: Ints, shares_w: Floats) -> None:
        """Have loads fall back to these powers, (loads,) W, if they hear no more."""
        for index in those.tolist():
            self._fleet.arm(int(self._loads.rows[index]), float(shares_w[index]))


def shares_w(loads: Loads, failsafe_w: float) -> Floats:
    """(loads,): what each may draw of what all together may: the highest level within its part by size.

    0 where even the lowest power target is above it: it falls asleep.
    """
    top_w = loads.watts[loads.index, loads.top]
    part_w = top_w * (max(failsafe_w, 0.0) / max(float(top_w.sum()), 1.0))
    within = (loads.watts <= part_w[:, None]) & (np.arange(loads.watts.shape[1]) <= loads.top[:, None])
    level = np.where(within.any(axis=1), within.cumsum(axis=1).argmax(axis=1), 0)
    watts: Floats = np.where(level > 0, loads.watts[loads.index, level], 0.0)
    return watts
