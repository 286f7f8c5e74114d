"""Whether a meter shows the same figures although the load says that they must have moved."""

import math
from dataclasses import dataclass, replace

from daemon.metering.reading import Reading, Resolution, Surroundings

STANDING_S = 60.0
"""Under load a register moves within this and the time of `STANDING_STEPS` of its steps. Meters refresh
their registers every second or so, some every ten to thirty; the power of a constant load may repeat for
hours, so the power alone proves nothing here."""
STANDING_STEPS = 3.0
LOADED = 0.01
"""Of what the plant can draw: below, a register may well stand."""

UNMOVED = 0.02
"""The devices have moved by more than this share of what the meter shows. No coincidence keeps every digit
of a figure the same through that."""
UNMOVED_S = 10.0
UNMOVED_ALONE_S = 30.0
"""If the register goes on meanwhile: some meters refresh their power seldom."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """What is remembered of when a meter's figures moved last. Monotonic seconds."""

    changed_s: float = -math.inf
    """When the power became what it is."""
    moved_s: float = -math.inf
    """When the register became what it is."""
    step_wh: float = 0.0
    """The smallest step of the register that was seen; 0 = none yet."""
    baseline_w: float | None = None
    """What the devices drew once they had followed the last change of the power."""
    away_s: float | None = None
    """Since when the devices have been away from that."""

    def read(self, before: Reading | None, now: Reading) -> "Standstill":
        """After the meter was asked again."""
        changed_s, baseline_w, away_s = self.changed_s, self.baseline_w, self.away_s
        if before is None or now.power_w != before.power_w:
            changed_s, baseline_w, away_s = now.sampled_s, None, None
        moved_s, step_wh = self.moved_s, self.step_wh
        if before is None or now.register_wh != before.register_wh:
            moved_s = now.register_s
        if before is not None and now.register_wh > before.register_wh:
            seen_wh = now.register_wh - before.register_wh
            step_wh = min(seen_wh, step_wh) if step_wh > 0 else seen_wh
        return Standstill(changed_s, moved_s, step_wh, baseline_w, away_s)

    def compared(
        self, reading: Reading, around: Surroundings, resolution: Resolution, now_s: float
    ) -> "Standstill":
        """After a look at the devices."""
        if self.baseline_w is None:
            followed = now_s - self.changed_s >= around.lag_s
            return replace(self, baseline_w=around.devices_w) if followed else self
        moved_w = abs(around.devices_w - self.baseline_w)
        if moved_w <= max(UNMOVED * abs(reading.power_w), STANDING_STEPS * resolution.power_w):
            return self if self.away_s is None else replace(self, away_s=None)
        return replace(self, away_s=now_s) if self.away_s is None else self

    def proven(self, reading: Reading, around: Surroundings, resolution: Resolution) -> bool:
        """Whether a live meter would have shown something else by now."""
        return self._left_behind(reading) or self._register_stands(reading, around, resolution)

    def _left_behind(self, reading: Reading) -> bool:
        if self.away_s is None:
            return False
        goes_on = reading.has_register and self.moved_s > self.away_s
        return reading.sampled_s - self.away_s >= (UNMOVED_ALONE_S if goes_on else UNMOVED_S)

    def _register_stands(self, reading: Reading, around: Surroundings, resolution: Resolution) -> bool:
        if not reading.has_register or abs(reading.power_w) < LOADED * around.most_w:
            return False
        step_wh = max(resolution.register_wh, self.step_wh)
        patience_s = STANDING_S + STANDING_STEPS * step_wh * 3600.0 / abs(reading.power_w)
        same_power_s = reading.sampled_s - self.changed_s
        same_register_s = reading.register_s - self.moved_s
        return min(same_power_s, same_register_s) >= patience_s
