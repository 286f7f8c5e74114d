"""What the behaviours of many loads say, column by column."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.behaviour import RAMP_DOWN, RAMP_UP, Behaviour

Column = NDArray[np.float64]


class Ratings:
    """One row for each load. Never changes."""

    def __init__(self, behaviours: Sequence[Behaviour]) -> None:
        kinds = list(dict.fromkeys(behaviours))
        place = {kind: index for index, kind in enumerate(kinds)}
        kind_of = np.array([place[behaviour] for behaviour in behaviours], dtype=np.intp)
        self._curves = [
            (np.flatnonzero(kind_of == index), np.array(kind.curve, dtype=np.float64).reshape(-1, 2))
            for index, kind in enumerate(kinds)
        ]

        def each(of: Callable[[Behaviour], float]) -> Column:
            return np.array([of(kind) for kind in kinds], dtype=np.float64)[kind_of]

        self.full_w = each(lambda kind: kind.full_w)
        self.sleep_w = each(lambda kind: kind.sleep_w)
        self.idle_w = each(lambda kind: kind.idle_w)
        self.span_w = each(lambda kind: kind.full_w - kind.sleep_w)
        self.ramp_down_s = each(lambda kind: RAMP_DOWN * kind.latency_down_s)
        """The full swing down takes so long, once it has begun."""
        self.ramp_up_s = each(lambda kind: RAMP_UP * kind.latency_up_s)
        self.warm_up_s = each(lambda kind: kind.warm_up_s)
        self.output_warm_up_s = each(lambda kind: kind.output_warm_up_s)
        self.output_full = each(lambda kind: kind.output_full)

    def output_share(self, watts: Column) -> Column:
        """Share of the full output at a draw, interpolated on each efficiency curve."""
        share = np.zeros_like(watts)
        for rows, curve in self._curves:
            if len(curve):
                share[rows] = np.interp(watts[rows], curve[:, 0], curve[:, 1], left=0.0)
        return share
