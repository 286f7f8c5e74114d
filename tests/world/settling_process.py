"""A process that settles a metered site into a file until it is killed: `python -m … FILE START_S`.

Time is simulated, the file and its synchronisation are real. Prints each second that it has lived through.
"""

import asyncio
import sys
from pathlib import Path

from daemon.ledger import IntervalBuilder, Ledger, Recorder, event
from daemon.signing import PrivateKey
from daemon.store import Store
from tests.world.metered_site import MIDNIGHT, MeteredSite

KEY = PrivateKey.from_seed(b"\x09" * 32)
POINTS = ("poi", "feeder")
INTERVAL_S = 5
POWER_W = 900_000.0


class SiteClock:
    """The simulated site's wall clock."""

    def __init__(self, site: MeteredSite) -> None:
        self._site = site

    def wall(self) -> float:
        return self._site.wall_s

    def monotonic(self) -> float:
        return self._site.true_s

    def boottime(self) -> float:
        return self._site.true_s

    def boot_id(self) -> str:
        return "boot"


def site_at(true_s: float) -> MeteredSite:
    """The site at a moment: its register is a function of time, whoever looks."""
    energy_wh = 5_000_000.4 + POWER_W * (true_s - MIDNIGHT) / 3600.0
    return MeteredSite(
        interval_s=INTERVAL_S, points=POINTS, true_s=true_s, energy_wh=energy_wh, power_w=POWER_W
    )


async def open_ledger(store: Store, site: MeteredSite) -> Ledger:
    return await Ledger.open(
        store, site="lhe-01", key=KEY, fw="1", clock=SiteClock(site), interval_s=INTERVAL_S, points=POINTS
    )


async def settle(path: Path, start_s: float) -> None:
    """Settle from `start_s` on, and never end."""
    site = site_at(start_s)
    store = await Store.open(path)
    ledger = await open_ledger(store, site)
    recorder = Recorder(ledger, IntervalBuilder(INTERVAL_S, POINTS, await ledger.baselines()))
    while True:
        recorder.observe(site.observation())
        await recorder.flush()
        await ledger.append([event(site.wall_s, "note", {})])
        sys.stdout.write(f"{site.true_s}\n")
        sys.stdout.flush()
        site.run(1)


if __name__ == "__main__":
    asyncio.run(settle(Path(sys.argv[1]), float(sys.argv[2])))
