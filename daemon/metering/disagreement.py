"""Two meters at the same place that do not show the same."""

from dataclasses import dataclass, replace

from daemon.metering.reading import Reading

TOLERATED = 0.02
"""Of the larger figure: two meters of class 1, each at its limit."""
LASTS_S = 60.0
"""They are read at different moments: only a difference that lasts counts."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What is remembered of a pair of meters, the revenue meter first."""

    agreed_w: float | None = None
    """What they showed beyond the devices when they agreed last."""
    since_s: float | None = None
    """Monotonic: since when they differ."""
    difference_w: float = 0.0
    """The revenue meter's figure − the other's; 0 = none that lasts."""
    first_is_off: bool | None = None
    """Which one left where both were; `None` = they never agreed, or it cannot be said."""

    def looked(
        self, first: Reading, second: Reading, devices_w: float, least_w: float, now_s: float
    ) -> "Disagreement":
        """After a look at both; a difference below `least_w` is none."""
        if not (first.fresh and second.fresh):
            return self
        larger_w = max(abs(first.power_w), abs(second.power_w))
        difference_w = first.power_w - second.power_w
        if abs(difference_w) <= max(TOLERATED * larger_w, least_w):
            agreed_w = (first.power_w + second.power_w) / 2 - devices_w
            return Disagreement(agreed_w=agreed_w)
        if self.since_s is None:
            return replace(self, since_s=now_s)
        if now_s - self.since_s < LASTS_S:
            return self
        off = self._first_is_off(first, second, devices_w, abs(difference_w))
        return replace(self, difference_w=difference_w, first_is_off=off)

    def _first_is_off(
        self, first: Reading, second: Reading, devices_w: float, difference_w: float
    ) -> bool | None:
        if self.agreed_w is None:
            return None
        expected_w = devices_w + self.agreed_w
        error_w = abs(first.power_w - expected_w), abs(second.power_w - expected_w)
        if abs(error_w[0] - error_w[1]) < difference_w / 2:
            return None
        return error_w[0] > error_w[1]
