"""A cycle as the samples see it."""

from dataclasses import dataclass

from daemon.cycle.controller import CycleResult
from daemon.samples.rollup import QUANTITIES, Floats


@dataclass(frozen=True, slots=True)
class Seen:
    """What one cycle saw."""

    wall_s: float
    monotonic_s: float
    fresh: tuple[Floats, ...]
    """For each of `QUANTITIES` (devices,): NaN = not known."""
    age_s: Floats
    """(devices,): since what is shown was asked for; inf = never."""
    limit_w: int
    power_w: float | None
    expected_w: float | None
    """Of the site, once all orders have taken effect; `None` = nothing was planned yet."""
    state: str


def seen(result: CycleResult) -> Seen:
    """What the samples need of a cycle."""
    plan = result.plan
    return Seen(
        wall_s=result.moment.wall_s,
        monotonic_s=result.moment.monotonic_s,
        fresh=tuple(result.snapshot.fresh(quantity) for quantity in QUANTITIES),
        age_s=result.snapshot.age_s,
        limit_w=result.verdict.limit_w,
        power_w=result.power.watts,
        expected_w=None if plan is None else plan.loads_w + plan.uncontrolled_w,
        state=result.verdict.authority.state.value,
    )
