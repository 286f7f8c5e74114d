"""What the meter sees beyond the devices that are measured: the only integral in the loop."""

import math
from dataclasses import dataclass, replace

import numpy as np

UNCONTROLLED_S = 30.0
"""Time constant of the learned uncontrolled load."""
_IN_FLIGHT_S = 4.0
"""Readings of different ages disagree for so long after an order."""
_RECALLED_S = 3.0
"""What was kept over a restart weighs as much as so many seconds of looks."""


@dataclass(frozen=True, slots=True)
class Residual:
    """What the meter sees beyond the devices that are measured: learned, never integrated twice."""

    uncontrolled_w: float | None = None
    """First-order filtered; `None` until the meter and the loads were first seen together."""
    variance_w2: float = 0.0
    """Of the raw residual around the filtered one."""
    seen_s: float = 0.0
    """How long it has been learned for."""

    @classmethod
    def recalled(cls, uncontrolled_w: float | None, noise_w: float) -> "Residual":
        """As it was kept over a restart: better than nothing, and soon outweighed."""
        if uncontrolled_w is None or not np.isfinite(uncontrolled_w):
            return cls()
        return cls(max(uncontrolled_w, 0.0), noise_w**2, _RECALLED_S)

    def learned(
        self, raw_w: float, dt_s: float, in_flight_s: float, step_w: float, noise_w: float
    ) -> "Residual":
        """After one more look.

        Args:
            raw_w: metered site power − Σ device power, W.
            dt_s: since the last look, s.
            in_flight_s: since the last order went out, s.
            step_w: while orders are in flight, one look moves the estimate by no more than a share of this.
            noise_w: what the meter's class lets expect of a single look, before any was seen.
        """
        if self.uncontrolled_w is None:
            return Residual(max(raw_w, 0.0), noise_w**2, dt_s)
        innovation_w = raw_w - self.uncontrolled_w
        seen_s = min(self.seen_s + dt_s, UNCONTROLLED_S)
        # A plain mean at first: a single look is as wrong as the meter's class.
        share = min(1.0, dt_s / seen_s) if seen_s > 0 else 0.0
        variance_w2 = self.variance_w2
        if in_flight_s < _IN_FLIGHT_S:
            innovation_w = float(np.clip(innovation_w, -step_w, step_w))
            share = min(share, dt_s / UNCONTROLLED_S)
            seen_s = self.seen_s
        else:
            variance_w2 += min(1.0, dt_s / UNCONTROLLED_S) * (innovation_w**2 - variance_w2)
        return Residual(max(self.uncontrolled_w + share * innovation_w, 0.0), variance_w2, seen_s)

    def more(self, watts: float) -> "Residual":
        """After something that was measured has become uncontrolled; less for the other way round."""
        if self.uncontrolled_w is None:
            return self
        return replace(self, uncontrolled_w=max(self.uncontrolled_w + watts, 0.0))

    def moved(self, raw_w: float) -> "Residual":
        """After the uncontrolled load was found to have changed at once: it is where it is now."""
        return Residual(max(raw_w, 0.0), self.variance_w2, min(self.seen_s, _RECALLED_S))

    @property
    def noise_w(self) -> float:
        """Standard deviation of the filtered residual, W."""
        share = 1.0 / max(self.seen_s, 1.0)
        return math.sqrt(self.variance_w2 * share / (2 - share))
