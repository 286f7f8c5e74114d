"""Puts the daemon together: the one place that knows every part and which real thing is behind each port."""

import asyncio
import functools
from typing import Any

import structlog

from daemon import __version__
from daemon.authority.machine import KeysTrusted, LeaseTimed, Moment, step
from daemon.commands.desk import CommandDesk
from daemon.commands.kept import Kept
from daemon.config import Config, OnStop
from daemon.control_memory import ControlMemory
from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.desk_site import DeskSite
from daemon.cycle.flushing import Flusher
from daemon.cycle.keeper import Keeper, kept_value
from daemon.cycle.layout import SiteLayout
from daemon.cycle.local_view import LocalView
from daemon.cycle.loop import CycleLoop
from daemon.cycle.measuring import measure
from daemon.cycle.policy import control_policy, upload_offset_s
from daemon.errors import StoreError
from daemon.http.app import create_app
from daemon.http.metrics import Metrics
from daemon.http.server import HttpServer
from daemon.ledger.intervals import IntervalBuilder
from daemon.ledger.ledger import Ledger
from daemon.ledger.recorder import Recorder
from daemon.mqtt.connection import LastWill
from daemon.mqtt.lane import DeviceLane
from daemon.mqtt.orders import BrokerOutlet, OrderIntake
from daemon.mqtt.publisher import Publisher, last_will
from daemon.mqtt.topics import Topics
from daemon.outside import Outside
from daemon.reloading import Reloader
from daemon.samples import SampleRecorder
from daemon.service import Liveness
from daemon.signing import PrivateKey
from daemon.site_devices import SiteDevices
from daemon.site_draft import SiteDraft, verifier_of
from daemon.site_report import SiteReport, ledger_alarms, uplink_alarms
from daemon.status_line import StatusLine
from daemon.store import Store
from daemon.uplink import Uplink

STOP_S = 5.0
"""What a stop may take over saying goodbye."""

_PROGRESS = "interval_in_progress"

_log = structlog.get_logger(__name__)


class SiteDaemon:
    """A running site. Use `open`, then `run`."""

    def __init__(
        self, config: Config, outside: Outside, key: PrivateKey, store: Store, ledger: Ledger
    ) -> None:
        self._config = config
        self._outside = outside
        self._key = key
        self._store = store
        self._ledger = ledger
        self._topics = Topics(config.site.id)
        self._boot = outside.entropy.uuid()
        self._metrics = Metrics()
        self._refused: dict[tuple[str, str], int] = {}
        self._memory = ControlMemory(store, outside.clock, config.site.contract_max_w)
        self._link = outside.link(config, self._will)
        self._devices = SiteDevices(config, outside)
        self._liveness = Liveness(outside.notifier)
        self._status_line = StatusLine(ledger, settles=config.settlement is not None)
        self.reloader = Reloader(self._draft, self.go_by, self._liveness, outside.clock)

    @classmethod
    async def open(cls, config: Config, outside: Outside) -> "SiteDaemon":
        """Open the store and the ledger, and go on where the last run stopped.

        Raises:
            ConfigurationError: the store belongs to another site or key.
            StoreError: it cannot be read or written.
        """
        key, previous = PrivateKey.load(config.site_key_path), config.previous_key_path
        store = await outside.open_store(config)
        try:
            layout = SiteLayout.of(config)
            points = [config.devices[row].id for row in layout.points]
            ledger = await Ledger.open(
                store,
                site=config.site.id,
                key=key,
                previous_key=None if previous is None else PrivateKey.load(previous),
                fw=f"quotawatt {__version__}",
                clock=outside.clock,
                interval_s=config.site.interval_s,
                points=points,
            )
            daemon = cls(config, outside, key, store, ledger)
            await daemon._assemble(layout, points)
        except BaseException:
            await store.close()
            raise
        return daemon

    async def _assemble(self, layout: SiteLayout, points: list[str]) -> None:
        config, clock = self._config, self._outside.clock
        policy = control_policy(config)
        kept = await Kept.load(self._store)
        now = Moment(clock.wall(), clock.monotonic())
        verdict = await self._memory.verdict(policy.authority, kept, now)
        verifier = verifier_of(config)
        trusted = KeysTrusted(verifier.keys.dispatchers(kept.quota))
        verdict = step(verdict.authority, trusted, now, policy.authority)
        table, fleet = self._devices.table, self._devices.fleet
        controller = Controller(
            layout, policy, table, fleet, verdict, now, await self._memory.uncontrolled_w()
        )
        await self._memory.resume(controller)
        builder = IntervalBuilder(
            config.site.interval_s,
            points,
            await self._ledger.baselines(),
            await kept_value(self._store, _PROGRESS),
        )
        self._progress_keeper = Keeper(self._store, _PROGRESS)
        self._recorder = Recorder(self._ledger, builder, self._progress_keeper)
        self._loop = CycleLoop(controller, self._recorder, clock)
        self._report = SiteReport(self._loop, self._ledger, self._boot)
        self._samples = SampleRecorder(
            [device.id for device in config.devices],
            config.site.state_dir / "samples.db",
            clock,
            self._outside.connect_samples,
        )
        self._loop.further_alarms += [
            self._samples.alarms,
            functools.partial(ledger_alarms, self._ledger),
        ]
        self._flusher = Flusher(
            [
                self._recorder.flush,
                self._memory.flush,
                self._samples.write,
                self._ask_for_upload,
            ]
        )
        self._desk_site = DeskSite(self._loop, self._report.state, self._flusher, self.reloader)
        for device, exclusion in kept.exclusions.items():
            self._desk_site.excluded(device, exclusion.reason, exclusion.until)
        outlet = BrokerOutlet(self._link, self._topics, clock, self._count_refusal)
        self._desk = await CommandDesk.open(
            store=self._store,
            ledger=self._ledger,
            verifier=verifier,
            site=self._desk_site,
            signer=self._key,
            clock=clock,
            outlet=outlet,
        )
        self._intake = OrderIntake(self._link, self._topics, clock, self._desk.claimed_signer)
        self._publisher = Publisher(
            self._link, self._topics, clock, state=self._report.state, telemetry=self._report.telemetry
        )
        self._link.on_connected(self._publisher.tell_again)
        self._loop.on_event.append(self._publisher.event)
        self._loop.on_result += [
            functools.partial(self._memory.take, controller),
            self._samples.take,
            self._notify,
            self._look,
        ]
        if self._outside.serve_http:
            self._loop.on_result.append(self._measure)
        self._uplink = None
        if config.settlement is not None:
            self._uplink = Uplink(
                self._ledger,
                self._outside.http(config),
                config.settlement,
                clock,
                self._outside.entropy,
                offset_s=upload_offset_s(config),
            )
            self._loop.further_alarms.append(functools.partial(uplink_alarms, self._uplink))
        _log.info(
            "site opened",
            site=config.site.id,
            state=verdict.authority.state.value,
            limit_w=verdict.limit_w,
            source=verdict.source.value,
            devices=len(config.devices),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; then say goodbye, keep the set-points, and leave every record on disk.

        Raises:
            ExceptionGroup: a part failed in a way that nobody foresaw; the service manager restarts us.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(part, name=name) for name, part in self._parts().items()]
                await stop.wait()
                self._outside.notifier.stopping("stopping")
                await self._leave()
                for task in running:
                    task.cancel()
        finally:
            await self._close()

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {
            "devices": self._devices.run(),
            "link": self._link.run(),
            "intake": self._intake.run(self._desk),
            "desk": self._tick_desk(),
            "flusher": self._flusher.run(),
            "reloader": self.reloader.run(),
            "cycle": self._loop.run(),
            "recorder": self._recorder.run(),
            "ledger": self._recorder.tend(),
            "progress-keeper": self._progress_keeper.run(),
            **self._memory.parts(),
            "publisher": self._publisher.run(),
            "samples": self._samples.run(),
        }
        if self._uplink is not None:
            parts["uplink"] = self._uplink.run()
        if self._outside.serve_http:
            view = LocalView(
                self._loop, self._desk, self._ledger, self._report.state, lambda: self._config.circuits
            )
            listen = self._config.http_listen
            app = create_app(view, self._metrics.registry)
            parts["http"] = HttpServer(app, listen.host, listen.port).run()
        return parts

    async def _draft(self) -> SiteDraft:
        """What the files say now, while control goes on by what they said."""
        before, layout, read = self._config, self._loop.controller.layout, self._outside.read_config
        return await self._outside.aside(lambda: SiteDraft.of(read(before.path), before, layout))

    def go_by(self, draft: SiteDraft) -> None:
        """Go by another configuration from now on. What has not changed stays connected and misses no poll.

        Raises:
            ConfigurationError: a device cannot be reached at its address; nothing has changed.
        """
        config, heirs, verifier = draft.config, draft.heirs, draft.verifier
        self._devices.go_by(config, draft.listed, heirs.rows)
        # Nothing from here on waits or fails.
        self._config = config
        self._loop.controller.go_by(draft.layout, draft.policy, heirs, self._loop.moment())
        self._samples.go_by([device.id for device in config.devices])
        self._desk.trust(verifier)
        kept = self._desk.kept
        for device, exclusion in kept.exclusions.items():
            self._desk_site.excluded(device, exclusion.reason, exclusion.until)
        self._loop.apply(KeysTrusted(verifier.keys.dispatchers(kept.quota)))
        self._loop.apply(LeaseTimed(kept.lease))
        # Whoever looks from here on sees the new devices, and no figures of the old.
        self._report.forget()
        self._loop.once()

    async def _ask_for_upload(self) -> None:
        self._ledger.changed.set()

    async def _tick_desk(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            try:
                await self._desk.tick()
            except StoreError as error:
                _log.debug("answers wait for the disk", error=str(error))

    async def _leave(self) -> None:
        """The last words and, if so configured, the last orders."""
        if self._config.control.on_stop is OnStop.FAILSAFE:
            self._loop.controller.fall_to_failsafe(self._loop.moment())
        # An interval that ended since the last cycle is finished, not left to be a gap.
        self._loop.once()
        self._publisher.say_goodbye(self._boot)
        try:
            async with asyncio.timeout(STOP_S):
                await self._link.drained()
                if self._devices.lane is not None:
                    await self._devices.lane.drained()
        except TimeoutError:
            _log.warning("the broker did not take the last words in time")

    async def _close(self) -> None:
        try:
            if await self._recorder.flush():
                await self._memory.flush()
                self._recorder.keep_progress()
                await self._progress_keeper.flush()
        finally:
            await self._store.close()
            await self._samples.close()
            _log.info("site closed", site=self._config.site.id)

    def _will(self) -> LastWill:
        return last_will(self._topics, self._outside.clock, self._boot)

    def _look(self, _result: CycleResult) -> None:
        self._publisher.look()

    def _count_refusal(self, topic: str, reason: str) -> None:
        self._refused[topic, reason] = self._refused.get((topic, reason), 0) + 1

    def _measure(self, result: CycleResult) -> None:
        metrics, head = self._metrics, self._report.head
        metrics.messages_refused(self._refused)
        metrics.messages_dropped(self._intake.dropped)
        if isinstance(self._devices.lane, DeviceLane):
            metrics.device_messages_dropped(self._devices.lane.dropped)
        metrics.ledger(head.seq, head.acked_seq)
        measure(metrics, self._loop, self._devices.fleet, result)

    def _notify(self, result: CycleResult) -> None:
        self._liveness.cycled(
            result.moment.monotonic_s, self._status_line.of(result), dispatched=result.plan is not None
        )
