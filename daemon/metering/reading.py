"""One look at a meter, and what the rest of the site says at the same time."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter showed last. Times are monotonic; NaN = absent, never 0."""

    power_w: float
    register_wh: float
    """Cumulative import."""
    sampled_s: float
    """When the request of the power went out; −inf = never."""
    register_s: float
    """The same of the register, which may be read less often."""
    serial: float
    fresh: bool

    @property
    def has_register(self) -> bool:
        """Whether it shows a register at all."""
        return math.isfinite(self.register_wh)

    def is_newer(self, before: "Reading | None") -> bool:
        """Whether the meter was asked again since then."""
        return before is None or self.sampled_s > before.sampled_s

    def is_another_meters(self, before: "Reading | None") -> bool:
        """Whether the serial number has changed."""
        if before is None or math.isnan(before.serial) or math.isnan(self.serial):
            return False
        return before.serial != self.serial


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rest of the site says."""

    devices_w: float
    """Σ of the loads and the cooling, each as last measured, else as ordered."""
    measured_w: float
    """Σ of what is measured right now: the site cannot draw less."""
    most_w: float
    """What the plant can draw at most."""
    lag_s: float
    """Meter and devices may show the same change so far apart: they are polled at different times."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The smallest steps in which a meter's figures move."""

    power_w: float = 1.0
    register_wh: float = 1.0
