# ruff: noqa: T201  a program whose answer is what it prints
"""`python -m tests.world.soak`: 1,000 devices for half an hour; memory and open files must stay flat.

The plant, a dispatcher that leases and moves the quota, and the exchange run here, the daemon in a child over
real sockets. What is judged is the daemon.
"""

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from daemon.config.settings import MqttProtocol
from tests.world.brokers import Reachable
from tests.world.mosquitto import mosquitto
from tests.world.real_site import RealSite

RACKS = 20
QUOTAS = (0.9, 0.6, 0.75)
"""As shares of the full power; the next one every minute."""
SAMPLE_S = 5.0
WARM_UP = 0.25
"""Of the time: buffers and caches fill."""
RSS_MAY_GROW = 0.02
"""Within what is judged, of the median of its first third to that of its last."""
FILES_MAY_GROW = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """How the daemon was at one time."""

    at_s: float
    rss_mib: float
    files: int
    cpu_s: float


def sample(pid: int, at_s: float) -> Sample:
    """Look at a process."""
    process = Path(f"/proc/{pid}")
    status = (process / "status").read_text(encoding="ascii")
    (rss_kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    times = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return Sample(
        at_s,
        int(rss_kib) / 1024,
        len(list((process / "fd").iterdir())),
        (int(times[11]) + int(times[12])) / 100,
    )


def verdict(samples: list[Sample]) -> list[str]:
    """What is not flat; nothing = all is."""
    judged = samples[int(len(samples) * WARM_UP) :]
    third = len(judged) // 3
    first, last = judged[:third], judged[-third:]
    rss_before, rss_after = (median(each.rss_mib for each in part) for part in (first, last))
    files_before, files_after = (median(each.files for each in part) for part in (first, last))
    found = []
    if rss_after > rss_before * (1 + RSS_MAY_GROW):
        found.append(f"memory grew from {rss_before:.1f} to {rss_after:.1f} MiB")
    if files_after > files_before + FILES_MAY_GROW:
        found.append(f"open files grew from {files_before:.0f} to {files_after:.0f}")
    return found


async def soak(folder: Path, devices: int, minutes: float) -> list[Sample]:
    """Run it; a sample every five seconds."""
    samples: list[Sample] = []
    async with (
        mosquitto(folder) as broker,
        RealSite(
            folder,
            Reachable(broker.url, MqttProtocol.AUTO, broker.url),
            miners=devices - RACKS,
            racks=RACKS,
            interval_s=60,
        ) as site,
    ):
        site.dispatch.leasing = True
        await site.dispatch.quota((0, site.share_w(QUOTAS[0])))
        await site.daemon.start()
        await site.dispatch.state_like(limit_w=site.share_w(QUOTAS[0]), within_s=60)
        print(f"{'minute':>6} {'RSS MiB':>8} {'files':>6} {'CPU s':>7}")
        begun_s, minute = asyncio.get_running_loop().time(), 0
        while (at_s := asyncio.get_running_loop().time() - begun_s) < minutes * 60:
            samples.append(now := sample(site.daemon.pid, at_s))
            if at_s >= minute * 60:
                print(f"{minute:6} {now.rss_mib:8.1f} {now.files:6} {now.cpu_s:7.1f}", flush=True)
                minute += 1
                await site.dispatch.quota((0, site.share_w(QUOTAS[minute % len(QUOTAS)])))
            await asyncio.sleep(SAMPLE_S)
        assert site.daemon.running, "the daemon ended"
        assert site.daemon.strays() == [], site.daemon.strays()
    return samples


def main() -> None:
    """Run, print a table, and fail if something grew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--devices", type=int, default=1_000)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples = asyncio.run(soak(Path(folder), words.devices, words.minutes))
    found = verdict(samples)
    last = samples[-1]
    print(
        f"{words.devices} devices, {last.at_s / 60:.1f} min: {last.rss_mib:.1f} MiB, {last.files} open files"
    )
    print("; ".join(found) or "flat")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
