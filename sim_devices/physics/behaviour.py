"""How a model of load behaves: what its profile promises, and what every unit makes of it."""

from dataclasses import dataclass

from drivers.profile import Profile, Reversion

DEAD_DOWN = (0.88, 0.92)
"""Share of the profile's latency during which an order to draw less shows no effect."""
RAMP_DOWN = 0.08
"""Share of the latency that the full swing down takes, once it has begun."""
DEAD_UP = (0.2, 0.3)
RAMP_UP = 0.6
STRAGGLERS = 0.05
"""The profile states the latency of 95 % of the orders; the others take `STRAGGLER_FACTOR` as long."""
STRAGGLER_FACTOR = 1.15
QUICK_SHARE = 0.85
"""Share of the power that is back right after a wake-up; the rest follows with the temperature."""
IDLE_W = 200.0
"""What a miner without work goes down to: fans, control board and power supply stay on."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a model of load behaves. Watts as the vendor states them; a unit deviates by its factor."""

    sleep_w: float
    floor_w: float
    """A target between sleep and this is silently ignored."""
    full_w: float
    step_w: float
    latency_down_s: float
    latency_up_s: float
    warm_up_s: float
    """The last of the power comes back so long after a wake-up."""
    output_warm_up_s: float
    """Output is back so long after a wake-up; later than power."""
    restarts_on_write: bool
    """A new order lets it go down like sleep, and boot before it comes up to the order."""
    output_full: float
    curve: tuple[tuple[float, float], ...]
    """Ascending (watts, share of the full output)."""
    reverts_after_s: float | None = None
    """It lets go of an order so long after the last one; 0 = when it is told, `None` = it keeps an order."""

    @classmethod
    def of(cls, profile: Profile, *, warm_up_s: float, output_warm_up_s: float) -> "Behaviour":
        """The behaviour that a profile with a set-point promises."""
        setpoint = profile.setpoint
        if setpoint is None:
            raise ValueError(f"{profile.name} cannot be controlled")
        return cls(
            sleep_w=setpoint.sleep_w,
            floor_w=setpoint.floor_w,
            full_w=setpoint.ceiling_w,
            step_w=setpoint.step_w,
            latency_down_s=setpoint.latency_down_s,
            latency_up_s=setpoint.latency_up_s,
            warm_up_s=warm_up_s,
            output_warm_up_s=output_warm_up_s,
            restarts_on_write=setpoint.restarts_on_write,
            output_full=profile.output_full,
            curve=tuple((point.watts, point.value) for point in profile.operating_points),
            reverts_after_s=_reverts_after_s(setpoint.reversion),
        )

    @property
    def idle_w(self) -> float:
        """Draw without work."""
        return max(IDLE_W, self.sleep_w)

    def nominal_w(self, order_w: float | None) -> float:
        """What an order lets it draw: W, 0 = sleep, `None` = no limit."""
        if order_w is None:
            return self.full_w
        return self.sleep_w if order_w == 0 else order_w


def _reverts_after_s(reversion: Reversion | None) -> float | None:
    if reversion is None:
        return None
    return reversion.after_s if reversion.timer is None else 0.0
