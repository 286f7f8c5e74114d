"""What would happen under a limit: the allocation itself, played forward over what is expected. Pure.

Every load is taken to follow its order after the latency of its profile, and to draw then what is known of
its level. What can be said of one moment is computed by the same code that would act then.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from daemon.allocation.allocate import allocate
from daemon.allocation.circuits import Circuits
from daemon.allocation.counting import Look
from daemon.allocation.learning import observed
from daemon.allocation.loads import Ints, Loads
from daemon.allocation.memory import LoadMemory, ordered
from daemon.allocation.ramp import ramp_ceiling_w, ramp_lead_w
from daemon.allocation.situation import Plan, Situation
from daemon.table.table import Floats

HORIZON_S = 3600.0
_RAMP_LOOKS = 30
"""How many moments of a long ramp are looked at."""
_MOST_LOOKS = 120
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Ramp:
    """How fast the load may come back."""

    rate_w_per_s: float
    largest_step_w: float
    """Of a single load."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The site some seconds from now, right after the orders of that moment."""

    in_s: float
    expected_w: float
    """What the site draws then; the orders of this moment have no effect yet."""
    load: Ints
    """Indices of the loads that are ordered at this moment."""
    before: Ints
    """Their levels before."""
    after: Ints
    """And those that they are ordered to."""
    plan: Plan
    memory: LoadMemory
    look: Look


def outlooks(start: Situation, look: Look, circuits: Circuits, ramp: Ramp) -> Iterator[Outlook]:
    """The moments at which something is ordered or takes effect, the first of them now.

    Args:
        start: as for a limit that comes at once.
        look: the loads as they are.
        circuits: the site's.
        ramp: what holds back a rise.
    """
    loads, memory, ceiling_w, in_s, before_s = look.loads, look.memory, 0.0, 0.0, 0.0
    drawn_w = np.where(np.isfinite(look.measured_w), look.measured_w, look.counted_w)
    looks_every_s = _ramp_look_s(start, look, ramp)
    for _ in range(_MOST_LOOKS):
        now_s = start.now_s + in_s
        drawn_w = _drawn_w(memory, loads, drawn_w, now_s)
        measured_w = np.where(np.isfinite(look.measured_w), drawn_w, np.nan)
        if in_s > 0:
            memory = observed(memory, loads, measured_w, np.full(len(loads), now_s), now_s)
        there = Look(memory, loads, measured_w, now_s)
        ceiling_w = ramp_ceiling_w(
            ceiling_w,
            start.limit_w,
            there.loads_w + start.uncontrolled_w,
            ramp.rate_w_per_s,
            in_s - before_s,
            ramp.largest_step_w,
        )
        situation = replace(
            start,
            now_s=now_s,
            measured_w=measured_w,
            ceiling_w=ceiling_w,
            at_once_w=ramp_lead_w(ramp.rate_w_per_s, ramp.largest_step_w),
        )
        plan = allocate(situation, there, circuits)
        changed = np.flatnonzero(plan.level != memory.level)
        expected_w = float(drawn_w.sum()) + start.uncontrolled_w
        before = memory.level[changed]
        memory = ordered(memory, plan.level, measured_w, there.counted_w, now_s)
        yield Outlook(in_s, expected_w, changed, before, plan.level[changed], plan, memory, there)
        rising = ceiling_w < start.limit_w and bool((plan.level < loads.top).any())
        before_s, next_s = in_s, _next_s(memory, loads, now_s, looks_every_s if rising else np.inf)
        if in_s + next_s > HORIZON_S:
            return
        in_s += next_s


def _ramp_look_s(start: Situation, look: Look, ramp: Ramp) -> float:
    """A long ramp is looked at a number of times, not every second."""
    rise_w = start.limit_w - look.loads_w - start.uncontrolled_w
    if rise_w <= 0 or ramp.rate_w_per_s <= 0:
        return _LOOK_S
    return max(_LOOK_S, rise_w / ramp.rate_w_per_s / _RAMP_LOOKS)


def _arrives_s(memory: LoadMemory, loads: Loads) -> Floats:
    """(loads,): when each load's last order takes effect."""
    return memory.ordered_s + np.where(memory.rose, loads.latency_up_s, loads.latency_down_s)


def _drawn_w(memory: LoadMemory, loads: Loads, drawn_w: Floats, now_s: float) -> Floats:
    """(loads,): what each draws by now: an order that has arrived since is obeyed by those that obey."""
    arrived = memory.obeys & np.isfinite(memory.ordered_s) & (_arrives_s(memory, loads) <= now_s)
    return np.where(arrived, memory.at_level_w(), drawn_w)


def _next_s(memory: LoadMemory, loads: Loads, now_s: float, ramp_s: float) -> float:
    """Seconds to the next moment at which something changes; inf = nothing will."""
    arrives_s = _arrives_s(memory, loads)
    to_come_s = arrives_s[arrives_s > now_s] - now_s
    return min(float(to_come_s.min(initial=np.inf)), ramp_s)
