"""A power distribution unit: feeds loads through outlets that it can switch."""

from collections.abc import Sequence

from sim_devices.physics.load import Load

OWN_W = 12.0
"""Draw of the unit itself."""


class Pdu:
    """Sums what its outlets feed. Outlets are numbered from 1, as on the case."""

    __slots__ = ("energy_wh", "id", "outlets", "power_w")

    def __init__(self, pdu_id: str, outlets: Sequence[Load | None]) -> None:
        self.id = pdu_id
        self.outlets = tuple(outlets)
        """The load behind each outlet, `None` = nothing plugged in."""
        self.energy_wh = 0.0
        self.power_w = self._sum_w()

    def outlet_w(self, outlet: int) -> float:
        """True W through an outlet."""
        load = self.outlets[outlet - 1]
        return load.draw_w if load is not None else 0.0

    def switch(self, outlet: int, *, on: bool, now_s: float) -> None:
        """Switch an outlet; what hangs on it loses its supply or boots."""
        load = self.outlets[outlet - 1]
        if load is not None:
            load.set_powered(on, now_s)

    def step(self, dt_s: float) -> None:
        """Advance by `dt_s`, after the loads."""
        self.power_w = self._sum_w()
        self.energy_wh += self.power_w * dt_s / 3600

    def _sum_w(self) -> float:
        return OWN_W + sum(load.draw_w for load in self.outlets if load is not None)
