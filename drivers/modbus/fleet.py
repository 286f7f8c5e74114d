"""All Modbus devices of a site: one tick starts due polls, reconnects, and looks after deadlines."""

import asyncio
import heapq
import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from drivers.device import Device
from drivers.grid import PollGrid
from drivers.modbus.assembly import Assembly, Place
from drivers.modbus.connection import LinkState
from drivers.modbus.lines import MakeLine, line_to
from drivers.modbus.link import Link
from drivers.modbus.unit import SideWrite
from drivers.ports import FleetSink
from drivers.profile import SLOW_S, RegisterCommand
from drivers.setpoint import outlet_words, reversion_words

TICK_S = 0.02
"""Each wake-up of an idle loop costs more than a poll: due work is done together."""
LONGEST_IDLE_S = 0.5
"""The deadline of an order that goes out meanwhile is seen this late at most."""
LONGEST_CONNECTING_S = 0.1
"""While others wait for a place among `MOST_CONNECTING`."""
MOST_CONNECTING = 1024
"""Connection attempts at a time: dead hosts hold theirs for seconds and must not keep others waiting."""
REQUEST_TIMEOUT_S = 1.0


class ModbusFleet:
    """Polls and orders Modbus devices; implements `drivers.ports.Fleet`.

    Args:
        devices: row and device, each with a Modbus address.
        sink: who learns of it.
        rng: for the jitter of back-offs.
        timeout_s: deadline of one request.
        make_line: what carries the requests to an address.
    """

    def __init__(
        self,
        devices: Sequence[tuple[int, Device]],
        sink: FleetSink,
        rng: random.Random,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
        make_line: MakeLine = line_to,
    ) -> None:
        self._retries: list[tuple[float, int]] = []
        self._connecting = 0
        self._assembly = Assembly(
            sink=sink, rng=rng, timeout_s=timeout_s, went_down=self._went_down, make_line=make_line
        )
        self._shared = self._assembly.shared
        self._grids: dict[float, PollGrid[Place]] = {}
        """By period."""
        self._slow_grid: PollGrid[Place] = PollGrid(SLOW_S, (), TICK_S)
        self._missed = 0
        """Of grids that are no longer there."""
        self._lag_s = 0.0
        self.go_by(devices)

    def go_by(self, devices: Sequence[tuple[int, Device]]) -> None:
        """Poll and order these devices from now on.

        Whoever is what it was before keeps its connection, its times and what was swept, in any row.

        Raises:
            AddressError: one cannot be reached at its address; nothing has changed.
        """
        changes = self._assembly.go_by(devices)
        joining = _by_period(changes.new)
        for period_s in {unit.device.period_s for _, unit in changes.gone} | joining.keys():
            self._lay(period_s, changes.gone, joining.get(period_s, []))
        self._slow_grid = self._laid_slow(changes.gone, changes.new)
        if self._shared.loop is not None:
            now = self._shared.now()
            for index in changes.links:
                heapq.heappush(self._retries, (now, index))

    def _lay(self, period_s: float, gone: Collection[Place], new: Sequence[Place]) -> None:
        grid = self._grids.get(period_s)
        if grid is None:
            self._grids[period_s] = grid = PollGrid(period_s, new, TICK_S)
            grid.start(self._shared.now())
            return
        grid.lay(gone, new)
        if not len(grid):
            self._missed += grid.missed
            del self._grids[period_s]

    def _laid_slow(self, gone: Collection[Place], new: Sequence[Place]) -> PollGrid[Place]:
        slow = [(link, unit) for link, unit in new if unit.slow is not None]
        if len(self._slow_grid):
            self._slow_grid.lay(gone, slow)
            return self._slow_grid
        grid: PollGrid[Place] = PollGrid(SLOW_S, slow, TICK_S)
        grid.start(self._shared.now())
        return grid

    async def run(self) -> None:
        """Poll until cancelled."""
        self._shared.loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as connections:
                await self._tick(self._shared.loop, connections)
        finally:
            for link in self._assembly.links:
                if link is not None:
                    link.close()
            self._shared.loop = None

    def order(self, row: int, watts: float | None) -> None:
        link, unit = self._assembly.places[row]
        if not unit.can_be_ordered:
            raise ValueError(f"{unit.device.id} has no set-point")
        link.order(unit, watts)

    def switch(self, row: int, outlet: int, *, on: bool) -> None:
        link, unit = self._assembly.places[row]
        outlets = unit.device.profile.outlets
        if outlets is None or not 1 <= outlet <= outlets.count:
            raise ValueError(f"{unit.device.id} has no switch for outlet {outlet}")
        link.write(SideWrite(unit, outlets.point(outlet).address, outlet_words(outlets, on=on)))

    def arm(self, row: int, watts: float) -> None:
        link, unit = self._assembly.places[row]
        setpoint = unit.device.profile.setpoint
        if setpoint is None or setpoint.reversion is None:
            raise ValueError(f"{unit.device.id} has no reversion timer")
        assert isinstance(setpoint.command, RegisterCommand)
        for address, words in reversion_words(setpoint, setpoint.command, setpoint.reversion, watts):
            link.write(SideWrite(unit, address, words))

    def counters(self) -> Mapping[str, int]:
        late = self._missed + sum(grid.missed for grid in self._grids.values())
        shared = self._shared
        return {"ok": shared.ok, **shared.tally, "missed": shared.missed + late}

    def decode_into(self, values: npt.NDArray[np.float64]) -> None:
        for matrix in self._assembly.matrices:
            matrix.decode_into(values)

    def poll_lag_s(self) -> float:
        lag_s, self._lag_s = self._lag_s, 0.0
        return lag_s

    async def _tick(self, loop: asyncio.AbstractEventLoop, connections: asyncio.TaskGroup) -> None:
        epoch = loop.time()
        self._retries = [
            (epoch, index) for index, link in enumerate(self._assembly.links) if link is not None
        ]
        for grid in (*self._grids.values(), self._slow_grid):
            grid.start(epoch)
        while True:
            now = loop.time()
            for index in self._shared.late(now):
                if (late := self._assembly.links[index]) is not None:
                    late.expire(now)
            self._reconnect(now, connections)
            for grid in list(self._grids.values()):
                if grid.next_at <= loop.time():
                    await self._poll(grid, loop)
            for slot in self._slow_grid.due(now):
                for link, unit in slot:
                    link.poll_slow(unit)
            wake_at = self._wake_at(loop.time(), epoch)
            await asyncio.sleep(wake_at - loop.time())
            lag_s = loop.time() - wake_at
            self._lag_s = max(self._lag_s, lag_s)
            if lag_s >= TICK_S:
                # What was answered while we were kept from reading it is not late.
                await asyncio.sleep(0)

    async def _poll(self, grid: PollGrid[Place], loop: asyncio.AbstractEventLoop) -> None:
        """Start what is due.

        After a delay that is more than one slot. Between two of them answers are handled: units behind a
        gateway are asked one after the other, and would else have to wait for everyone's each time.
        """
        is_first = True
        for slot in grid.due(loop.time()):
            if not is_first:
                await asyncio.sleep(0)
            is_first, now = False, loop.time()
            for link, unit in slot:
                link.poll(unit, now)

    def _wake_at(self, now: float, epoch: float) -> float:
        """The tick at or after the next thing to do, at least one tick from now."""
        crowded = bool(self._retries) and self._connecting >= MOST_CONNECTING
        due = now + (LONGEST_CONNECTING_S if crowded else LONGEST_IDLE_S)
        due = min(due, self._slow_grid.next_at)
        for grid in self._grids.values():
            due = min(due, grid.next_at)
        if self._retries and not crowded:
            due = min(due, self._retries[0][0])
        due = min(due, self._shared.first_deadline(due))
        ticks = max(math.ceil((due - epoch) / TICK_S - 1e-6), math.floor((now - epoch) / TICK_S + 1e-6) + 1)
        return epoch + ticks * TICK_S

    def _reconnect(self, now: float, connections: asyncio.TaskGroup) -> None:
        while self._retries and self._retries[0][0] <= now and self._connecting < MOST_CONNECTING:
            _, index = heapq.heappop(self._retries)
            link = self._assembly.links[index]
            if link is None:
                continue
            link.state = LinkState.CONNECTING
            self._connecting += 1
            connections.create_task(self._connect(link), name=f"connect {link.name}")

    async def _connect(self, link: Link) -> None:
        try:
            await link.connect()
        finally:
            self._connecting -= 1

    def _went_down(self, index: int) -> None:
        link = self._assembly.links[index]
        assert link is not None
        heapq.heappush(self._retries, (link.retry_at, index))


def _by_period(places: Iterable[Place]) -> dict[float, list[Place]]:
    found: dict[float, list[Place]] = {}
    for link, unit in places:
        found.setdefault(unit.device.period_s, []).append((link, unit))
    return found
