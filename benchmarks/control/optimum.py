"""How much of the value that could be kept under a limit is kept; the optimum comes from HiGHS."""

import importlib
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from benchmarks.control.fleets import Fleet, fleet, look, situation
from benchmarks.figures import Figure, Finding, at_most
from daemon.allocation.allocate import allocate
from daemon.allocation.loads import Ints
from daemon.table.table import Floats

_KW = 1e-3
_EXACT_S = 20.0
"""After so long an exact answer is given up: the bound that was found until then counts."""
_MIP_GAP = 1e-7


@dataclass(frozen=True, slots=True)
class Row:
    """Instances of one size."""

    name: str
    loads: int
    containers: int
    instances: int
    exact: bool
    """By mixed-integer programming; else against the bound of the linear relaxation."""
    lost_pct: float
    """The goal for every one of them."""


ROWS = (
    Row("50 loads", 50, 0, 200, exact=True, lost_pct=0.1),
    Row("30,000 loads, the site's limit binds", 30_000, 0, 200, exact=False, lost_pct=0.01),
    Row("30,000 loads, all 100 containers bind", 30_000, 100, 200, exact=False, lost_pct=0.05),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One point for each load: maximise the value, rows of watts below their limits."""

    load: Ints
    """(points,)."""
    watts: Floats
    value: Floats
    rows: tuple[tuple[Ints, Floats], ...]
    """Per depth of circuits, then the site: the row of each point, the limits; a row beyond = in none."""

    @classmethod
    def of(cls, site: Fleet, limit_w: float) -> "Problem":
        """What the allocation is to solve."""
        levels = np.arange(site.loads.watts.shape[1])
        load, level = np.nonzero(levels <= site.loads.top[:, None])
        rows = [(depth.of_load[load], depth.max_w) for depth in site.circuits.depths]
        rows.append((np.zeros(len(load), dtype=np.int64), np.array([limit_w])))
        return cls(load, site.memory.learned_w[load, level], site.loads.value[load, level], tuple(rows))


def measure(seed: int, *, rows: tuple[Row, ...] = ROWS) -> Finding:
    """Random sites that run at full power and get a limit."""
    figures, taken = [], []
    for row in rows:
        lost = []
        for number in range(row.instances):
            rng = np.random.default_rng([seed, row.loads, row.containers, number])
            site = fleet(rng, row.loads, containers=row.containers, bound=bool(row.containers))
            full_w = float(site.full_w.sum())
            limit_w = 1.2 * full_w if row.containers else rng.uniform(0.35, 0.98) * full_w
            most = exact(Problem.of(site, limit_w)) if row.exact else bound(Problem.of(site, limit_w))
            lost.append(100 * (1 - kept(site, limit_w) / most))
            taken.append({"row": row.name, "instance": number, "lost_pct": lost[-1]})
        figures.append(
            Figure(f"{row.name}: value lost, worst of {len(lost)}", max(lost), "%", at_most(row.lost_pct))
        )
        figures.append(Figure(f"{row.name}: value lost, mean", sum(lost) / len(lost), "%"))
    remarks = ("50 loads: against the exact optimum; 30,000: against the bound of the linear relaxation",)
    return Finding("control_optimum", "Value lost against the optimum", figures, taken, remarks)


def kept(site: Fleet, limit_w: float) -> float:
    """The value of the allocation, which has to be within every limit."""
    seen = look(site)
    plan = allocate(situation(seen, limit_w), seen, site.circuits)
    if plan.loads_w > limit_w + 1e-3:
        raise ValueError(f"{plan.loads_w - limit_w:.3f} W above the limit")
    for depth in site.circuits.depths:
        if (depth.room_w(plan.counted_w) < -1e-3).any():
            raise ValueError("a circuit is above its limit")
    return float(site.loads.value[site.loads.index, plan.level].sum())


def exact(problem: Problem) -> float:
    """The optimum, or the best bound on it that was found in time."""
    highs = _solved(problem, integer=True)
    return float(highs.getInfo().mip_dual_bound)


def bound(problem: Problem) -> float:
    """An upper bound: the relaxation's prices of a watt in every row, which bound the value."""
    highs = _solved(problem, integer=False)
    # HiGHS's sign of a maximised problem's row duals has changed before: a price is never negative.
    prices = np.abs(np.array(highs.getSolution().row_dual))
    at = int(problem.load.max()) + 1
    net, total = problem.value.copy(), 0.0
    for row, limits_w in problem.rows:
        price = np.append(prices[at : at + len(limits_w)] * _KW, 0.0)
        net -= price[row] * problem.watts
        total += float(price[:-1] @ limits_w)
        at += len(limits_w)
    best = np.full(int(problem.load.max()) + 1, -np.inf)
    np.maximum.at(best, problem.load, net)
    return total + float(best.sum())


def _solved(problem: Problem, *, integer: bool) -> Any:
    # Of the test dependencies: whoever only runs the benchmarks of polling does without.
    highspy: Any = importlib.import_module("highspy")

    points, loads = len(problem.load), int(problem.load.max()) + 1
    columns, row_of, weights = [np.arange(points)], [problem.load], [np.ones(points)]
    lower, upper = [np.ones(loads)], [np.ones(loads)]
    first = count(loads)
    for row, limits_w in problem.rows:
        inside = np.flatnonzero(row < len(limits_w))
        start = next(first)
        for _ in limits_w[1:]:
            next(first)
        columns.append(inside)
        row_of.append(start + row[inside])
        weights.append(problem.watts[inside] * _KW)
        lower.append(np.full(len(limits_w), -np.inf))
        upper.append(limits_w * _KW)
    column = np.concatenate(columns)
    order = np.argsort(column, kind="stable")
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = points, next(first)
    model.sense_ = highspy.ObjSense.kMaximize
    model.col_cost_, model.col_lower_, model.col_upper_ = problem.value, np.zeros(points), np.ones(points)
    model.row_lower_, model.row_upper_ = np.concatenate(lower), np.concatenate(upper)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    starts = np.searchsorted(column[order], np.arange(points + 1))
    model.a_matrix_.start_ = starts.astype(np.int32)
    model.a_matrix_.index_ = np.concatenate(row_of)[order].astype(np.int32)
    model.a_matrix_.value_ = np.concatenate(weights)[order]
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("threads", 1)
    if integer:
        model.integrality_ = [highspy.HighsVarType.kInteger] * points
        highs.setOptionValue("mip_rel_gap", _MIP_GAP)
        highs.setOptionValue("time_limit", _EXACT_S)
    else:
        highs.setOptionValue("solver", "ipm")
        highs.setOptionValue("run_crossover", "off")
    highs.passModel(model)
    highs.run()
    return highs
