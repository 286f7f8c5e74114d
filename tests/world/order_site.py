"""A site that is nothing but its desk, its publisher and its connection to a broker."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from daemon.clock import Entropy, SystemClock
from daemon.commands.desk import CommandDesk
from daemon.config.settings import Mqtt
from daemon.mqtt.connection import MqttConnection
from daemon.mqtt.orders import BrokerOutlet, OrderIntake
from daemon.mqtt.publisher import Publisher, last_will
from daemon.mqtt.topics import Topics, client_id
from daemon.store import Store
from tests.world.desk import PaperLedger, PaperSite
from tests.world.mqtt import QuickUuids, running
from tests.world.orders import SITE, SITE_KEY, VERIFIER


class OrderSite:
    """Takes and answers orders and says how it is; `paper` notes what it was told."""

    def __init__(self, broker: Mqtt, folder: Path, entropy: Entropy | None = None) -> None:
        self.broker, self.folder = broker, folder
        self.paper = PaperSite()
        self.refusals: Counter[tuple[str, str]] = Counter()
        self._entropy = QuickUuids() if entropy is None else entropy

    @asynccontextmanager
    async def running(self) -> AsyncIterator[MqttConnection]:
        """Within the block, connected before it begins; it says goodbye at its end."""
        clock, topics = SystemClock(), Topics(SITE)
        store = await Store.open(self.folder / "site.db")
        link = MqttConnection(
            self.broker,
            client_id=client_id(SITE),
            entropy=self._entropy,
            will=lambda: last_will(topics, clock, "boot"),
        )
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
        publisher = Publisher(
            link, topics, clock, state=self.paper.state_object, telemetry=lambda: {"power_w": 1}
        )
        link.on_connected(publisher.tell_again)
        works = (intake.run(desk), publisher.run(), _ticks(desk), _looks(publisher))
        tasks = [asyncio.create_task(work) for work in works]
        try:
            async with running(link):
                yield link
                publisher.say_goodbye("boot")
                await asyncio.wait_for(link.drained(), 5)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await store.close()


async def _looks(publisher: Publisher) -> None:
    while True:
        publisher.look()
        await asyncio.sleep(0.2)


async def _ticks(desk: CommandDesk) -> None:
    while True:
        await desk.tick()
        await asyncio.sleep(0.1)
