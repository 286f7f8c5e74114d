"""All Modbus devices of a site: one tick starts due polls, reconnects, and looks after deadlines."""

import asyncio
import heapq
import math
import random
from collections.abc import Mapping, Sequence

from drivers.address import ModbusTcpAddress
from drivers.device import Device
from drivers.grid import PollGrid
from drivers.modbus.link import Link, LinkState
from drivers.modbus.unit import PolledUnit
from drivers.ports import Absence, FleetSink

TICK_S = 0.02
"""Each wake-up of an idle loop costs more than a poll: due work is done together."""
LONGEST_PAUSE_S = 0.1
"""While requests are under way their deadlines are seen this late at most."""
LONGEST_IDLE_S = 0.5
"""With nothing under way; the deadline of an order that goes out meanwhile is seen this late at most."""
MOST_CONNECTING = 1024
"""Connection attempts at a time: dead hosts hold theirs for seconds and must not keep others waiting."""
REQUEST_TIMEOUT_S = 1.0


class ModbusFleet:
    """Polls and orders Modbus TCP devices; implements `drivers.ports.Fleet`.

    Args:
        devices: row and device, each with a `ModbusTcpAddress`.
        sink: who learns of it.
        rng: for the jitter of back-offs.
        timeout_s: deadline of one request.
    """

    def __init__(
        self,
        devices: Sequence[tuple[int, Device]],
        sink: FleetSink,
        rng: random.Random,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._tally: dict[str, int] = dict.fromkeys(("ok", *Absence, "missed"), 0)
        self._busy: dict[Link, None] = {}
        self._retries: list[tuple[float, int]] = []
        self._connecting = 0
        self._links: list[Link] = []
        self._places: dict[int, tuple[Link, PolledUnit]] = {}
        self._index: dict[Link, int] = {}
        by_end: dict[tuple[str, int], Link] = {}
        for row, device in devices:
            address = device.address
            assert isinstance(address, ModbusTcpAddress)
            end = (address.host, address.port)
            if end not in by_end:
                by_end[end] = Link(
                    *end,
                    sink=sink,
                    tally=self._tally,
                    busy=self._busy,
                    rng=rng,
                    timeout_s=timeout_s,
                    went_down=self._went_down,
                )
            unit = PolledUnit(row, device, address.unit)
            by_end[end].units.append(unit)
            self._places[row] = (by_end[end], unit)
        self._links = list(by_end.values())
        self._index = {link: index for index, link in enumerate(self._links)}
        self._grids = self._lay_grids()

    def _lay_grids(self) -> list[PollGrid[tuple[Link, PolledUnit]]]:
        by_period: dict[float, list[tuple[Link, PolledUnit]]] = {}
        for link, unit in self._places.values():
            by_period.setdefault(unit.device.period_s, []).append((link, unit))
        return [PollGrid(period_s, places, TICK_S) for period_s, places in by_period.items()]

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            async with asyncio.TaskGroup() as connections:
                await self._tick(connections)
        finally:
            for link in self._links:
                link.close()

    def order(self, row: int, watts: float | None) -> None:
        link, unit = self._places[row]
        if not unit.can_be_ordered:
            raise ValueError(f"{unit.device.id} has no set-point")
        link.order(unit, watts)

    def counters(self) -> Mapping[str, int]:
        """Sweeps so far by result; `missed` = skipped because the one before was not done."""
        late = sum(grid.missed for grid in self._grids)
        return {**self._tally, "missed": self._tally["missed"] + late}

    async def _tick(self, connections: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        epoch = loop.time()
        self._retries = [(epoch, index) for index in range(len(self._links))]
        for grid in self._grids:
            grid.start(epoch)
        while True:
            now = loop.time()
            self._expire(now)
            self._reconnect(now, connections)
            for grid in self._grids:
                for link, unit in grid.due(now):
                    link.poll(unit, now)
            now = loop.time()
            await asyncio.sleep(self._wake_at(now, epoch) - now)

    def _wake_at(self, now: float, epoch: float) -> float:
        """The tick at or after the next thing to do, at least one tick from now."""
        due = now + (LONGEST_PAUSE_S if self._busy or self._connecting else LONGEST_IDLE_S)
        for grid in self._grids:
            due = min(due, grid.next_at)
        if self._retries and self._connecting < MOST_CONNECTING:
            due = min(due, self._retries[0][0])
        ticks = max(math.ceil((due - epoch) / TICK_S - 1e-6), math.floor((now - epoch) / TICK_S + 1e-6) + 1)
        return epoch + ticks * TICK_S

    def _expire(self, now: float) -> None:
        for link in [link for link in self._busy if link.deadline <= now]:
            link.expire(now)

    def _reconnect(self, now: float, connections: asyncio.TaskGroup) -> None:
        while self._retries and self._retries[0][0] <= now and self._connecting < MOST_CONNECTING:
            _, index = heapq.heappop(self._retries)
            link = self._links[index]
            link.state = LinkState.CONNECTING
            self._connecting += 1
            task = connections.create_task(link.connect(), name=f"connect {link.host}:{link.port}")
            task.add_done_callback(self._connect_ended)

    def _connect_ended(self, task: asyncio.Task[None]) -> None:
        del task
        self._connecting -= 1

    def _went_down(self, link: Link) -> None:
        heapq.heappush(self._retries, (link.retry_at, self._index[link]))
