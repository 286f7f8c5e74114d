"""Cooling: follows the heat of the loads, late."""

from math import exp

SHARE = 0.06
LAG_S = 60.0


class Cooling:
    """Draws a share of what the loads draw, through a first-order lag. Nobody orders it about."""

    __slots__ = ("draw_w", "energy_wh", "lag_s", "share")

    def __init__(self, load_w: float, *, share: float = SHARE, lag_s: float = LAG_S) -> None:
        self.share = share
        self.lag_s = lag_s
        self.draw_w = load_w * share
        """True draw; at the start it has caught up with `load_w`."""

        self.energy_wh = 0.0

    def step(self, load_w: float, dt_s: float) -> None:
        """Advance by `dt_s` under a load of `load_w`."""
        self.draw_w += (load_w * self.share - self.draw_w) * (1.0 - exp(-dt_s / self.lag_s))
        self.energy_wh += self.draw_w * dt_s / 3600
