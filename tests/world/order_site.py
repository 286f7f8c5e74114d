"""A site that is nothing but its desk and its connection to a broker."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from daemon.clock import SystemClock
from daemon.commands.desk import CommandDesk
from daemon.config.settings import Mqtt
from daemon.mqtt.connection import MqttConnection
from daemon.mqtt.orders import BrokerOutlet, OrderIntake
from daemon.mqtt.topics import Topics, client_id
from daemon.store import Store
from tests.world.desk import PaperLedger, PaperSite
from tests.world.mqtt import QuickUuids, running
from tests.world.orders import SITE, SITE_KEY, VERIFIER


class OrderSite:
    """Takes and answers orders; `paper` notes what it was told."""

    def __init__(self, broker: Mqtt, folder: Path) -> None:
        self._broker, self._folder = broker, folder
        self.paper = PaperSite()
        self.refusals: Counter[tuple[str, str]] = Counter()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[MqttConnection]:
        clock, topics = SystemClock(), Topics(SITE)
        store = await Store.open(self._folder / "site.db")
        link = MqttConnection(self._broker, client_id=client_id(SITE), entropy=QuickUuids())
        intake = OrderIntake(link, topics, clock, VERIFIER.keys.claimed_signer)
        desk = await CommandDesk.open(
            store=store,
            ledger=PaperLedger(),
            verifier=VERIFIER,
            site=self.paper,
            signer=SITE_KEY,
            clock=clock,
            outlet=BrokerOutlet(link, topics, clock, lambda *refusal: self.refusals.update([refusal])),
        )
        task = asyncio.create_task(intake.run(desk))
        try:
            async with running(link):
                yield link
                await asyncio.wait_for(link.drained(), 5)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await store.close()
