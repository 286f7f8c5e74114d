"""Keeps reversion timers running: a device that hears no more falls to its share of the failsafe limit.

One that cannot be told what to fall back to would draw what it likes: it is fed all the same.
"""

import numpy as np

from daemon.allocation.loads import Bools, Ints, Loads
from daemon.table.carrying import Origin, among, carry
from daemon.table.table import Floats
from drivers.ports import Fleet
from drivers.profile import FEEDS_PER_TIMER

_AGAIN = 1 / 3
"""Of the time between two feeds, from a feed that was lost to the next."""
_SELDOM_S = 300.0
"""Between feeds of one that has heard nothing for all of its time: each keeps its neighbours waiting."""


class ReversionTimers:
    """Of the loads that have one."""

    def __init__(self, loads: Loads, after_s: Floats, fleet: Fleet) -> None:
        """`after_s`: (loads,); inf = it has none."""
        self._loads = loads
        self._fleet = fleet
        self._those = np.flatnonzero(np.isfinite(after_s))
        self.any = len(self._those) > 0
        """Whether there is any."""
        self._every_s = after_s[self._those] / FEEDS_PER_TIMER
        # All at once would keep what sheds load waiting behind it: from the second time on each has its turn.
        self._lead_s = self._every_s * np.arange(len(self._those)) / max(len(self._those), 1)
        self._fed_s = np.full(len(self._those), -np.inf)
        self._lost = np.zeros(len(self._those), dtype=np.bool_)
        """What was written to it last did not arrive."""
        self._held_s = np.full(len(self._those), -np.inf)
        """When the last thing arrived that was written to it."""
        self._at = {load: at for at, load in enumerate(self._those.tolist())}

    def take_over(self, before: "ReversionTimers", origin: Origin) -> None:
        """Go on with the times of those who were there already."""
        mine = among(origin, self._those, before._those)  # noqa: SLF001  of the same class
        carry(before, self, ("_fed_s", "_lost", "_held_s"), mine)

    def wrote(self, load: int, now_s: float, *, arrived: bool) -> None:
        """Anything was written to a load's set-point: its timer runs anew, or it may run out."""
        at = self._at.get(load)
        if at is not None:
            self._lost[at] = not arrived
            if arrived:
                self._held_s[at] = now_s

    def due(self, now_s: float, feedable: Bools) -> Ints:
        """Indices of the loads whose order is to be written again, right as it is; the next time is set.

        Args:
            now_s: monotonic.
            feedable: (loads,): that can be fed now; the others stay due.
        """
        since_s = now_s - self._fed_s
        # A feed that was lost is soon repeated, until there is nothing to save any more.
        every_s = np.where(self._lost, _AGAIN * self._every_s, self._every_s)
        over = self._lost & (now_s - self._held_s >= FEEDS_PER_TIMER * self._every_s)
        every_s[over] = np.maximum(self._every_s[over], _SELDOM_S)
        due = (since_s >= every_s) & feedable[self._those]
        self._fed_s[due] = now_s - np.where(np.isinf(self._fed_s[due]), self._lead_s[due], 0.0)
        # Of one that was never fed it is not known how far it has run: at most its time is left.
        self._held_s[due] = np.where(np.isinf(self._held_s[due]), now_s, self._held_s[due])
        return self._those[due]

    def hasten(self, those: Ints) -> None:
        """Feed these at the next look: they may have forgotten what they were armed with."""
        mine = [at for load in those.tolist() if (at := self._at.get(load)) is not None]
        self._fed_s[mine] = self._held_s[mine] = -np.inf

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
