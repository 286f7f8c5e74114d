"""The site that takes the orders: a small plant, the real daemon on a core of its own, mosquitto."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.machine import client_core, server_core, this_machine
from daemon.config.settings import MqttProtocol
from tests.world.brokers import Reachable
from tests.world.mosquitto import mosquitto
from tests.world.real_site import RealSite

CONTROL: Mapping[str, float] = {"lease_timeout_s": 120, "failsafe_ramp_s": 300, "settle_s": 30}
"""As a site has them by default."""
BROKER = "allow_anonymous true\nset_tcp_nodelay true\n"
"""As docs/mosquitto has it, but for TLS and names."""
MACHINE = this_machine()
"""As it is before the processes are given their cores."""
Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the daemon shows of itself at one moment."""

    at_s: float
    """Of a clock that only goes on."""
    samples: Samples
    rss_mb: float
    cpu_s: float
    warnings: int
    """Lines of the log that are one, or worse."""

    def total(self, name: str) -> float:
        """The sum of a metric's samples over all labels."""
        return sum(value for (metric, _), value in self.samples.items() if metric == name)

    def buckets(self, name: str) -> dict[float, float]:
        """A histogram: up to so much, so often."""
        return {
            float(dict(labels)["le"]): value
            for (metric, labels), value in self.samples.items()
            if metric == f"{name}_bucket"
        }


def worst_percent(before: Shown, after: Shown, name: str, percent: float) -> float:
    """The bound below which `percent` % of what a histogram saw between two looks lies."""
    earlier, later = before.buckets(name), after.buckets(name)
    counts = {bound: later[bound] - earlier.get(bound, 0.0) for bound in sorted(later)}
    most = counts[max(counts)]
    return next(bound for bound, count in counts.items() if count >= most * percent / 100)


async def look(site: RealSite) -> Shown:
    """See how the daemon is."""
    text = (await site.get("/metrics")).text
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    process = Path(f"/proc/{site.daemon.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    # After the name in brackets, which may hold spaces: utime and stime are fields 14 and 15.
    ticks = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
    return Shown(
        time.monotonic(),
        samples,
        float(status["VmRSS"].split()[0]) / 1024,
        sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
        sum(line["level"] != "info" for line in site.daemon.lines()),
    )


@contextlib.asynccontextmanager
async def running_site(folder: Path) -> AsyncIterator[RealSite]:
    """The site, with a quota in force and leases for it."""
    own, others = client_core(), server_core()
    os.sched_setaffinity(0, {others})
    async with mosquitto(folder, BROKER) as broker:
        place = Reachable(broker.url, MqttProtocol.V5, broker.url)
        async with RealSite(folder, place, racks=0, control=CONTROL, interval_s=300) as site:
            await site.daemon.start()
            os.sched_setaffinity(site.daemon.pid, {own})
            await site.dispatch.quota((0.0, site.share_w(0.9)))
            site.dispatch.leasing = True
            await site.dispatch.state_like(within_s=60, state="limited", online=True)
            # What the site would do can be asked for once it has been seen whole.
            while (await site.get("/api/v1/plan?limit_w=0")).status_code != 200:  # noqa: ASYNC110  another process
                await asyncio.sleep(0.2)
            yield site
