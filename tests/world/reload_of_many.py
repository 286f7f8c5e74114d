# ruff: noqa: T201  a program whose answer is what it prints
"""`python -m tests.world.reload_of_many`: how long a reload of many devices keeps the loop from its polls.

The plant runs here, the daemon in a child over real sockets. Its configuration loses a hundred devices and
gets them back; what is read off is `/metrics`: by how much polls came late at worst, and which were missed.
"""

import argparse
import asyncio
import gc
import os
import re
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvloop

from daemon.config.settings import MqttProtocol
from daemon.service.garbage import spare_the_search
from sim_devices.configuration import config_toml
from tests.world.brokers import Reachable
from tests.world.mosquitto import mosquitto
from tests.world.real_site import RealSite

COME_AND_GO = 100
REST_S = 15.0
AFTER_S = 6.0
LOOK_S = 0.3
"""More often than cycles are."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the daemon counts, at one time."""

    missed: float
    failed: float
    lag_s: float
    """The worst of each cycle, summed up."""


class ManySite(RealSite):
    """Its configuration may lack the last of its devices."""

    def write(self, *, whole: bool) -> None:
        """The configuration."""
        self.configure()
        if not whole:
            devices = self.plant.devices[:-COME_AND_GO]
            text = self.config.read_text(encoding="utf-8")
            fewer = config_toml(self.plant.circuits, devices)
            self.config.write_text(text.replace(self.plant.config_toml(), fewer), encoding="utf-8")

    async def look(self) -> Look:
        """Read `/metrics`."""
        said = (await self.get("/metrics")).text

        def value(name: str) -> float:
            found = re.search(rf"^{re.escape(name)} (\S+)$", said, re.MULTILINE)
            return float(found[1]) if found else 0.0

        results = set(re.findall(r'^quotawatt_polls_total\{result="(\w+)"\}', said, re.MULTILINE))
        counts = {result: value(f'quotawatt_polls_total{{result="{result}"}}') for result in results}
        return Look(
            missed=counts.get("missed", 0.0),
            failed=sum(count for result, count in counts.items() if result not in {"ok", "missed"}),
            lag_s=value("quotawatt_poll_lag_seconds_sum"),
        )

    async def reloaded(self, number: int) -> float:
        """Have the configuration read anew; the seconds until it is taken, the `number`th time."""
        asked_s = self.now_s()
        os.kill(self.daemon.pid, signal.SIGHUP)
        async with asyncio.timeout(60):
            while self.daemon.log.read_text(encoding="utf-8").count('"configuration reloaded"') < number:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return self.now_s() - asked_s

    async def watched(self, seconds: float) -> tuple[float, float, float]:
        """The worst lateness in a cycle, in seconds, and the polls that were missed and that failed."""
        first = before = await self.look()
        worst_s, end_s = 0.0, self.now_s() + seconds
        while self.now_s() < end_s:
            await asyncio.sleep(LOOK_S)
            now = await self.look()
            # A reload has a cycle of its own: what two cycles saw is not averaged.
            worst_s = max(worst_s, now.lag_s - before.lag_s)
            before = now
        return worst_s, before.missed - first.missed, before.failed - first.failed


async def reloads(folder: Path, devices: int, rounds: int) -> float:
    """Run it; the polls that reloads cost."""
    cost = 0.0
    async with (
        mosquitto(folder) as broker,
        ManySite(
            folder,
            Reachable(broker.url, MqttProtocol.AUTO, broker.url),
            miners=devices,
            racks=0,
            interval_s=60,
        ) as site,
    ):
        site.write(whole=True)
        site.dispatch.leasing = True
        await site.daemon.start()
        await site.dispatch.quota((0, site.share_w(0.8)))
        await site.dispatch.state_like(limit_w=site.share_w(0.8), within_s=120)
        await asyncio.sleep(REST_S)
        # The plant must not be what keeps an answer waiting.
        spare_the_search()
        gc.disable()
        print(f"{'':>10} {'taken after s':>14} {'latest poll ms':>15} {'missed':>7} {'failed':>7}")
        for number in range(rounds):
            site.write(whole=bool(number % 2))
            await asyncio.sleep(3)
            told("at rest", None, await site.watched(AFTER_S))
            async with asyncio.TaskGroup() as tasks:
                taking = tasks.create_task(site.reloaded(number + 1))
                watching = tasks.create_task(site.watched(AFTER_S))
            told(f"reload {number + 1}", taking.result(), watching.result())
            cost += watching.result()[1]
    return cost


def told(name: str, taken_s: float | None, seen: tuple[float, float, float]) -> None:
    """A line of the table."""
    worst_s, missed, failed = seen
    taken = "" if taken_s is None else f"{taken_s:.2f}"
    print(f"{name:>10} {taken:>14} {worst_s * 1e3:15.0f} {missed:7.0f} {failed:7.0f}", flush=True)


def main() -> None:
    """Run, print a table, and fail if a reload cost a poll."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=4)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cost = uvloop.run(reloads(Path(folder), words.devices, words.rounds))
    sys.exit(1 if cost else 0)


if __name__ == "__main__":
    main()
