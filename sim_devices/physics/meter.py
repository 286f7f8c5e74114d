"""A revenue meter: what it shows, kept apart from what is true."""

import random

CLASS_PERCENT = 0.5
"""Accuracy class: the error of a shown power stays within this."""
REFRESH_S = 1.0


class Meter:
    """Shows the mean power of the last `REFRESH_S` with noise, and counts energy without.

    The register starts anywhere, as a meter's does that has been running for years.
    """

    __slots__ = (
        "_class_share",
        "_rng",
        "_skew_wh",
        "_window_s",
        "_window_ws",
        "backwards",
        "gain",
        "id",
        "power_w",
        "register_start_wh",
        "serial",
        "true_energy_wh",
        "width_wh",
    )

    def __init__(
        self, meter_id: str, true_w: float, *, seed: int, class_percent: float = CLASS_PERCENT
    ) -> None:
        self._rng = random.Random(seed)
        self._class_share = class_percent / 100
        self._window_s = 0.0
        self._window_ws = 0.0
        self._skew_wh = 0.0
        """What was counted less what was true."""
        self.id = meter_id
        self.serial = self._rng.randrange(10_000_000, 100_000_000)
        self.register_start_wh = self._rng.randrange(10**9, 10**10)
        """The register at the start; change it to make the register jump or run backwards."""
        self.width_wh: int | None = None
        """The register shows its count modulo this."""
        self.gain = 1.0
        """What it shows of the truth; power and energy alike."""
        self.backwards = False
        """Counts down."""
        self.true_energy_wh = 0.0
        """Integral of the true power since the start."""
        self.power_w = self._shown_w(true_w)
        """The power shown."""

    @property
    def register_wh(self) -> int:
        """The cumulative register, whole Wh."""
        count_wh = self.register_start_wh + int(self.true_energy_wh + self._skew_wh)
        return count_wh if self.width_wh is None else count_wh % self.width_wh

    def step(self, true_w: float, dt_s: float) -> None:
        """Advance by `dt_s` under a true power of `true_w`."""
        self.true_energy_wh += true_w * dt_s / 3600
        if self.backwards or self.gain != 1.0:
            counted = -self.gain if self.backwards else self.gain
            self._skew_wh += (counted - 1.0) * true_w * dt_s / 3600
        self._window_s += dt_s
        self._window_ws += true_w * dt_s
        if self._window_s >= REFRESH_S - 1e-9:
            self.power_w = self._shown_w(self._window_ws / self._window_s)
            self._window_s = self._window_ws = 0.0

    def replace(self, *, serial: int, register_wh: int) -> None:
        """Put another meter in its place."""
        self.serial = serial
        self.register_start_wh += register_wh - self.register_wh

    def roll_over(self, after_wh: int) -> None:
        """Begin again at 0 when another `after_wh` have been counted, as a register at its width does."""
        self.width_wh = self.register_wh + after_wh

    def _shown_w(self, true_w: float) -> float:
        # Three standard deviations fill the class; what lies beyond is cut off.
        noise = self._rng.gauss(0.0, self._class_share / 3)
        return true_w * self.gain * (1.0 + max(-self._class_share, min(self._class_share, noise)))
