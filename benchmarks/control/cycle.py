"""What a whole control cycle takes for a large site at a constant limit."""

import gc
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from benchmarks.figures import Figure, Finding, below
from benchmarks.rounds import percentile
from daemon.authority.machine import LeaseAccepted, LeaseSeen, Moment, Policy, QuotaTaken, start
from daemon.commands.orders import Lease, Quota, ScheduleEntry
from daemon.config import Circuit
from daemon.cycle.controller import Controller, ControlPolicy, CycleResult
from daemon.cycle.findings import findings
from daemon.cycle.layout import SiteLayout
from daemon.cycle.observing import observation
from daemon.cycle.report import LedgerHead, state_object, telemetry_object
from daemon.table import SiteTable
from daemon.table.table import Floats
from drivers.profile import Role
from drivers.profiles import load_profile
from drivers.quantity import COLUMN, Quantity
from sim_devices.layout import lay_out
from tests.world.pure_site import configured

LOADS = 30_000
CYCLES = 150
SETTLE = 150
SHARE = 0.8
WALL_S = 1_790_000_000.0


class _Fleet:
    """Every load draws at once what it was ordered to; all are swept once a second."""

    def __init__(self, layout: SiteLayout, rng: np.random.Generator) -> None:
        self._layout = layout
        self._rng = rng
        self.power_w = np.zeros(len(layout.devices))
        self._setpoint_w = np.full(len(layout.devices), np.nan)
        self.orders = 0
        rows = layout.loads.rows
        self._full_w = dict(
            zip(rows.tolist(), layout.loads.watts[layout.loads.index, layout.loads.top], strict=True)
        )
        self.power_w[rows] = list(self._full_w.values())

    async def run(self) -> None: ...

    def order(self, row: int, watts: float | None) -> None:
        self.orders += 1
        self.power_w[row] = self._full_w[row] if watts is None else max(watts, 30.0)
        self._setpoint_w[row] = np.nan if watts is None else watts

    def switch(self, row: int, outlet: int, *, on: bool) -> None: ...

    def arm(self, row: int, watts: float) -> None: ...

    def counters(self) -> Mapping[str, int]:
        return {}

    def poll_lag_s(self) -> float:
        return 0.0

    def decode_into(self, values: Floats) -> None:
        loads = self._layout.loads
        noise = self._rng.normal(1.0, 0.002, len(values))
        values[:, COLUMN[Quantity.POWER]] = self.power_w * noise
        values[:, COLUMN[Quantity.SETPOINT]] = self._setpoint_w
        values[loads.hashes, COLUMN[Quantity.HASHRATE]] = 100.0
        site_w = float(self.power_w.sum()) * self._rng.normal(1.03, 0.0005)
        values[self._layout.points[0], COLUMN[Quantity.POWER]] = site_w
        values[self._layout.points[0], COLUMN[Quantity.ENERGY_IMPORT]] = 1e9 + site_w


def measure(seed: int, *, loads: int = LOADS, cycles: int = CYCLES) -> Finding:
    """Cycles in which every device was just swept, with all that they tell others."""
    rng = np.random.default_rng(seed)
    controller, table, fleet = _site(rng, loads)
    full_w = float(fleet.power_w.sum())
    moment = Moment(WALL_S, 1_000.0)
    _told(controller, moment, int(SHARE * 1.03 * full_w))
    spans: list[dict[str, float]] = []
    orders = 0
    for number in range(SETTLE + cycles):
        moment = moment.later(1.0)
        if number % 10 == 0:
            _leased(controller, moment)
        for row in range(len(controller.layout.devices)):
            table.swept(row, moment.monotonic_s - 0.4, slow=False)
        if number == SETTLE:
            orders = fleet.orders
            gc.collect()
        spans.append(_cycle(controller, moment))
    taken = spans[SETTLE:]
    title = (
        f"A cycle for {loads:,} loads and 3 levels of circuits at a constant limit, all just swept, "
        f"{cycles} cycles"
    )
    figures = []
    for what, key in (("wall", "wall_ms"), ("CPU", "cpu_ms")):
        for percent in (50, 99):
            goal = below(100.0) if (key, percent) == ("wall_ms", 99) else None
            value = percentile([one[key] for one in taken], percent)
            figures.append(Figure(f"all in: {what}, p{percent}", value, "ms", goal))
    figures += [
        Figure(f"CPU, p50: {part}", percentile([one[part] for one in taken], 50), "ms")
        for part in ("decide", "findings", "observe", "report")
    ]
    figures.append(Figure("orders meanwhile", fleet.orders - orders, ""))
    return Finding("control_cycle", title, figures, taken)


def _site(rng: np.random.Generator, loads: int) -> tuple[Controller, SiteTable, _Fleet]:
    plant = lay_out(miners=loads - loads // 50, racks=loads // 50, pdus=0, seed=1, profile=load_profile)
    contract_w = int(1.15 * plant.nameplate_w)
    config = configured(plant, contract_w, 0)
    miners = [row for row, device in enumerate(config.devices) if device.role is Role.LOAD]
    home = {row: f"c{index * 100 // len(miners):03}" for index, row in enumerate(miners)}
    containers = [Circuit(f"c{number:03}", contract_w, f"h{number // 10}", None) for number in range(100)]
    halls = [Circuit(f"h{number}", contract_w, "site", None) for number in range(10)]
    config = replace(
        config,
        circuits=(*containers, *halls, Circuit("site", contract_w, None, None)),
        devices=tuple(replace(device, circuit=home.get(row)) for row, device in enumerate(config.devices)),
    )
    layout = SiteLayout.of(config)
    table, fleet = SiteTable([1.0] * len(layout.devices)), _Fleet(layout, rng)
    table.decode_with(fleet)
    policy = Policy(contract_w, 0, 120.0, 300.0, 0.0)
    now = Moment(WALL_S, 1_000.0)
    verdict = start(policy, now, boot_id="boot", boottime_s=0.0, last_limit_w=None)
    control = ControlPolicy(policy, 0.1 * contract_w / 60, 30.0, 0.0)
    return Controller(layout, control, table, fleet, verdict, now), table, fleet


def _told(controller: Controller, now: Moment, limit_w: int) -> None:
    wall = int(now.wall_s)
    quota = Quota(1, (ScheduleEntry(wall, wall + 86_400, limit_w),), wall + 86_400, "k", "", "hash")
    controller.apply(QuotaTaken(quota), now)
    _leased(controller, now)


def _leased(controller: Controller, now: Moment) -> None:
    wall = int(now.wall_s)
    controller.apply(LeaseSeen(wall, now.wall_s), now)
    controller.apply(LeaseAccepted(Lease(1, wall, wall + 300, "boot", now.monotonic_s, now.wall_s)), now)


def _cycle(controller: Controller, now: Moment) -> dict[str, float]:
    """What each part took."""
    clock = time.process_time
    begun_s, wall_s = clock(), time.perf_counter()
    result: CycleResult = controller.cycle(now, records_writable=True)
    decided_s = clock()
    findings(controller, result, records_writable=True)
    found_s = clock()
    observation(controller, result)
    observed_s = clock()
    state_object(controller, result, LedgerHead(1, 1, 1), [], "boot")
    telemetry_object(result)
    told_s = clock()
    return {
        "wall_ms": 1e3 * (time.perf_counter() - wall_s),
        "cpu_ms": 1e3 * (told_s - begun_s),
        "decide": 1e3 * (decided_s - begun_s),
        "findings": 1e3 * (found_s - decided_s),
        "observe": 1e3 * (observed_s - found_s),
        "report": 1e3 * (told_s - observed_s),
    }
