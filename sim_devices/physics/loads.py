"""The loads of a plant: each holds an order, obeys it after its latency, ramps, warms up.

They are kept column by column: a step costs what the loads that change cost, and settled ones nothing.
"""

import copy
import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.behaviour import (
    DEAD_DOWN,
    DEAD_UP,
    QUICK_SHARE,
    STRAGGLER_FACTOR,
    STRAGGLERS,
    Behaviour,
)
from sim_devices.physics.ratings import Column, Ratings

SPREAD = 0.02
"""Standard deviation between units of one model of what they draw for one order."""
READING_SPREAD = 0.01
"""Standard deviation between units of the error of their own power reading."""

Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]
EVERY = slice(None)


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """A load to be. Everything random about it is drawn from `seed`."""

    id: str
    behaviour: Behaviour
    seed: int


class Loads:
    """All loads of a plant, one row each, in the order of `specs`.

    Times are seconds of the plant's own clock, which only `PlantModel.step` advances. In columns of
    orders 0 = sleep and NaN = no limit. Equal orders at equal times give an equal course.
    """

    _CHANGING = (
        "reading_factor",
        "ordered_w",
        "effective_w",
        "disobeys",
        "powered",
        "has_work",
        "settled",
        "draw_w",
        "_course_w",
        "_counted_wh",
        "_counted_s",
        "_skew_wh",
        "_woke_s",
        "_pending",
        "_last_due_s",
        "_last_order_w",
        "_generation",
        "_orders",
        "_events",
    )

    def __init__(self, specs: Sequence[LoadSpec]) -> None:
        count = len(specs)
        self.index: Mapping[str, int] = {spec.id: row for row, spec in enumerate(specs)}
        """Row by id."""
        self._specs = tuple(specs)
        spread = [_spread_of(spec.seed) for spec in specs]
        self.factor: Column = np.array([factor for factor, _ in spread], dtype=np.float64)
        """What each unit draws for an order, relative to the order."""
        self.reading_factor: Column = np.array([reading for _, reading in spread], dtype=np.float64)
        """What each unit reports of its draw, relative to the draw."""
        self._own_factor = self.reading_factor.copy()
        self.ordered_w: Column = np.full(count, nan)
        """The set-point that each holds and shows."""
        self.effective_w: Column = np.full(count, nan)
        """The order that has taken effect."""
        self.disobeys: Flags = np.zeros(count, dtype=np.bool_)
        """Answers OK, shows the set-point and goes on as before."""
        self.powered: Flags = np.ones(count, dtype=np.bool_)
        self.has_work: Flags = np.ones(count, dtype=np.bool_)
        """Without it a unit idles, whatever it is allowed to draw, and is back at once when it has some."""
        self.settled: Flags = np.ones(count, dtype=np.bool_)
        """Nothing will change without another order."""
        self.rated = Ratings([spec.behaviour for spec in specs])
        """What their behaviours say."""
        self._course_w: Column = self.rated.full_w * self.factor
        """Draw if there is work."""
        self.draw_w: Column = self._course_w.copy()
        """True draw."""
        self._counted_wh: Column = np.zeros(count)
        self._counted_s: Column = np.zeros(count)
        self._skew_wh: Column = np.zeros(count)
        """What the energy shown differs by, since the error of the reading was another one before."""
        self._woke_s: Column = np.full(count, nan)
        self._pending = np.zeros(count, dtype=np.int64)
        self._last_due_s: Column = np.zeros(count)
        self._last_order_w: Column = np.full(count, nan)
        self._generation = np.zeros(count, dtype=np.int64)
        """Orders of an earlier generation were forgotten before they took effect."""
        self._orders = np.zeros(count, dtype=np.int64)
        self._events: list[tuple[float, int, int, int, float]] = []
        """Heap of (due, number, row, generation, order)."""
        self._number = 0
        self._rng = random.Random()
        self._outputs: tuple[float, Column] | None = None

    def __len__(self) -> int:
        return len(self._specs)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Loads":
        """A twin: what never changes is shared."""
        twin = copy.copy(self)
        for name in self._CHANGING:
            setattr(twin, name, copy.copy(getattr(self, name)))
        memo[id(self)] = twin
        return twin

    def id_of(self, row: int) -> str:
        """Id of a row."""
        return self._specs[row].id

    def behaviour_of(self, row: int) -> Behaviour:
        """Behaviour of a row."""
        return self._specs[row].behaviour

    # --- all of them ------------------------------------------------------------------------------

    def step(self, now_s: float, dt_s: float) -> None:
        """Advance by `dt_s` to `now_s`."""
        rows = np.flatnonzero(~self.settled)
        if not rows.size:
            return
        self._outputs = None
        self._count(rows, now_s - dt_s)
        self._take_due(now_s)
        target_w = self._targets_w(rows, now_s)
        before_w = self._course_w[rows]
        swing_w = self.rated.span_w[rows] * dt_s
        with np.errstate(divide="ignore"):
            lower_w = np.maximum(target_w, before_w - swing_w / self.rated.ramp_down_s[rows])
            higher_w = np.minimum(target_w, before_w + swing_w / self.rated.ramp_up_s[rows])
        course_w = np.where(before_w > target_w, lower_w, higher_w)
        self._course_w[rows] = course_w
        woke_s = self._woke_s[rows]
        warm_s = np.maximum(self.rated.warm_up_s[rows], self.rated.output_warm_up_s[rows])
        woke_s[now_s - woke_s >= warm_s] = nan
        self._woke_s[rows] = woke_s
        self.settled[rows] = np.isnan(woke_s) & (self._pending[rows] == 0) & (course_w == target_w)
        self._show(rows)

    def shed_w(self) -> Column:
        """True W below which no order brings each: its sleep draw, or all of its draw if it disobeys."""
        return np.where(self.disobeys, self.draw_w, np.minimum(self.draw_w, self.rated.sleep_w))

    def reported_w(self, rows: Rows | slice = EVERY) -> Column:
        """What their own power readings say."""
        return self.draw_w[rows] * self.reading_factor[rows]

    def energy_wh(self, now_s: float, rows: Rows | slice = EVERY) -> Column:
        """Integral of each true draw since the start."""
        return self._counted_wh[rows] + self.draw_w[rows] * (now_s - self._counted_s[rows]) / 3600

    def reported_wh(self, now_s: float, rows: Rows | slice = EVERY) -> Column:
        """What their own energy registers say."""
        return self.energy_wh(now_s, rows) * self.reading_factor[rows] + self._skew_wh[rows]

    def outputs(self, now_s: float) -> Column:
        """TH/s or GPUs at work, each. Not to be written to."""
        if self._outputs is None or self._outputs[0] != now_s:
            self._outputs = now_s, self._outputs_now(now_s)
        return self._outputs[1]

    # --- one of them ------------------------------------------------------------------------------

    def order(self, row: int, watts: float | None, now_s: float) -> None:
        """Take a set-point: at most `watts` W, 0 = sleep, `None` = no limit."""
        kind = self._specs[row].behaviour
        if watts is not None and watts != 0:
            steps = floor((watts - kind.floor_w) / kind.step_w + 1e-6)
            if steps < 0:
                return
            watts = min(kind.full_w, kind.floor_w + steps * kind.step_w)
        if not self.powered[row] or none_of_nan(self.ordered_w[row]) == watts:
            return
        self.ordered_w[row] = _nan(watts)
        if not self.disobeys[row]:
            self._schedule(row, watts, now_s)

    def set_disobeys(self, row: int, disobeys: bool, now_s: float) -> None:  # noqa: FBT001 - a fault is switched on or off
        """Begin or cease to ignore orders. The order held is carried out when it ceases."""
        if disobeys == bool(self.disobeys[row]):
            return
        self.disobeys[row] = disobeys
        self._forget(row)
        if not disobeys and self.powered[row]:
            self._schedule(row, none_of_nan(self.ordered_w[row]), now_s)

    def reboot(self, row: int, now_s: float) -> None:
        """Restart: the set-point is forgotten, and the unit comes back at full power."""
        if not self.powered[row]:
            return
        self.ordered_w[row] = nan
        self._forget(row)
        self.effective_w[row] = 0.0
        self._put(row, min(self._course_w[row], self.rated.sleep_w[row]), now_s)
        self._schedule(row, None, now_s)

    def set_powered(self, row: int, powered: bool, now_s: float) -> None:  # noqa: FBT001 - an outlet is on or off
        """Cut or return its supply; it comes back as from a reboot."""
        if powered == bool(self.powered[row]):
            return
        self.powered[row] = powered
        if powered:
            self.reboot(row, now_s)
            return
        self._forget(row)
        self._woke_s[row] = nan
        self._put(row, 0.0, now_s)
        self.settled[row] = True

    def set_has_work(self, row: int, has_work: bool, now_s: float) -> None:  # noqa: FBT001 - work is there or not
        """Take its work away, or give it back: its draw follows at once."""
        self.has_work[row] = has_work
        self._put(row, self._course_w[row], now_s)

    def misread(self, row: int, share: float, now_s: float) -> None:
        """Make it report this share too much; what its energy register shows goes on from where it is."""
        factor = self._own_factor[row] * (1.0 + share)
        energy_wh = float(self._counted_wh[row] + self.draw_w[row] * (now_s - self._counted_s[row]) / 3600)
        self._skew_wh[row] += energy_wh * (self.reading_factor[row] - factor)
        self.reading_factor[row] = factor

    def misreading(self, row: int) -> float:
        """The share that it reports too much."""
        return float(self.reading_factor[row] / self._own_factor[row]) - 1.0

    # --- inside -----------------------------------------------------------------------------------

    def _count(self, rows: Rows, until_s: float) -> None:
        # A settled load is not stepped: its draw so far is counted before it changes.
        self._counted_wh[rows] += self.draw_w[rows] * (until_s - self._counted_s[rows]) / 3600
        self._counted_s[rows] = until_s

    def _show(self, rows: Rows) -> None:
        course_w = self._course_w[rows]
        self.draw_w[rows] = np.where(
            self.has_work[rows], course_w, np.minimum(course_w, self.rated.idle_w[rows])
        )

    def _put(self, row: int, course_w: float, now_s: float) -> None:
        """Let a draw jump."""
        rows = np.array([row], dtype=np.intp)
        self._outputs = None
        self._count(rows, now_s)
        self._course_w[row] = course_w
        self._show(rows)

    def _targets_w(self, rows: Rows, now_s: float) -> Column:
        order_w, full_w, factor = self.effective_w[rows], self.rated.full_w[rows], self.factor[rows]
        target_w = np.where(np.isnan(order_w), full_w, order_w) * factor
        warm_up_s, woke_s = self.rated.warm_up_s[rows], self._woke_s[rows]
        warming = ~np.isnan(woke_s) & (warm_up_s > 0)
        if warming.any():
            with np.errstate(divide="ignore", invalid="ignore"):
                warm = np.minimum(1.0, np.maximum(0.0, (now_s - woke_s) / warm_up_s))
            share = QUICK_SHARE + (1.0 - QUICK_SHARE) * warm
            target_w = np.where(warming, np.minimum(target_w, full_w * factor * share), target_w)
        target_w = np.where(order_w == 0, self.rated.sleep_w[rows], target_w)
        return np.where(self.powered[rows], target_w, 0.0)

    def _outputs_now(self, now_s: float) -> Column:
        output = self.rated.output_full * self.rated.output_share(self.draw_w / self.factor)
        with np.errstate(divide="ignore", invalid="ignore"):
            warm = np.clip((now_s - self._woke_s) / self.rated.output_warm_up_s, 0.0, 1.0)
        output = np.where(np.isnan(warm) | (self.rated.output_warm_up_s <= 0), output, output * warm)
        return np.where(self.powered & self.has_work & (self.effective_w != 0), output, 0.0)

    def _schedule(self, row: int, order_w: float | None, now_s: float) -> None:
        kind = self._specs[row].behaviour
        waits = self._pending[row] > 0
        before_w = none_of_nan(self._last_order_w[row] if waits else self.effective_w[row])
        self._orders[row] += 1
        # One generator seeded anew: half of what another one takes.
        rng = self._rng
        rng.seed(self._specs[row].seed * 1_000_003 + int(self._orders[row]))
        restarts = kind.restarts_on_write and order_w != before_w
        if restarts or kind.nominal_w(order_w) < kind.nominal_w(before_w):
            dead_s = kind.latency_down_s * rng.uniform(*DEAD_DOWN)
        else:
            dead_s = kind.latency_up_s * rng.uniform(*DEAD_UP)
        factor = STRAGGLER_FACTOR if rng.random() < STRAGGLERS else 1.0
        # An order never overtakes the one before it.
        due_s = max(now_s + dead_s * factor, float(self._last_due_s[row]) if waits else 0.0)
        if restarts and order_w != 0:
            self._await(row, due_s, 0.0)
            due_s += kind.latency_up_s * rng.uniform(*DEAD_UP) * factor
        self._await(row, due_s, _nan(order_w))

    def _await(self, row: int, due_s: float, order_w: float) -> None:
        self._number += 1
        event = (due_s, self._number, row, int(self._generation[row]), order_w)
        heapq.heappush(self._events, event)
        self._pending[row] += 1
        self._last_due_s[row], self._last_order_w[row] = due_s, order_w
        self.settled[row] = False

    def _forget(self, row: int) -> None:
        """Drop the orders that have not taken effect."""
        self._generation[row] += 1
        self._pending[row] = 0

    def _take_due(self, now_s: float) -> None:
        while self._events and self._events[0][0] <= now_s + 1e-9:
            due_s, _, row, generation, order_w = heapq.heappop(self._events)
            if generation == self._generation[row]:
                self._pending[row] -= 1
                self._take_effect(row, due_s, order_w)

    def _take_effect(self, row: int, due_s: float, order_w: float) -> None:
        wakes = self.effective_w[row] == 0 and order_w != 0
        self.effective_w[row] = order_w
        if wakes:
            self._woke_s[row] = due_s
        elif order_w == 0:
            self._woke_s[row] = nan


def _spread_of(seed: int) -> tuple[float, float]:
    rng = random.Random(seed)
    factor = min(1.05, max(0.95, rng.gauss(1.0, SPREAD)))
    return factor, min(1.03, max(0.97, rng.gauss(1.0, READING_SPREAD)))


def none_of_nan(watts: float) -> float | None:
    """A set-point as it stands in a column, as it stands elsewhere."""
    return None if isnan(watts) else float(watts)


def _nan(watts: float | None) -> float:
    return nan if watts is None else watts
