"""Our own fleet and site table, as the daemon runs them: decoded and frozen once a second."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.poll.clients.period_watch import PeriodWatch
from benchmarks.poll.clients.process import Window, main, most_memory_mb, process_age_s
from benchmarks.poll.clients.samples import Samples, keeping_samples
from benchmarks.poll.clients.watched_table import WatchedTable
from benchmarks.poll.load import UNITS_BEHIND_GATEWAY, Load, Outcome, Task
from benchmarks.rounds import percentile
from daemon.service.garbage import spare_the_search
from daemon.table import SiteTable
from drivers.address import ModbusTcpAddress, parse_address
from drivers.device import Device
from drivers.fleet import build_fleet
from drivers.ports import Fleet
from drivers.profiles import load_profile, read_profile
from drivers.quantity import COLUMN, Quantity

PROFILE = Path(__file__).resolve().parents[1] / "twenty-registers.toml"
SATURATING_PER_S = 65_000.0
"""More polls than a core can do: so many are asked for where it is to go as fast as it can."""
SERVED = {
    Quantity.POWER: 1.0,
    Quantity.ENERGY_IMPORT: 3 * 2.0**32 + 5,
    Quantity.HASHRATE: 0.07,
    Quantity.GPU_ACTIVE: 9.0,
    Quantity.SERIAL: 13 * 2.0**32 + 15,
    Quantity.SETPOINT: 19.0,
}
"""What the profile makes of the server's registers."""
CYCLE_S = 1.0
LOOK_S = 0.02


@dataclass(slots=True)
class Watch:
    """What is noted during the window."""

    freezes_s: list[float] = field(default_factory=list)
    lateness_s: list[float] = field(default_factory=list)


async def poll_all(load: Load, port: int) -> Outcome:
    """Poll with our fleet."""
    spare_the_search()
    devices = _devices(load, port)
    table = WatchedTable(
        [device.period_s for device in devices],
        {row: device.profile.slow_quantities for row, device in enumerate(devices)},
    )
    fleet = build_fleet(devices, table, None, random.Random(1))
    table.decode_with(fleet)
    spare_the_search()
    async with contextlib.AsyncExitStack() as around, asyncio.TaskGroup() as tasks:
        samples = None
        if load.samples:
            samples = await around.enter_async_context(keeping_samples([device.id for device in devices]))
        running = [tasks.create_task(fleet.run())]
        await _full(table, _answering(load))
        first_full_s = process_age_s()
        watch = Watch()
        running.append(tasks.create_task(_cycle(table, watch, samples)))
        if load.lateness:
            running.append(tasks.create_task(_watch_lateness(fleet, watch)))
        await asyncio.sleep(load.warmup_s)
        outcome = await _measure(load, fleet, table, watch, first_full_s)
        for task in running:
            task.cancel()
    return outcome


async def _measure(
    load: Load, fleet: Fleet, table: WatchedTable, watch: Watch, first_full_s: float
) -> Outcome:
    watch.freezes_s.clear()
    watch.lateness_s.clear()
    before, window = _counts(fleet.counters()), Window()
    wall_s = None
    periods = PeriodWatch(table, _answering(load))
    match load.task:
        case Task.ORDER:
            wall_s = await table.order_all(fleet, load.devices, load.repeat)
        case Task.PERIODS:
            await periods.watch(load.seconds)
        case Task.POLL:
            await asyncio.sleep(load.seconds)
    window.close()
    if not load.simulated:
        _check_values(table, _answering(load))
    after = _counts(fleet.counters())
    if wall_s is None:
        wall_s = window.wall_s
    return Outcome(
        polls=load.devices if load.task is Task.ORDER else after[0] - before[0],
        cpu_s=window.cpu_s / load.repeat,
        wall_s=wall_s,
        waited_s=window.waited_s * wall_s / window.wall_s,
        missed=after[1] - before[1],
        failed=after[2] - before[2],
        rss_mb=most_memory_mb(),
        lateness_p99_s=percentile(watch.lateness_s, 99) if watch.lateness_s else 0.0,
        first_full_s=first_full_s,
        freeze_p99_s=percentile(watch.freezes_s, 99) if watch.freezes_s else 0.0,
        longest_gap_s=periods.longest_gap_s,
        fewest_sweeps=periods.fewest_sweeps,
    )


def _simulated(file: Path, period_s: float) -> list[Device]:
    return [
        Device(one["id"], load_profile(one["profile"]), parse_address(one["address"]), period_s)
        for one in json.loads(file.read_text(encoding="utf-8"))
    ]


def _devices(load: Load, port: int) -> list[Device]:
    profile = read_profile(PROFILE)
    period_s = load.period_s if load.period_s is not None else load.devices / SATURATING_PER_S
    if load.simulated:
        return _simulated(Path(load.simulated), period_s)
    ends = [(index, 1) for index in range(load.connections)]
    ends += [
        (load.connections + gateway, unit)
        for gateway in range(load.gateways)
        for unit in range(1, UNITS_BEHIND_GATEWAY + 1)
    ]
    return [
        Device(f"load-{row:05}", profile, ModbusTcpAddress(load.host(index), port, unit), period_s)
        for row, (index, unit) in enumerate(ends)
    ]


def _answering(load: Load) -> list[int]:
    """Rows of the devices that answer."""
    alone = [row for row in range(load.connections) if not load.is_silent(row)]
    behind = [
        load.connections + gateway * UNITS_BEHIND_GATEWAY + unit - 1
        for gateway in range(load.gateways)
        for unit in range(1, UNITS_BEHIND_GATEWAY + 1)
        if unit != load.silent_unit
    ]
    return alone + behind


async def _full(table: SiteTable, rows: list[int]) -> None:
    """Wait until each of the devices has answered."""
    loop = asyncio.get_running_loop()
    while not np.isfinite(table.freeze(loop.time()).age_s[rows]).all():  # noqa: ASYNC110 - seen as the daemon sees it
        await asyncio.sleep(0.1)


async def _cycle(table: SiteTable, watch: Watch, samples: Samples | None) -> None:
    """What the daemon does once a second, but for control itself."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        begun = time.process_time()
        snapshot = table.freeze(loop.time())
        watch.freezes_s.append(time.process_time() - begun)
        if samples is not None:
            samples.take(snapshot)
        due = max(due + CYCLE_S, loop.time())
        await asyncio.sleep(due - loop.time())


async def _watch_lateness(fleet: Fleet, watch: Watch) -> None:
    """How late the fleet's ticks were, or our own calls if those were later."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOK_S
        await asyncio.sleep(LOOK_S)
        watch.lateness_s.append(max(loop.time() - due, fleet.poll_lag_s()))


def _check_values(table: SiteTable, rows: list[int]) -> None:
    """A poll that does not end in the right values in the table is not to be counted."""
    values = table.freeze(asyncio.get_running_loop().time()).values
    for quantity, value in SERVED.items():
        if not np.isclose(values[rows, COLUMN[quantity]], value).all():
            raise RuntimeError(f"not every device's {quantity} is {value}, as served")


def _counts(counters: Mapping[str, int]) -> tuple[int, int, int]:
    """How many polls were good, were missed, failed."""
    failed = sum(count for what, count in counters.items() if what not in {"ok", "missed"})
    return counters["ok"], counters["missed"], failed


if __name__ == "__main__":
    main(poll_all)
