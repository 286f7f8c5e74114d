"""The loads of a plant: each holds an order, obeys it after its latency, ramps, warms up.

They are kept column by column: a step costs what the loads that change cost, and settled ones nothing.
"""

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.behaviour import QUICK_SHARE, Behaviour
from sim_devices.physics.orders import Effects, Orders
from sim_devices.physics.ratings import EVERY, Column, Ratings, Rows, same_order

SPREAD = 0.02
"""Standard deviation between units of one model of what they draw for one order."""
READING_SPREAD = 0.01
"""Standard deviation between units of the error of their own power reading."""

Flags = NDArray[np.bool_]


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
        "_output",
        "_outdated",
        "_orders",
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
        self._orders = Orders(self.rated, [spec.seed for spec in specs])
        self._output: Column = np.zeros(count)
        self._outdated: Flags = np.ones(count, dtype=np.bool_)
        """Whose output has to be worked out before it is told: its draw has changed since, or it warms up."""

    def __len__(self) -> int:
        return len(self._specs)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Loads":
        """A twin: what never changes is shared."""
        twin = copy.copy(self)
        for name in self._CHANGING:
            setattr(twin, name, copy.deepcopy(getattr(self, name), memo))
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
        self._outdated[rows] = True
        self._count(rows, now_s - dt_s)
        for effects in self._orders.due(now_s):
            self._take_effect(effects)
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
        self.settled[rows] = np.isnan(woke_s) & (self._orders.waiting[rows] == 0) & (course_w == target_w)
        self._show(rows)

    def shed_w(self) -> Column:
        """True W below which no order brings each: its sleep draw, or all of its draw if it disobeys."""
        shed_w = np.minimum(self.draw_w, self.rated.sleep_w)
        stubborn = np.flatnonzero(self.disobeys)
        shed_w[stubborn] = self.draw_w[stubborn]
        return shed_w

    def reported_w(self, rows: Rows | slice = EVERY) -> Column:
        """What their own power readings say."""
        return self.draw_w[rows] * self.reading_factor[rows]

    def energy_wh(self, now_s: float, rows: Rows | slice = EVERY) -> Column:
        """Integral of each true draw since the start."""
        return self._counted_wh[rows] + self.draw_w[rows] * (now_s - self._counted_s[rows]) / 3600

    def reported_wh(self, now_s: float, rows: Rows | slice = EVERY) -> Column:
        """What their own energy registers say."""
        return self.energy_wh(now_s, rows) * self.reading_factor[rows] + self._skew_wh[rows]

    def outputs(self, now_s: float, rows: Rows) -> Column:
        """TH/s or GPUs at work of some of them, after the step to `now_s`."""
        outdated = rows.take(np.flatnonzero(self._outdated.take(rows)))
        if outdated.size:
            self._output[outdated] = self._outputs_now(outdated, now_s)
            self._outdated[outdated] = False
        return self._output.take(rows)

    def order(self, rows: Rows, watts: Column, now_s: float) -> None:
        """Take set-points, one for each of some rows: at most so many W, 0 = sleep, NaN = no limit."""
        rated, limited = self.rated, (watts != 0) & ~np.isnan(watts)
        floor_w, step_w = rated.floor_w[rows], rated.step_w[rows]
        steps = np.floor((watts - floor_w) / step_w + 1e-6)
        allowed_w = np.where(limited, np.minimum(rated.full_w[rows], floor_w + steps * step_w), watts)
        new = self.powered[rows] & ~(limited & (steps < 0)) & ~same_order(self.ordered_w[rows], allowed_w)
        rows, allowed_w = rows[new], allowed_w[new]
        self.ordered_w[rows] = allowed_w
        obey = ~self.disobeys[rows]
        self._schedule(rows[obey], allowed_w[obey], now_s)

    # --- one of them ------------------------------------------------------------------------------

    def set_disobeys(self, row: int, disobeys: bool, now_s: float) -> None:  # noqa: FBT001 - a fault is switched on or off
        """Begin or cease to ignore orders. The order held is carried out when it ceases."""
        if disobeys == bool(self.disobeys[row]):
            return
        self.disobeys[row] = disobeys
        self._orders.forget(row)
        if not disobeys and self.powered[row]:
            self._schedule(np.array([row]), self.ordered_w[[row]], now_s)

    def reboot(self, row: int, now_s: float) -> None:
        """Restart: the set-point is forgotten, and the unit comes back at full power."""
        if not self.powered[row]:
            return
        self.ordered_w[row] = nan
        self._orders.forget(row)
        self.effective_w[row] = 0.0
        self._put(row, min(self._course_w[row], self.rated.sleep_w[row]), now_s)
        self._schedule(np.array([row]), np.array([nan]), now_s)

    def set_powered(self, row: int, powered: bool, now_s: float) -> None:  # noqa: FBT001 - an outlet is on or off
        """Cut or return its supply; it comes back as from a reboot."""
        if powered == bool(self.powered[row]):
            return
        self.powered[row] = powered
        if powered:
            self.reboot(row, now_s)
            return
        self._orders.forget(row)
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
        self._outdated[row] = True
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

    def _outputs_now(self, rows: Rows, now_s: float) -> Column:
        rated = self.rated
        output = rated.output_full[rows] * rated.output_share(self.draw_w[rows] / self.factor[rows], rows)
        warm_up_s = rated.output_warm_up_s[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            warm = np.clip((now_s - self._woke_s[rows]) / warm_up_s, 0.0, 1.0)
        output = np.where(np.isnan(warm) | (warm_up_s <= 0), output, output * warm)
        at_work = self.powered[rows] & self.has_work[rows] & (self.effective_w[rows] != 0)
        return np.where(at_work, output, 0.0)

    def _schedule(self, rows: Rows, watts: Column, now_s: float) -> None:
        if rows.size:
            self._orders.take(rows, watts, self.effective_w[rows], now_s)
            self.settled[rows] = False

    def _take_effect(self, effects: Effects) -> None:
        rows, order_w = effects.row, effects.watts
        wakes = (self.effective_w[rows] == 0) & (order_w != 0)
        self.effective_w[rows] = order_w
        asleep_s = np.where(order_w == 0, nan, self._woke_s[rows])
        self._woke_s[rows] = np.where(wakes, effects.due_s, asleep_s)


def _spread_of(seed: int) -> tuple[float, float]:
    rng = random.Random(seed)
    factor = min(1.05, max(0.95, rng.gauss(1.0, SPREAD)))
    return factor, min(1.03, max(0.97, rng.gauss(1.0, READING_SPREAD)))


def none_of_nan(watts: float) -> float | None:
    """A set-point as it stands in a column, as it stands elsewhere."""
    return None if isnan(watts) else float(watts)


def nan_of_none(watts: float | None) -> float:
    """The other way round."""
    return nan if watts is None else watts
