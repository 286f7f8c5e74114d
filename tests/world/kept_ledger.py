"""A state folder with a ledger that the daemon's own parts have written, and an exchange that took it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx2

from daemon.config.settings import ExchangeKey, Settlement
from daemon.ledger import Beginning, EpochReason, Ledger
from daemon.store import Store
from daemon.uplink.client import ExchangeClient
from daemon.uplink.delivery import pack
from sim_devices.exchange import Exchange
from tests.world.hand_clock import HandClock
from tests.world.metered_site import MIDNIGHT, MeteredSite
from tests.world.site_files import GOOD, SITE, write_site

SITE_ID = "lhe-01"
POINTS = ("poi", "hall-1")


class _Numbers:
    """Randomness that counts."""

    def __init__(self) -> None:
        self._numbers: Iterator[int] = count(1)

    def uuid(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._numbers):012}"

    def uniform(self, low: float, _high: float) -> float:
        return low


@dataclass
class KeptLedger:
    """Time goes on by `run` and `down`; `deliver` has all that can be sent receipted."""

    folder: Path
    exchange: Exchange
    clock: HandClock = field(default_factory=lambda: HandClock(MIDNIGHT + 82_800.0))
    metered: MeteredSite = field(
        default_factory=lambda: MeteredSite(points=POINTS, true_s=float(MIDNIGHT + 82_800))
    )
    stored: int = 0
    """Bodies that are in the ledger."""

    def __post_init__(self) -> None:
        """Write the configuration; the exchange knows the site's key."""
        text = GOOD.replace('url = "https://exchange.example/"', f'url = "{self.exchange.url}"')
        self.config = write_site(self.folder, text)
        self.exchange.register_site(SITE_ID, SITE.public_jwk(), SITE.kid)
        self.database.parent.mkdir(exist_ok=True)

    @property
    def database(self) -> Path:
        return self.folder / "state" / "site.db"

    async def open(self, interval_s: int = 300) -> tuple[Store, Ledger]:
        """The ledger as a start of the daemon has it; the store is the caller's to close."""
        store = await Store.open(self.database)
        ledger = await Ledger.open(
            store,
            site=SITE_ID,
            key=SITE,
            fw="quotawatt test",
            clock=self.clock,
            interval_s=interval_s,
            points=POINTS,
        )
        if self.metered.interval_s != interval_s:
            self.metered.interval_s = interval_s
            self.metered.kill()
        return store, ledger

    async def run(self, ledger: Ledger, seconds: float) -> None:
        self.metered.run(seconds, cycle_s=30)
        self.clock.wall_s = self.metered.wall_s
        fresh, self.stored = self.metered.bodies[self.stored :], len(self.metered.bodies)
        await ledger.append(fresh, baselines=list(self.metered.saved.values()))

    async def deliver(self, ledger: Ledger) -> None:
        keys = (ExchangeKey(self.exchange.kid, self.exchange.public_jwk),)
        settings = Settlement(self.exchange.url, keys, None, None, None, "exchange")
        async with httpx2.AsyncClient(transport=self.exchange.transport()) as http:
            client = ExchangeClient(http, settings, SITE_ID, lambda: SITE, self.clock, _Numbers())
            for state in ledger.epochs:
                delivery = pack(
                    await ledger.records(
                        state.epoch, state.acked_seq + 1, max(0, state.sendable_seq - state.acked_seq)
                    )
                )
                if delivery is not None:
                    answer = await client.put(delivery)
                    assert answer.status == 201, answer.body
                    await ledger.store_receipt(delivery.epoch, delivery.last, answer.body.decode())

    async def eventful_days(self) -> None:
        """Two midnights, an outage, a changed meter, a stepped clock, a fork and another interval."""
        store, ledger = await self.open()
        await self.run(ledger, 5_000)
        self.metered.down(3_000)
        await self.run(ledger, 2_000)
        self.metered.swap_meter("SN-2", 17)
        await self.run(ledger, 3_000)
        await self.deliver(ledger)
        self.metered.step_clock(900)
        await self.run(ledger, 60_000)
        self.metered.meter_answers = False
        await self.run(ledger, 2_000)
        self.metered.meter_answers = True
        await self.run(ledger, 20_000)
        await ledger.open_epoch(Beginning(EpochReason.FORK, supersede=True))
        await self.run(ledger, 2_000)
        await self.deliver(ledger)
        await store.close()
        store, ledger = await self.open(interval_s=900)
        await self.run(ledger, 5_000)
        await self.deliver(ledger)
        await self.run(ledger, 2_000)
        await store.close()
