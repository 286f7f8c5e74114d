"""Everything that a demo consists of, put together and taken down again."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from daemon.clock import Clock, SystemClock, SystemEntropy
from daemon.commands.sender import Sender
from daemon.config.settings import Mqtt, MqttProtocol
from daemon.mqtt.connection import MqttConnection
from daemon.mqtt.topics import Topics
from daemon.signing import PrivateKey
from sim_devices.broker import EmbeddedBroker
from sim_devices.demo.chronicle import Chronicle
from sim_devices.demo.daemon_process import DaemonProcess
from sim_devices.demo.dispatcher import Dispatcher
from sim_devices.demo.documents import Documents
from sim_devices.demo.errors import DemoError
from sim_devices.demo.judge import Sample, Settled, judge_energy, judge_holding, judge_settlement
from sim_devices.demo.result import Result
from sim_devices.demo.settlement import settled
from sim_devices.demo.shadow import Shadow
from sim_devices.demo.site_files import DISPATCHER_KID, SITE_ID, Neighbours, SiteFiles
from sim_devices.demo.terms import Terms
from sim_devices.exchange import Exchange
from sim_devices.plant import Plant

HTTP_HOST = "127.0.0.1"
STEP_S = 0.1
MINERS_PER_RACK = 40
METRICS_S = 5.0


@dataclass(slots=True)
class Stage:
    """A plant, an exchange, a dispatcher and a daemon that know each other."""

    terms: Terms
    files: SiteFiles
    plant: Plant
    exchange: Exchange
    dispatcher: Dispatcher
    daemon: DaemonProcess
    documents: Documents
    chronicle: Chronicle
    http_url: str
    full_w: float
    """The plant's true power at full load."""
    clock: Clock
    shadows: list[Shadow] = field(default_factory=list)
    unshed: tuple[str, ...] = ()
    stopped_s: float = 0.0
    devices: int = 0
    polls: int = 0

    def wall(self) -> float:
        """Unix seconds."""
        return self.clock.wall()

    def note(self, text: str) -> None:
        """Something worth a line on the screen."""
        self.chronicle.note(text)

    def end_shadows(self) -> None:
        """Another limit counts from now on."""
        for shadow in self.shadows:
            shadow.until_s = min(shadow.until_s, self.wall())

    def note_unshed(self) -> None:
        """Look which loads that obey are not asleep now."""
        self.unshed = tuple(
            load.id
            for load in self.plant.truth.loads.values()
            if load.powered and not load.disobeys and not load.asleep
        )

    def records(self) -> list[Settled]:
        """What the exchange's book holds of the site meter, receipts verified."""
        begun_s = self.plant.history[0].wall_s if self.plant.history else self.wall()
        return settled(
            self.exchange.book, SITE_ID, self.exchange.kid, self.exchange.public_jwk, begun_s, self.wall()
        )

    def unsettled(self) -> int:
        """Intervals that have ended and have no receipt."""
        online_s = self.dispatcher.online_since() or self.wall()
        judged = judge_settlement(
            self.records(), online_s=online_s, stopped_s=self.wall(), interval_s=self.terms.interval_s
        )
        return judged.due - judged.receipted

    async def stop(self) -> None:
        """Read the daemon's counters and end it.

        Raises:
            DemoError: it does not answer, or does not end as it should.
        """
        self.devices, self.polls = await _counters(self.http_url)
        self.stopped_s = self.wall()
        code = await self.daemon.stop()
        if code != 0:
            how = "had to be killed" if code is None else f"ended with {code}"
            raise DemoError(f"told to stop, the daemon {how}; {self.daemon.tail()}")
        self.note("the daemon has stopped")

    def result(self) -> Result:
        """The verdict, once the daemon has stopped."""
        samples, records = self._samples(), self.records()
        return Result(
            holding=judge_holding(samples, self.documents.limit_w, self.chronicle.steps, self.terms.settle_s),
            unshed=self.unshed,
            settlement=judge_settlement(
                records,
                online_s=self.dispatcher.online_since() or self.stopped_s,
                stopped_s=self.stopped_s,
                interval_s=self.terms.interval_s,
            ),
            energy=judge_energy(samples, records),
            devices=self.devices,
            polls=self.polls,
            accepted=self.dispatcher.accepted,
            rejected=self.dispatcher.rejected,
        )

    def _samples(self) -> list[Sample]:
        """The plant's history, with the floor of what could have been done about it."""
        history = [moment for moment in self.plant.history if moment.wall_s <= self.stopped_s]
        # Shadows count from the beginning of the history, so it is not cut there.
        courses = [shadow.floor_w(history, STEP_S) for shadow in self.shadows]
        return [
            Sample(
                moment.wall_s,
                moment.true_power_w,
                max([moment.floor_w, *(course[index] for course in courses)]),
                moment.register_wh,
            )
            for index, moment in enumerate(history)
        ]


@contextlib.asynccontextmanager
async def open_stage(folder: Path, *, miners: int, seed: int) -> AsyncIterator[Stage]:
    """Put a demo together; leaving ends all of it, the daemon first.

    Raises:
        DemoError: the folder cannot be used.
        OSError: an address cannot be had.
    """
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        files = SiteFiles(folder)
        files.open()
        stack.callback(files.close)
        broker = await stack.enter_async_context(EmbeddedBroker())
        racks = max(1, round(miners / MINERS_PER_RACK))
        plant = await stack.enter_async_context(
            Plant(miners, racks, seed=seed, mqtt_url=broker.url_v311, step_s=STEP_S, clock=clock)
        )
        exchange = await stack.enter_async_context(Exchange(clock=clock.wall))
        full_w = plant.truth.true_power_w
        terms = Terms.of_plant(full_w)
        listen = _http_listen()
        site_key, dispatcher_key = files.write_key(), PrivateKey.generate(DISPATCHER_KID)
        exchange.register_site(SITE_ID, site_key.public_jwk(), site_key.kid)
        neighbours = Neighbours(
            mqtt_url=broker.url_v5,
            exchange_url=exchange.url,
            exchange_kid=exchange.kid,
            exchange_jwk=exchange.public_jwk,
            http_listen=listen,
            dispatcher_jwk=dispatcher_key.public_jwk(),
        )
        files.write_config(terms, neighbours, plant.config_toml())
        documents, chronicle = Documents(terms), Chronicle(clock)
        dispatcher = Dispatcher(
            connection=_connection(broker.url_v5),
            sender=Sender(dispatcher_key, SITE_ID, clock, SystemEntropy()),
            site_key=site_key.public(),
            topics=Topics(SITE_ID),
            documents=documents,
            clock=clock,
            note=chronicle.note,
        )
        daemon = DaemonProcess(files.config, files.log)
        stack.push_async_callback(daemon.close)
        yield Stage(
            terms=terms,
            files=files,
            plant=plant,
            exchange=exchange,
            dispatcher=dispatcher,
            daemon=daemon,
            documents=documents,
            chronicle=chronicle,
            http_url=f"http://{listen}",
            full_w=full_w,
            clock=clock,
        )


def _connection(url: str) -> MqttConnection:
    parts = urlsplit(url)
    settings = Mqtt(
        host=parts.hostname or "",
        port=parts.port or 0,
        tls=False,
        username=None,
        password=None,
        ca=None,
        cert=None,
        key=None,
        protocol=MqttProtocol.V5,
    )
    return MqttConnection(settings, client_id=None, entropy=SystemEntropy())


def _http_listen() -> str:
    """Where the daemon's local interface will listen.

    Never its usual port: another daemon or demo may be about to take that.
    """
    with socket.socket() as probe:
        probe.bind((HTTP_HOST, 0))
        return f"{HTTP_HOST}:{probe.getsockname()[1]}"


async def _counters(url: str) -> tuple[int, int]:
    """Devices and polls, as the daemon counts them."""
    try:
        async with httpx2.AsyncClient(base_url=url, timeout=METRICS_S, trust_env=False) as client:
            response = await client.get("/metrics")
            response.raise_for_status()
    except httpx2.HTTPError as error:
        raise DemoError(f"the daemon's {url}/metrics does not answer: {error}") from error
    samples = [
        sample for family in text_string_to_metric_families(response.text) for sample in family.samples
    ]
    devices = sum(
        sample.value
        for sample in samples
        if sample.name == "quotawatt_devices" and sample.labels["status"] != "curtailed"
    )
    polls = sum(sample.value for sample in samples if sample.name == "quotawatt_polls_total")
    return int(devices), int(polls)


async def perform(stage: Stage, part: Coroutine[Any, Any, None]) -> None:
    """Run a part of the demo while dispatcher and daemon live.

    Raises:
        DemoError: the daemon died, or the part failed.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(stage.dispatcher.run(), name="demo dispatcher"),
                tasks.create_task(stage.daemon.guard(), name="demo daemon guard"),
            ]
            await part
            for task in beside:
                task.cancel()
    except BaseExceptionGroup as group:
        # Not `except*`: what is raised in there is wrapped in a group again.
        error = _first(group)
        if isinstance(error, DemoError):
            raise error from None
        raise


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first single error of a group, the demo's own before others."""
    own, others = group.split(DemoError)
    error: BaseException = own or others or group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
