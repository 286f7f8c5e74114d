"""What one cycle saw and decided."""

from dataclasses import dataclass

import numpy as np

from daemon.allocation.counting import Look
from daemon.allocation.loads import Bools
from daemon.allocation.memory import UNKNOWN, LoadMemory
from daemon.allocation.situation import Plan
from daemon.authority.machine import Moment, Verdict
from daemon.metering.load_power import LoadPower
from daemon.metering.site_power import SitePower
from daemon.table import Snapshot


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What one cycle saw and decided."""

    moment: Moment
    snapshot: Snapshot
    verdict: Verdict
    power: SitePower
    loads_power: LoadPower
    plan: Plan | None
    """`None` before the first full picture."""
    uncontrolled_w: float | None
    lowest_w: float | None
    """What the site could go down to: what nothing can shed."""
    wanted_w: float
    """What the site would take if it were let."""
    settling: bool
    limit_age_s: float
    """Since the limit in force last changed."""
    planned_s: float
    """How long loads have been ordered about at all; 0 before the first full picture."""
    orders: int
    level: tuple[int, int, int]
    """Loads at their lowest level, reduced, full."""


@dataclass(frozen=True, slots=True)
class Census:
    """The loads' levels counted, and what they could draw at the least and at the most."""

    level: tuple[int, int, int]
    """At their lowest level, reduced, full."""
    least_w: float
    """With everything shed that can be."""
    most_w: float

    @classmethod
    def of(cls, look: Look, memory: LoadMemory, excluded: Bools) -> "Census":
        """After the orders of a cycle: `memory` has them, `look` is from before."""
        loads = look.loads
        lowest, full = memory.level == 0, memory.level == loads.top
        sleeping, running = int(np.count_nonzero(lowest)), int(np.count_nonzero(full & ~lowest))
        stays, unknown = ~memory.obeys | excluded, 0
        if not memory.all_known:
            not_seen = memory.level == UNKNOWN
            stays, unknown = stays | not_seen, int(np.count_nonzero(not_seen))
        least_w, those = look.curves.watts[0].copy(), stays.nonzero()[0]
        least_w[those] = look.counted_w.take(those)
        return cls(
            level=(sleeping, len(loads) - unknown - sleeping - running, running),
            least_w=float(least_w.sum()),
            most_w=look.all_up_w,
        )
