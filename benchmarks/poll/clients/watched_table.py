"""A site table that sees when the last of many orders is acknowledged."""

import asyncio
from dataclasses import dataclass
from statistics import median

from daemon.table import SiteTable
from drivers.ports import Fleet, WriteResult

ORDERED_W = 2000.0
BETWEEN_S = 0.5


@dataclass(slots=True)
class Orders:
    """How far a batch of orders is."""

    waiting: int
    acknowledged: int
    done: asyncio.Future[float]
    """Set to the time when none waits any more."""


class WatchedTable(SiteTable):
    """The site table of a fleet that is ordered about."""

    orders: Orders | None = None

    def written(self, row: int, watts: float | None, result: WriteResult, started: float) -> None:
        super().written(row, watts, result, started)
        if self.orders is not None:
            self.orders.waiting -= 1
            self.orders.acknowledged += result is WriteResult.ACKNOWLEDGED
            if self.orders.waiting == 0:
                self.orders.done.set_result(asyncio.get_running_loop().time())

    async def order_all(self, fleet: Fleet, devices: int, repeat: int) -> float:
        """Order every device about, several times; the middle of the times until all have acknowledged, s.

        Raises:
            RuntimeError: a device did not acknowledge.
        """
        loop = asyncio.get_running_loop()
        times = []
        for number in range(repeat):
            await asyncio.sleep(BETWEEN_S)
            self.orders = Orders(devices, 0, loop.create_future())
            begun = loop.time()
            for row in range(devices):
                fleet.order(row, ORDERED_W + number)
            times.append(await self.orders.done - begun)
            if self.orders.acknowledged < devices:
                raise RuntimeError(f"{devices - self.orders.acknowledged} orders were not acknowledged")
        return median(times)
