"""A load that can be told to draw less, and takes its time over it."""

import random
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from math import floor

from drivers.profile import Profile

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
SPREAD = 0.02
"""Standard deviation between units of one model of what they draw for one order."""
READING_SPREAD = 0.01
"""Standard deviation between units of the error of their own power reading."""


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
    output_full: float
    curve: tuple[tuple[float, float], ...]
    """Ascending (watts, share of the full output)."""

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
        )

    def output_share(self, watts: float) -> float:
        """Share of the full output at a draw, interpolated on the efficiency curve."""
        index = bisect_right(self.curve, watts, key=lambda point: point[0])
        if index == 0:
            return 0.0
        low_w, low = self.curve[index - 1]
        if index == len(self.curve):
            return low
        high_w, high = self.curve[index]
        return low + (high - low) * (watts - low_w) / (high_w - low_w)


class Load:
    """One unit: holds an order, obeys it after its latency, ramps, warms up.

    Times are seconds of the plant's own clock, which only `PlantModel.step` advances.
    Everything random is drawn from `seed`: equal orders at equal times give an equal course.
    """

    __slots__ = (
        "_counted_s",
        "_counted_wh",
        "_effective_w",
        "_orders",
        "_pending",
        "_seed",
        "_woke_s",
        "behaviour",
        "disobeys",
        "draw_w",
        "factor",
        "id",
        "ordered_w",
        "powered",
        "reading_factor",
        "settled",
    )

    def __init__(self, load_id: str, behaviour: Behaviour, *, seed: int) -> None:
        rng = random.Random(seed)
        self.id = load_id
        self.behaviour = behaviour
        self.factor = min(1.05, max(0.95, rng.gauss(1.0, SPREAD)))
        """What this unit draws for an order, relative to the order."""
        self.reading_factor = min(1.03, max(0.97, rng.gauss(1.0, READING_SPREAD)))
        """What this unit reports of its draw, relative to the draw."""
        self.ordered_w: float | None = None
        """The set-point that it holds and shows: W, 0 = sleep, `None` = no limit."""
        self.disobeys = False
        """Answers OK, shows the set-point and goes on as before."""
        self.powered = True
        self.draw_w = behaviour.full_w * self.factor
        """True draw."""
        self.settled = True
        """Nothing will change without another order: `step` need not be called."""
        self._counted_wh = 0.0
        self._counted_s = 0.0
        self._effective_w: float | None = None
        self._pending: deque[tuple[float, float | None]] = deque()
        self._woke_s: float | None = None
        self._seed = seed
        self._orders = 0

    @property
    def asleep(self) -> bool:
        """Whether an order to sleep has taken effect; having been told so is not enough."""
        return self._effective_w == 0

    @property
    def shed_w(self) -> float:
        """True W below which no order brings it: its sleep draw, or all of its draw if it disobeys."""
        return self.draw_w if self.disobeys else min(self.draw_w, self.behaviour.sleep_w)

    @property
    def reported_w(self) -> float:
        """What its own power reading says."""
        return self.draw_w * self.reading_factor

    def order(self, watts: float | None, now_s: float) -> None:
        """Take a set-point: at most `watts` W, 0 = sleep, `None` = no limit."""
        kind = self.behaviour
        if watts is not None and watts != 0:
            steps = floor((watts - kind.floor_w) / kind.step_w + 1e-6)
            if steps < 0:
                return
            watts = min(kind.full_w, kind.floor_w + steps * kind.step_w)
        if watts == self.ordered_w or not self.powered:
            return
        self.ordered_w = watts
        if not self.disobeys:
            self._schedule(watts, now_s)

    def set_disobeys(self, disobeys: bool, now_s: float) -> None:  # noqa: FBT001 - a fault is switched on or off
        """Begin or cease to ignore orders. The order held is carried out when it ceases."""
        if disobeys == self.disobeys:
            return
        self.disobeys = disobeys
        self._pending.clear()
        if not disobeys and self.powered:
            self._schedule(self.ordered_w, now_s)

    def reboot(self, now_s: float) -> None:
        """Restart: the set-point is forgotten, and the unit comes back at full power."""
        if not self.powered:
            return
        self.ordered_w = None
        self._pending.clear()
        self._effective_w = 0
        self._count(now_s)
        self.draw_w = min(self.draw_w, self.behaviour.sleep_w)
        self._schedule(None, now_s)

    def set_powered(self, powered: bool, now_s: float) -> None:  # noqa: FBT001 - an outlet is on or off
        """Cut or return its supply; it comes back as from a reboot."""
        if powered == self.powered:
            return
        self.powered = powered
        if powered:
            self.reboot(now_s)
            return
        self._pending.clear()
        self._woke_s = None
        self._count(now_s)
        self.draw_w = 0.0
        self.settled = True

    def step(self, now_s: float, dt_s: float) -> None:
        """Advance by `dt_s` to `now_s`."""
        self._count(now_s - dt_s)
        while self._pending and self._pending[0][0] <= now_s + 1e-9:
            self._take_effect(*self._pending.popleft())
        target_w = self._target_w(now_s)
        if self.draw_w > target_w:
            self.draw_w = max(target_w, self.draw_w - self._swing_w(dt_s, self._ramp_down_s))
        elif self.draw_w < target_w:
            self.draw_w = min(target_w, self.draw_w + self._swing_w(dt_s, self._ramp_up_s))
        if self._woke_s is not None and now_s - self._woke_s >= self._warm_s:
            self._woke_s = None
        self.settled = self._woke_s is None and not self._pending and self.draw_w == target_w

    def energy_wh(self, now_s: float) -> float:
        """Integral of the true draw since the start."""
        return self._counted_wh + self.draw_w * (now_s - self._counted_s) / 3600

    def output(self, now_s: float) -> float:
        """TH/s or GPUs at work."""
        if not self.powered or self._effective_w == 0:
            return 0.0
        kind = self.behaviour
        warm = 1.0
        if self._woke_s is not None and kind.output_warm_up_s > 0:
            warm = min(1.0, max(0.0, (now_s - self._woke_s) / kind.output_warm_up_s))
        return kind.output_full * kind.output_share(self.draw_w / self.factor) * warm

    @property
    def _ramp_down_s(self) -> float:
        return RAMP_DOWN * self.behaviour.latency_down_s

    @property
    def _ramp_up_s(self) -> float:
        return RAMP_UP * self.behaviour.latency_up_s

    @property
    def _warm_s(self) -> float:
        return max(self.behaviour.warm_up_s, self.behaviour.output_warm_up_s)

    def _count(self, until_s: float) -> None:
        # A settled load is not stepped: its draw so far is counted before it changes.
        self._counted_wh = self.energy_wh(until_s)
        self._counted_s = until_s

    def _swing_w(self, dt_s: float, swing_s: float) -> float:
        span_w = self.behaviour.full_w - self.behaviour.sleep_w
        return span_w * dt_s / swing_s if swing_s > 0 else span_w

    def _nominal_w(self, order_w: float | None) -> float:
        if order_w is None:
            return self.behaviour.full_w
        return self.behaviour.sleep_w if order_w == 0 else order_w

    def _target_w(self, now_s: float) -> float:
        if not self.powered:
            return 0.0
        if self._effective_w == 0:
            return self.behaviour.sleep_w
        target_w = self._nominal_w(self._effective_w) * self.factor
        if self._woke_s is None or self.behaviour.warm_up_s <= 0:
            return target_w
        warm = min(1.0, max(0.0, (now_s - self._woke_s) / self.behaviour.warm_up_s))
        share = QUICK_SHARE + (1.0 - QUICK_SHARE) * warm
        return min(target_w, self.behaviour.full_w * self.factor * share)

    def _schedule(self, order_w: float | None, now_s: float) -> None:
        before_w = self._pending[-1][1] if self._pending else self._effective_w
        if self._nominal_w(order_w) < self._nominal_w(before_w):
            latency_s, dead = self.behaviour.latency_down_s, DEAD_DOWN
        else:
            latency_s, dead = self.behaviour.latency_up_s, DEAD_UP
        self._orders += 1
        rng = random.Random(self._seed * 1_000_003 + self._orders)
        dead_s = latency_s * rng.uniform(*dead)
        if rng.random() < STRAGGLERS:
            dead_s *= STRAGGLER_FACTOR
        # An order never overtakes the one before it.
        due_s = max(now_s + dead_s, self._pending[-1][0] if self._pending else 0.0)
        self._pending.append((due_s, order_w))
        self.settled = False

    def _take_effect(self, due_s: float, order_w: float | None) -> None:
        wakes = self._effective_w == 0 and order_w != 0
        if self.behaviour.restarts_on_write and order_w != self._effective_w:
            self.draw_w = min(self.draw_w, self.behaviour.sleep_w)
            wakes = order_w != 0
        self._effective_w = order_w
        if wakes:
            self._woke_s = due_s
        elif order_w == 0:
            self._woke_s = None
