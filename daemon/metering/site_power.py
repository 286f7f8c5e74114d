"""Site power: the revenue meter, and what stands in for it when it is silent."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from daemon.table.table import Floats


class PowerSource(StrEnum):
    """Where the site's power figure comes from."""

    METER = "meter"
    CHECK_METER = "check-meter"
    ESTIMATE = "estimate"
    NAMEPLATE = "nameplate"
    NONE = "none"


UNCONTROLLED_S = 30.0
"""Time constant of the learned uncontrolled load."""
_IN_FLIGHT_S = 4.0
"""Readings of different ages disagree for so long after an order."""
_IMPLAUSIBLE = 3.0
"""A site cannot draw this many times its nameplates and its contract."""


@dataclass(frozen=True, slots=True)
class Residual:
    """What the meter sees beyond the devices that are measured: learned, never integrated twice."""

    uncontrolled_w: float | None = None
    """First-order filtered; `None` until the meter and the loads were first seen together."""
    variance_w2: float = 0.0
    """Of the raw residual around the filtered one."""
    seen_s: float = 0.0
    """How long it has been learned for."""

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

    @property
    def noise_w(self) -> float:
        """Standard deviation of the filtered residual, W."""
        share = 1.0 / max(self.seen_s, 1.0)
        return float(np.sqrt(self.variance_w2 * share / (2 - share)))


@dataclass(frozen=True, slots=True)
class SitePower:
    """The site's power as of a cycle."""

    watts: float | None
    source: PowerSource
    age_s: float

    @property
    def trusted(self) -> bool:
        """Measured now: the loop is closed."""
        return self.source in {PowerSource.METER, PowerSource.CHECK_METER}


def measure_site(
    meters_w: Floats,
    meter_ages_s: Floats,
    counted_w: float,
    uncontrolled_w: float | None,
    last_metered_w: float | None,
    plausible_w: float,
) -> SitePower:
    """The site's power, from the best that there is.

    Args:
        meters_w: fresh power of the revenue meter, then of the check meters; NaN = not fresh.
        meter_ages_s: their ages.
        counted_w: Σ of what the loads count at.
        uncontrolled_w: what was learned while a meter was fresh.
        last_metered_w: the last figure of a meter that was believed.
        plausible_w: Σ nameplates or contract, whichever is more; far beyond it a meter is not believed.
    """
    believed = np.isfinite(meters_w) & (np.abs(meters_w) <= _IMPLAUSIBLE * plausible_w)
    for index in np.flatnonzero(believed):
        source = PowerSource.METER if index == 0 else PowerSource.CHECK_METER
        return SitePower(float(meters_w[index]), source, float(meter_ages_s[index]))
    age_s = float(meter_ages_s.min(initial=np.inf))
    if uncontrolled_w is None:
        return SitePower(counted_w, PowerSource.NAMEPLATE, age_s)
    # Orders may not have worked: without a meter nothing shows that the site draws less than it did.
    shown_w = max(last_metered_w or 0.0, counted_w + uncontrolled_w)
    return SitePower(shown_w, PowerSource.ESTIMATE, age_s)
