"""How many writes a set-point bears: those that wear out flash, or restart what they are written to."""

import numpy as np

from daemon.allocation.loads import Bools, Ints
from daemon.table.carrying import Origin, among, carry
from daemon.table.table import Floats

_DAY_S = 86_400.0
_AT_ONCE = 0.1
"""Share of a day's writes that may be saved up: a lively hour follows quiet ones."""
_FEWEST = 4.0


class WriteBudget:
    """Writes that each load has left. A shed is never held back, but it counts.

    What was spent is not kept over a restart of the daemon: it begins with what may be saved up.
    """

    def __init__(self, per_day: Floats) -> None:
        """`per_day`: (loads,); inf = any number."""
        bounded = np.isfinite(per_day)
        self._those = bounded.nonzero()[0]
        """Loads whose writes are counted: mostly a few of all. The columns are of these."""
        self._place = np.where(bounded, bounded.cumsum() - 1, -1)
        """(loads,): where each is among them; −1 = it bears any number."""
        rate = per_day[self._those]
        self._rate_per_s = rate / _DAY_S
        self._most = np.maximum(_AT_ONCE * rate, _FEWEST)
        self._left = self._most.copy()
        self._counted_s: float | None = None
        self._none = np.zeros(len(per_day), dtype=np.bool_)
        self._none.setflags(write=False)

    def take_over(self, before: "WriteBudget", origin: Origin) -> None:
        """Go on with what those who were there already have left."""
        carry(before, self, ("_left",), among(origin, self._those, before._those))  # noqa: SLF001  of the same class
        np.minimum(self._left, self._most, out=self._left)
        self._counted_s = before._counted_s  # noqa: SLF001  of the same class

    def spent(self, now_s: float) -> Bools:
        """(loads,): those that are written to only to shed. Not to be written to."""
        if not len(self._those):
            return self._none
        self._refill(now_s)
        out = self._left < 1.0
        if not np.count_nonzero(out):
            return self._none
        spent = np.zeros(len(self._place), dtype=np.bool_)
        spent[self._those] = out
        return spent

    def spend(self, those: Ints, now_s: float) -> None:
        """One write to each of these."""
        if len(self._those):
            self._refill(now_s)
            places = self._place.take(those)
            places = places[places >= 0]
            self._left[places] = np.maximum(self._left[places] - 1.0, 0.0)

    def _refill(self, now_s: float) -> None:
        if now_s == self._counted_s:
            return
        if self._counted_s is not None:
            gained = self._rate_per_s * max(now_s - self._counted_s, 0.0)
            self._left = np.minimum(self._left + gained, self._most)
        self._counted_s = now_s
