"""The fall to the failsafe limit."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Ramp:
    """The fall to the failsafe limit: the interpolated value is the limit in force meanwhile."""

    from_w: int
    starts_s: float
    lasts_s: float

    @property
    def ends_s(self) -> float:
        """When the failsafe limit is reached."""
        return self.starts_s + self.lasts_s

    def limit_w(self, target_w: int, monotonic_s: float) -> int:
        """The limit at a moment; never below `target_w`, never above `from_w` unless the target is."""
        if self.from_w <= target_w or monotonic_s >= self.ends_s:
            return target_w
        if monotonic_s <= self.starts_s:
            return self.from_w
        share = (monotonic_s - self.starts_s) / self.lasts_s
        return int(self.from_w - (self.from_w - target_w) * share)

    def shifted(self, seconds: float) -> "Ramp":
        """The same fall on a clock that shows so much more."""
        return replace(self, starts_s=self.starts_s + seconds)
