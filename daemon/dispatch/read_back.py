"""Which read-backs say that a load holds the set-point it was sent. Pure."""

import numpy as np

from daemon.allocation.loads import Bools, Ints, Loads
from daemon.table.table import Floats

_ROUNDING_W = 30.0
"""A read-back may differ from the order by the device's own rounding."""


class ReadBacks:
    """Bounds of what each load may say of its set-point; orders change a few of them at a time."""

    def __init__(self, loads: Loads, sleeps: Bools) -> None:
        """`sleeps`: (loads,): whether the lowest level is sleep."""
        self._loads = loads
        self._sleeps = sleeps
        self._level: Ints | None = None
        """That the bounds are of."""
        self._lowest_w = np.zeros(len(loads))
        self._highest_w = np.zeros(len(loads))
        """(loads,): inf = at its highest level, where it may hold no limit at all."""

    def differ(self, level: Ints, setpoint_w: Floats) -> Bools:
        """(loads,): that say they hold another set-point than they were sent.

        Args:
            level: that each was ordered to.
            setpoint_w: fresh read-backs; NaN = none.
        """
        if level is not self._level:
            self._go_by(level)
        differ: Bools = (setpoint_w < self._lowest_w) | (setpoint_w > self._highest_w)
        return differ & np.isfinite(setpoint_w)

    def _go_by(self, level: Ints) -> None:
        those = self._loads.index if self._level is None else (level != self._level).nonzero()[0]
        self._level = level
        at, loads = np.maximum(level.take(those), 0), self._loads
        asleep = self._sleeps.take(those) & (at == 0)
        wanted_w = np.where(asleep, 0.0, loads.watts.ravel().take(those * loads.watts.shape[1] + at))
        self._lowest_w[those] = wanted_w - _ROUNDING_W
        self._highest_w[those] = np.where(at == loads.top.take(those), np.inf, wanted_w + _ROUNDING_W)
