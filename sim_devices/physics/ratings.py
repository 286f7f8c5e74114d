"""What the behaviours of many loads say, column by column."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.behaviour import RAMP_DOWN, RAMP_UP, Behaviour

Column = NDArray[np.float64]
Rows = NDArray[np.intp]
EVERY = slice(None)


class Ratings:
    """One row for each load. Never changes."""

    def __init__(self, behaviours: Sequence[Behaviour]) -> None:
        kinds = list(dict.fromkeys(behaviours))
        place = {kind: index for index, kind in enumerate(kinds)}
        kind_of = np.array([place[behaviour] for behaviour in behaviours], dtype=np.intp)
        self._kind_of = kind_of
        self._curves = [np.array(kind.curve, dtype=np.float64).reshape(-1, 2) for kind in kinds]

        def each(of: Callable[[Behaviour], float]) -> Column:
            return np.array([of(kind) for kind in kinds], dtype=np.float64)[kind_of]

        self.full_w = each(lambda kind: kind.full_w)
        self.floor_w = each(lambda kind: kind.floor_w)
        self.step_w = each(lambda kind: kind.step_w)
        self.sleep_w = each(lambda kind: kind.sleep_w)
        self.idle_w = each(lambda kind: kind.idle_w)
        self.span_w = each(lambda kind: kind.full_w - kind.sleep_w)
        self.latency_down_s = each(lambda kind: kind.latency_down_s)
        self.latency_up_s = each(lambda kind: kind.latency_up_s)
        self.ramp_down_s = RAMP_DOWN * self.latency_down_s
        """The full swing down takes so long, once it has begun."""
        self.ramp_up_s = RAMP_UP * self.latency_up_s
        self.warm_up_s = each(lambda kind: kind.warm_up_s)
        self.output_warm_up_s = each(lambda kind: kind.output_warm_up_s)
        self.restarts: NDArray[np.bool_] = each(lambda kind: kind.restarts_on_write) > 0
        """A new order lets it go down like sleep, and boot before it comes up to the order."""
        self.output_full = each(lambda kind: kind.output_full)

    def nominal_w(self, order_w: Column, rows: Rows) -> Column:
        """What orders let some of them draw: W, 0 = sleep, NaN = no limit."""
        limited_w = np.where(order_w == 0, self.sleep_w[rows], order_w)
        return np.where(np.isnan(order_w), self.full_w[rows], limited_w)

    def output_share(self, watts: Column, rows: Rows) -> Column:
        """Share of the full output of some of them at a draw, interpolated on each efficiency curve."""
        share, kind_of = np.zeros_like(watts), self._kind_of[rows]
        for kind, curve in enumerate(self._curves):
            if len(curve):
                those = np.flatnonzero(kind_of == kind)
                share[those] = np.interp(watts[those], curve[:, 0], curve[:, 1], left=0.0)
        return share


def same_order(one_w: Column, other_w: Column) -> NDArray[np.bool_]:
    """Whether orders are the same; NaN = no limit."""
    same: NDArray[np.bool_] = (one_w == other_w) | (np.isnan(one_w) & np.isnan(other_w))
    return same
