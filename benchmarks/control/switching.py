"""How often loads are switched, beside a plan that knows no noise: the core against the physics."""

import random
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.figures import Figure, Finding, at_most
from daemon.allocation.allocate import allocate
from daemon.allocation.counting import Look
from daemon.allocation.memory import LoadMemory
from daemon.allocation.situation import Situation
from drivers.profiles import load_profile
from sim_devices.layout import lay_out
from tests.world.pure_site import PureSite

LOADS = 1_200
STEPS = 12
STEP_S = 300.0
HOUR_S = 3_600.0
NOW_S = 1e9


@dataclass
class Ideal:
    """The same site without noise, ramp or latency: every load is at once where it is ordered to be."""

    site: PureSite
    switches: int = 0

    def __post_init__(self) -> None:
        memory, loads = self.site.controller.memory, self.site.layout.loads
        count = len(loads)
        self.memory: LoadMemory = replace(
            memory,
            ordered_s=np.full(count, -np.inf),
            off_since_s=np.full(count, -np.inf),
            seen_s=np.full(count, NOW_S),
        )

    def go_to(self, limit_w: float, others_w: float, margin: float) -> None:
        """Follow a limit until nothing changes any more."""
        loads, before = self.site.layout.loads, self.memory.level
        for _ in range(10):
            look = Look(self.memory, loads, self.memory.at_level_w(), NOW_S)
            situation = Situation(
                now_s=NOW_S,
                measured_w=look.measured_w,
                excluded=np.zeros(len(loads), dtype=np.bool_),
                limit_w=limit_w,
                deadline_s=NOW_S + HOUR_S,
                uncontrolled_w=others_w,
                margin_w=margin * limit_w,
                deadband_w=0.0,
                ceiling_w=limit_w,
                may_rise=True,
            )
            level = allocate(situation, look, self.site.layout.circuits).level
            if (level == self.memory.level).all():
                break
            self.memory = replace(self.memory, level=level)
        self.switches += int((before != self.memory.level).sum())


class Counted:
    """Counts the loads whose level changes; reminders are no switches."""

    def __init__(self, site: PureSite) -> None:
        self.switches = 0
        self._order = site.controller.dispatcher.order
        site.controller.dispatcher.order = self.order  # type: ignore[method-assign] # listens in

    def order(self, before: np.ndarray, after: np.ndarray, now_s: float) -> int:
        """As the dispatcher's."""
        count = self._order(before, after, now_s)
        self.switches += count
        return count


def measure(seed: int, *, loads: int = LOADS, steps: int = STEPS) -> Finding:
    """Random steps every 5 minutes, and an hour at a constant limit."""
    racks = loads // 40
    plant = lay_out(miners=loads - racks, racks=racks, pdus=0, seed=seed, profile=load_profile)
    site = PureSite(plant, int(1.15 * plant.nameplate_w))
    site.quota((0, None))
    site.run(60)
    full_w, dispatcher = site.plant.model.true_power_w, site.controller.dispatcher
    counted, ideal, rng = Counted(site), Ideal(site), random.Random(seed)
    taken: list[dict[str, float]] = []
    for _ in range(steps):
        share = rng.uniform(0.45, 1.0)
        before = counted.switches, ideal.switches, dispatcher.writes
        site.quota((0, int(share * full_w)))
        site.run(STEP_S)
        ideal.go_to(share * full_w, site.plant.model.true_power_w - site.plant.model.load_w, 0.003)
        site.history.clear()
        taken.append(
            {
                "share": share,
                "switches": counted.switches - before[0],
                "ideal": ideal.switches - before[1],
                "writes": dispatcher.writes - before[2],
            }
        )
    ratio = counted.switches / ideal.switches
    site.quota((0, int(0.6 * full_w)))
    site.run(600)
    site.history.clear()
    writes, switches = dispatcher.writes, counted.switches
    site.run(HOUR_S)
    watts = [watts for _, watts, _ in site.history]
    below = 100 * (1 - sum(watts) / len(watts) / (0.6 * full_w))
    per_1200 = 1_200 / len(site.layout.loads)
    figures = [
        Figure("switches / those of a plan without noise", ratio, "×", at_most(1.2)),
        Figure(
            "constant limit: writes an hour and 1,200 loads",
            (dispatcher.writes - writes) * per_1200,
            "",
            at_most(400),
        ),
        Figure("constant limit: of them switches", (counted.switches - switches) * per_1200, ""),
        Figure("constant limit: mean distance below it", below, "%", at_most(0.5)),
    ]
    title = (
        f"{len(site.layout.loads):,} loads against the plant's physics: "
        f"{steps} random steps over 45–100 %, an hour at 60 %"
    )
    return Finding("control_switching", title, figures, taken)
