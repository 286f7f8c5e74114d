"""How long one decision takes for a large site."""

import gc
import time
from itertools import islice

import numpy as np

from benchmarks.control.fleets import fleet, situations
from benchmarks.figures import Figure, Finding, below
from benchmarks.rounds import percentile
from daemon.allocation.allocate import allocate

LOADS = 30_000
CONTAINERS = 100
SITUATIONS = 120
WARM = 6


def measure(seed: int, *, loads: int = LOADS, count: int = SITUATIONS) -> Finding:
    """One allocation in each of many random situations, half of them with all containers binding."""
    taken: list[dict[str, float | str]] = []
    for bound in (False, True):
        rng = np.random.default_rng([seed, bound])
        site = fleet(rng, loads, containers=CONTAINERS, bound=bound)
        for number, (name, situation, look) in enumerate(islice(situations(rng, site), count // 2 + WARM)):
            gc.collect()
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            plan = allocate(situation, look, site.circuits)
            cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
            if number >= WARM:
                what = f"{name}, containers bind" if bound else name
                ordered = int((plan.level != look.memory.level).sum())
                taken.append(
                    {"what": what, "cpu_ms": 1e3 * cpu_s, "wall_ms": 1e3 * wall_s, "orders": ordered}
                )
    levels = site.loads.watts.shape[1]
    points = float((site.loads.top + 1).mean())
    title = (
        f"One decision for {loads:,} loads × {points:.1f} operating points (up to {levels}) × 3 levels of "
        f"circuits, {len(taken)} random situations"
    )
    return Finding("control_decision", title, _figures(taken), taken)


def _figures(taken: list[dict[str, float | str]]) -> list[Figure]:
    figures = []
    for what, key in (("wall", "wall_ms"), ("CPU", "cpu_ms")):
        spans = [float(one[key]) for one in taken]
        figures.append(Figure(f"{what}, p50", percentile(spans, 50), "ms"))
        goal = below(50.0) if key == "wall_ms" else None
        figures.append(Figure(f"{what}, p99", percentile(spans, 99), "ms", goal))
    for what in sorted({str(one["what"]) for one in taken}):
        spans = [float(one["cpu_ms"]) for one in taken if one["what"] == what]
        figures.append(Figure(f"CPU, worst: {what}", max(spans), "ms"))
    return figures
