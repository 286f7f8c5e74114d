"""Loads made of figures, and an allocation whose every input a test can set."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from daemon.allocation.allocate import allocate
from daemon.allocation.circuits import Circuits
from daemon.allocation.counting import Look
from daemon.allocation.learning import observed
from daemon.allocation.loads import Economics, Loads, LoadSpec, Tier
from daemon.allocation.memory import LoadMemory, ordered
from daemon.allocation.situation import Plan, Situation
from daemon.table.table import Floats
from drivers.profile import (
    FieldPoint,
    MessageCommand,
    MqttMap,
    OperatingPoint,
    OutputKind,
    Profile,
    Role,
    Setpoint,
    Trust,
)

MINER_POINTS = ((30.0, 0.0), (1750.0, 0.575), (2450.0, 0.76), (3150.0, 0.925), (3500.0, 1.0))
STOCK_POINTS = ((60.0, 0.0), (2290.0, 0.79), (3050.0, 1.0))
RACK_POINTS = ((4600.0, 0.0), (12450.0, 0.74), (16320.0, 0.905), (20400.0, 1.0))


def profile_of(
    points: Sequence[tuple[float, float]] = MINER_POINTS,
    *,
    name: str = "paper",
    output: OutputKind | None = OutputKind.HASH,
    output_full: float = 200.0,
    nameplate_w: float | None = None,
    shows_limit: bool = False,
    **setpoint: Any,
) -> Profile:
    """A profile with these (watts, share of full output); `setpoint` overrides its timing."""
    timing = {
        "latency_down_s": 2.0,
        "latency_up_s": 10.0,
        "settle_s": 5.0,
        "min_off_s": 0.0,
        "restarts_on_write": False,
        "persistent": False,
        "hard_off": True,
    } | setpoint
    return Profile(
        name=name,
        title=name,
        role=Role.LOAD,
        trust=Trust.SIMULATED,
        sources=("paper",),
        nameplate_w=points[-1][0] if nameplate_w is None else nameplate_w,
        period_s=1.0,
        map=MqttMap((FieldPoint("setpoint", "limit"),) if shows_limit else (), "{prefix}/state", 1.0),
        setpoint=Setpoint(
            command=MessageCommand("{prefix}/set", "{watts}", "0", "null"),
            sleep_w=points[0][0],
            floor_w=points[1][0] if len(points) > 1 else points[0][0],
            ceiling_w=points[-1][0],
            step_w=1.0,
            **timing,
        ),
        output=output,
        output_full=output_full,
        operating_points=tuple(OperatingPoint(f"p{i}", w, v) for i, (w, v) in enumerate(points)),
    )


MINER = profile_of(name="miner")
STOCK = profile_of(
    STOCK_POINTS, name="stock", output_full=100.0, latency_down_s=23.0, latency_up_s=40.0, settle_s=30.0
)
RACK = profile_of(RACK_POINTS, name="rack", output=OutputKind.GPU, output_full=16.0, latency_down_s=3.0)


def loads_of(
    *profiles: Profile, tiers: Sequence[Tier] | None = None, circuits: Sequence[int] | None = None
) -> Loads:
    """Loads in rows 0, 1, …; all normal and in no circuit unless told otherwise."""
    specs = [
        LoadSpec(
            row,
            profile,
            Tier.NORMAL if tiers is None else tiers[row],
            -1 if circuits is None else circuits[row],
        )
        for row, profile in enumerate(profiles)
    ]
    return Loads.build(specs, Economics())


@dataclass
class Park:
    """Loads that all run at full power and obey, and what the next allocation starts from."""

    loads: Loads
    circuit_max_w: Sequence[float] = ()
    circuit_parent: Sequence[int] = ()
    now_s: float = 1000.0
    memory: LoadMemory = field(init=False)
    measured_w: Floats = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.loads)
        self.memory = replace(
            LoadMemory.fresh(self.loads),
            level=self.loads.top.copy(),
            seen_s=np.full(count, self.now_s),
            met=np.ones(self.loads.watts.shape, dtype=np.bool_),
        )
        self.measured_w = self.loads.watts[np.arange(count), self.loads.top].copy()
        self.circuits = Circuits.build(self.circuit_max_w, self.circuit_parent, self.loads.circuit)

    def situation(self, limit_w: float, **changes: Any) -> Situation:
        """A limit to be met 30 s from now, with nothing else in the way."""
        situation = Situation(
            now_s=self.now_s,
            measured_w=self.measured_w,
            excluded=np.zeros(len(self.loads), dtype=np.bool_),
            limit_w=limit_w,
            deadline_s=self.now_s + 30.0,
            uncontrolled_w=0.0,
            margin_w=0.0,
            deadband_w=0.0,
            ceiling_w=limit_w,
            may_rise=True,
        )
        return replace(situation, **changes)

    def plan(self, limit_w: float, **changes: Any) -> Plan:
        return allocate(self.situation(limit_w, **changes), self.seen(), self.circuits)

    def seen(self) -> Look:
        """The loads as a cycle sees them now."""
        return Look(self.memory, self.loads, self.measured_w, self.now_s)

    def carry_out(self, plan: Plan) -> None:
        """Order a plan; nothing has followed yet."""
        self.memory = ordered(self.memory, plan.level, self.measured_w, self.counted(), self.now_s)

    def at(self, *levels: int) -> "Park":
        """Have the loads been at these levels for ever."""
        self.memory = replace(self.memory, level=np.array(levels, dtype=np.int64))
        self.measured_w = self.memory.at_level_w().copy()
        return self

    def look(self, after_s: float, *watts: float) -> None:
        """Time passes; then every load is measured, by default as ordered (NaN = not)."""
        self.now_s += after_s
        self.measured_w = np.array(watts) if watts else self.memory.at_level_w().copy()
        sampled_s = np.full(len(self.loads), self.now_s - 0.5)
        self.memory = observed(self.memory, self.loads, self.measured_w, sampled_s, self.now_s)

    def counted(self) -> Floats:
        return self.seen().counted_w
