"""Loads that have just been added to the site, or taken from it: the meter saw them all the time. Pure."""

import numpy as np

from daemon.allocation.loads import Bools
from daemon.table.carrying import BEGINS, Origin, carry
from daemon.table.table import Floats

LASTS_S = 60.0
"""The meter may not be trusted, or the loads never at rest: then what is known by then has to do."""


class Joining:
    """What new loads draw is a part of the uncontrolled load until the meter was read beside all of them.

    Counted besides, it would be shed from others. So the sums leave it out, as it counts when a load is first
    seen; and nobody orders the new ones about meanwhile, nor lets anything rise.

    Args:
        new: (loads,): which are.
        until_s: monotonic: for how long at most; −inf = nobody came or went.
    """

    def __init__(self, new: Bools, until_s: float = -np.inf) -> None:
        self.until_s = until_s
        self.new = new.copy()
        """(loads,): that are not ordered about yet."""
        self.unseen = new.copy()
        """(loads,): of which nothing is known yet."""
        self.left_out_w = np.zeros(len(new))
        """(loads,): what the sums leave out."""
        self.watts = 0.0
        """What the sums leave out together."""

    def carried(self, origin: Origin, until_s: float) -> "Joining":
        """Of other loads; `until_s` as of the constructor, for the change that this is."""
        after = Joining(origin == BEGINS, max(until_s, self.until_s))
        carry(self, after, ("new", "unseen", "left_out_w"), origin)
        after.watts = float(after.left_out_w.sum())
        return after

    @property
    def lasts(self) -> bool:
        """Whether the uncontrolled load is not yet known beside the loads that there are now."""
        return self.until_s > -np.inf

    def look(self, counted_w: Floats, known: Bools) -> None:
        """A cycle has looked: what each load counts at, and whether anything is known of it."""
        if np.count_nonzero(self.unseen):
            self.left_out_w = np.where(self.unseen, counted_w, self.left_out_w)
            self.watts = float(self.left_out_w.sum())
            self.unseen &= ~known

    def end(self) -> None:
        """The uncontrolled load is known again."""
        self.until_s = -np.inf
        self.left_out_w = np.zeros(len(self.new))
        self.watts = 0.0
        self.new = self.unseen = np.zeros(len(self.new), dtype=np.bool_)
