"""Puts the daemon together: the one place that knows every part and which real thing is behind each port."""

import asyncio
import functools
import math
from typing import Any

import structlog

from daemon import __version__
from daemon.authority.machine import KeysTrusted, LeaseTimed, Moment, Policy, Verdict, start, step
from daemon.commands.desk import CommandDesk
from daemon.commands.kept import Kept
from daemon.commands.trust import TrustedKey
from daemon.commands.verifier import Verifier
from daemon.commands.words import Role
from daemon.config import Config, OnStop
from daemon.config.changes import needs_restart
from daemon.cycle.alarms import Alarm
from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.desk_site import DeskSite
from daemon.cycle.flushing import Flusher
from daemon.cycle.keeper import Keeper, kept_value
from daemon.cycle.layout import SiteLayout
from daemon.cycle.limit_keeper import LimitKeeper, load_limit
from daemon.cycle.local_view import LocalView
from daemon.cycle.loop import CycleLoop
from daemon.cycle.measuring import measure
from daemon.cycle.outlet_keeper import OutletKeeper, load_outlets_off
from daemon.cycle.policy import control_policy, upload_offset_s
from daemon.cycle.report import LedgerHead, state_object, telemetry_object
from daemon.cycle.uncontrolled_keeper import UncontrolledKeeper, load_uncontrolled
from daemon.errors import ConfigurationError, StoreError
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
from daemon.signing import PrivateKey, PublicKey
from daemon.site_devices import SiteDevices
from daemon.store import Store
from daemon.uplink import Uplink

STOP_S = 5.0
"""What a stop may take over saying goodbye."""

_PROGRESS = "interval_in_progress"

_log = structlog.get_logger(__name__)


def verifier_of(config: Config) -> Verifier:
    """Who may say what to this site."""
    keys = [
        TrustedKey(PublicKey.from_jwk(key.kid, key.jwk), Role(key.role), key.not_before, key.not_after)
        for key in config.trust_keys
    ]
    return Verifier(config.site.id, keys)


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
        self._limit_keeper = LimitKeeper(store, outside.clock)
        self._uncontrolled_keeper = UncontrolledKeeper(store, config.site.contract_max_w)
        self._outlet_keeper = OutletKeeper(store)
        self._link = outside.link(config, self._will)
        self._devices = SiteDevices(config, outside)
        self._liveness = Liveness(outside.notifier)
        self._receipted: tuple[tuple[int, int], float] | None = None
        """The newest receipted record seen, and since when; monotonic."""
        self.reloader = Reloader(self._read_config, self.reload, self._liveness, outside.clock)
        self._told_state: tuple[Moment, LedgerHead, dict[str, Any]] | None = None
        """Once per cycle and record: many ask."""

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
            points = [config.devices[row].id for row in SiteLayout.of(config).points]
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
            await daemon._assemble(points)
        except BaseException:
            await store.close()
            raise
        return daemon

    async def _assemble(self, points: list[str]) -> None:
        config, clock = self._config, self._outside.clock
        policy, layout = control_policy(config), SiteLayout.of(config)
        kept = await Kept.load(self._store)
        now = Moment(clock.wall(), clock.monotonic())
        verdict = await self._verdict(policy.authority, kept, now)
        verifier = verifier_of(config)
        trusted = KeysTrusted(verifier.keys.dispatchers(kept.quota))
        verdict = step(verdict.authority, trusted, now, policy.authority)
        uncontrolled_w = await load_uncontrolled(self._store)
        controller = Controller(
            layout, policy, self._devices.table, self._devices.fleet, verdict, now, uncontrolled_w
        )
        self._outlet_keeper.resume(controller, await load_outlets_off(self._store))
        builder = IntervalBuilder(
            config.site.interval_s,
            points,
            await self._ledger.baselines(),
            await kept_value(self._store, _PROGRESS),
        )
        self._progress_keeper = Keeper(self._store, _PROGRESS)
        self._recorder = Recorder(self._ledger, builder, self._progress_keeper)
        self._loop = CycleLoop(controller, self._recorder, clock)
        self._samples = SampleRecorder(
            [device.id for device in config.devices],
            config.site.state_dir / "samples.db",
            clock,
            self._outside.connect_samples,
        )
        self._loop.further_alarms += [self._samples.alarms, self._ledger_alarms]
        self._flusher = Flusher(
            [
                self._recorder.flush,
                self._limit_keeper.flush,
                self._uncontrolled_keeper.flush,
                self._samples.write,
                self._ask_for_upload,
            ]
        )
        self._desk_site = DeskSite(self._loop, self._state, self._flusher, self.reloader)
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
            self._link, self._topics, clock, state=self._state, telemetry=self._telemetry
        )
        self._link.on_connected(self._publisher.tell_again)
        self._loop.on_event.append(self._publisher.event)
        self._loop.on_result += [
            self._limit_keeper.take,
            self._uncontrolled_keeper.take,
            functools.partial(self._outlet_keeper.take, controller),
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
            self._loop.further_alarms.append(self._uplink_alarms)
        _log.info(
            "site opened",
            site=config.site.id,
            state=verdict.authority.state.value,
            limit_w=verdict.limit_w,
            source=verdict.source.value,
            devices=len(config.devices),
        )

    async def _verdict(self, policy: Policy, kept: Kept, now: Moment) -> Verdict:
        clock, last = self._outside.clock, await load_limit(self._store)
        return start(
            policy,
            now,
            boot_id=clock.boot_id(),
            boottime_s=clock.boottime(),
            last_limit_w=None if last is None else last.limit_w,
            last_source=None if last is None else last.source,
            quota=kept.quota,
            lease=kept.lease,
            hold=kept.hold,
            operator_limit=kept.set_limit,
            unfinished=None if last is None else last.unfinished,
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
            "limit-keeper": self._limit_keeper.run(),
            "uncontrolled-keeper": self._uncontrolled_keeper.run(),
            "outlet-keeper": self._outlet_keeper.run(),
            "publisher": self._publisher.run(),
            "samples": self._samples.run(),
        }
        if self._uplink is not None:
            parts["uplink"] = self._uplink.run()
        if self._outside.serve_http:
            view = LocalView(self._loop, self._desk, self._ledger, self._state)
            listen = self._config.http_listen
            app = create_app(view, self._metrics.registry)
            parts["http"] = HttpServer(app, listen.host, listen.port).run()
        return parts

    async def _read_config(self) -> Config:
        return await self._outside.read_config(self._config.path)

    def reload(self, config: Config) -> None:
        """Go by another configuration from now on. What has not changed stays connected and misses no poll.

        Raises:
            ConfigurationError: it needs a restart; nothing has changed.
        """
        problems = needs_restart(self._config, config)
        if problems:
            raise ConfigurationError(problems)
        layout, policy, verifier = SiteLayout.of(config), control_policy(config), verifier_of(config)
        controller = self._loop.controller
        heirs = layout.heirs_of(controller.layout)
        self._devices.go_by(config, heirs.rows)
        # Nothing from here on waits or fails.
        self._config = config
        controller.go_by(layout, policy, heirs, self._loop.moment())
        self._samples.go_by([device.id for device in config.devices])
        self._desk.trust(verifier)
        kept = self._desk.kept
        for device, exclusion in kept.exclusions.items():
            self._desk_site.excluded(device, exclusion.reason, exclusion.until)
        self._loop.apply(KeysTrusted(verifier.keys.dispatchers(kept.quota)))
        self._loop.apply(LeaseTimed(kept.lease))
        # Whoever looks from here on sees the new devices, and no figures of the old.
        self._told_state = None
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
                await self._limit_keeper.flush()
                await self._uncontrolled_keeper.flush()
                await self._outlet_keeper.flush()
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

    def _head(self) -> LedgerHead:
        position = self._ledger.position
        return LedgerHead(position.epoch, position.seq, position.acked_seq)

    def _state(self) -> dict[str, Any]:
        controller = self._loop.controller
        last, head = controller.last or self._loop.once(), self._head()
        if self._told_state is None or self._told_state[:2] != (last.moment, head):
            alarms = self._loop.alarms.standing()
            told = state_object(controller, last, head, alarms, self._boot)
            self._told_state = (last.moment, head, told)
        return self._told_state[2]

    def _telemetry(self) -> dict[str, Any]:
        return telemetry_object(self._loop.controller.last or self._loop.once())

    def _ledger_alarms(self) -> dict[str, Alarm]:
        damage = self._ledger.damage
        if damage is None:
            return {}
        text = (
            f"the ledger is damaged and is not extended ({damage}): the limit may not rise; look into it, "
            "then `quotawatt ledger new-epoch --reason …`"
        )
        return {"ledger-damaged": Alarm("ledger-damaged", text)}

    def _uplink_alarms(self) -> dict[str, Alarm]:
        if self._uplink is None:
            return {}
        return {kind.value: Alarm(kind.value, text) for kind, text in self._uplink.alarms.items()}

    def _count_refusal(self, topic: str, reason: str) -> None:
        self._refused[topic, reason] = self._refused.get((topic, reason), 0) + 1

    def _measure(self, result: CycleResult) -> None:
        metrics, head = self._metrics, self._head()
        metrics.messages_refused(self._refused)
        metrics.messages_dropped(self._intake.dropped)
        if isinstance(self._devices.lane, DeviceLane):
            metrics.device_messages_dropped(self._devices.lane.dropped)
        metrics.ledger(head.seq, head.acked_seq)
        measure(metrics, self._loop, self._devices.fleet, result)

    def _notify(self, result: CycleResult) -> None:
        self._liveness.cycled(
            result.moment.monotonic_s, self._status_line(result), dispatched=result.plan is not None
        )

    def _status_line(self, result: CycleResult) -> str:
        """State, limit, power, backlog and the age of the last receipt, for `systemctl status`."""
        verdict, power_w = result.verdict, result.power.watts
        drawn = "power unknown" if power_w is None else f"draws {power_w / 1e6:.3f} MW"
        limit = f"limit {verdict.limit_w / 1e6:.3f} MW ({verdict.source.value})"
        line = f"{verdict.authority.state.value}: {limit}, {drawn}"
        if self._uplink is None:
            return line
        position, now_s = self._ledger.position, result.moment.monotonic_s
        head = (position.epoch, position.acked_seq)
        if self._receipted is None or self._receipted[0] != head:
            # What was receipted before the start is of an age that is not known.
            self._receipted = (head, now_s if self._receipted is not None else -math.inf)
        age_s = now_s - self._receipted[1]
        age = f"{age_s:.0f} s ago" if math.isfinite(age_s) else "none since the start"
        return f"{line}, {position.backlog} records to deliver, last receipt {age}"
