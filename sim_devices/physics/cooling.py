"""Cooling: follows the heat of the loads, late, and costs more in hot weather."""

from dataclasses import dataclass
from math import exp, pi, sin

SHARE = 0.06
LAG_S = 60.0
DESIGN_C = 25.0
"""Outdoor temperature at which cooling draws its share."""
PER_DEGREE = 0.03
"""So much more of its share does each degree above that cost."""
LEAST = 0.3
"""Of the share: pumps run in any weather."""
DAY_S = 86_400.0


@dataclass(slots=True)
class Weather:
    """Outdoor temperature over the plant's own clock; constant unless it is given a swing."""

    mean_c: float = DESIGN_C
    swing_c: float = 0.0
    """Between the mean and the warmest hour."""
    warmest_s: float = DAY_S / 2
    """When it is warmest, for the first time."""

    def ambient_c(self, now_s: float) -> float:
        """Degrees at a time."""
        if self.swing_c == 0:
            return self.mean_c
        return self.mean_c + self.swing_c * sin(2 * pi * ((now_s - self.warmest_s) / DAY_S + 0.25))


class Cooling:
    """Draws a share of what the loads draw, through a first-order lag. Nobody orders it about."""

    __slots__ = ("draw_w", "energy_wh", "lag_s", "reading_factor", "share")

    def __init__(self, load_w: float, *, share: float = SHARE, lag_s: float = LAG_S) -> None:
        self.share = share
        """At `DESIGN_C`."""
        self.lag_s = lag_s
        self.draw_w = load_w * share
        """True draw; at the start it has caught up with `load_w`."""

        self.reading_factor = 1.0
        """What its meter shows of the draw."""
        self.energy_wh = 0.0
        """What its meter has counted."""

    def step(self, load_w: float, dt_s: float, ambient_c: float = DESIGN_C) -> None:
        """Advance by `dt_s` under a load of `load_w`."""
        share = self.share * max(LEAST, 1.0 + PER_DEGREE * (ambient_c - DESIGN_C))
        self.draw_w += (load_w * share - self.draw_w) * (1.0 - exp(-dt_s / self.lag_s))
        self.energy_wh += self.draw_w * self.reading_factor * dt_s / 3600
