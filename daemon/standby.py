"""A site whose store cannot be opened: held at its failsafe limit, without a memory, until it can."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import structlog

from daemon.authority.machine import Moment, start
from daemon.config import Config
from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.layout import SiteLayout
from daemon.cycle.loop import CycleLoop
from daemon.cycle.measuring import measure
from daemon.cycle.policy import control_policy
from daemon.cycle.report import LedgerHead, state_object, telemetry_object
from daemon.errors import NewerStoreError, StoreError, StoreTakenError
from daemon.http.app import create_app
from daemon.http.metrics import Metrics
from daemon.http.server import HttpServer
from daemon.ledger.observation import CycleObservation
from daemon.mqtt.connection import LastWill
from daemon.mqtt.publisher import Publisher, last_will
from daemon.mqtt.topics import Topics
from daemon.outside import Outside
from daemon.service import Liveness
from daemon.site_devices import SiteDevices
from daemon.standby_view import StandbyView
from daemon.wiring import SiteDaemon

RETRY_S = 10.0
"""Between two attempts to open the store."""

_NO_LEDGER = LedgerHead(0, 0, 0)

_log = structlog.get_logger(__name__)


async def open_or_stand_by(config: Config, outside: Outside, stop: asyncio.Event) -> SiteDaemon | None:
    """The site's daemon as soon as its store can be used; the site is held at its failsafe limit until then.

    Returns:
        the daemon, to be run; `None` if `stop` was set before the store could be opened.

    Raises:
        ConfigurationError: the store belongs to another site or key, or to a newer version.
        StoreTakenError: another daemon works with it.
    """
    try:
        return await SiteDaemon.open(config, outside)
    except (NewerStoreError, StoreTakenError):
        raise
    except StoreError as error:
        standby = Standby(config, outside, str(error))
    _log.error("the store cannot be opened; the site is held at its failsafe limit", error=standby.failing)
    task = asyncio.create_task(standby.run(), name="standby")
    try:
        return await _opened(config, outside, standby, task, stop)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _opened(
    config: Config, outside: Outside, standby: "Standby", task: "asyncio.Task[None]", stop: asyncio.Event
) -> SiteDaemon | None:
    while True:
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({stopped, task}, timeout=RETRY_S, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            task.result()  # it failed in a way that nobody foresaw: the service manager restarts us
        if stop.is_set():
            standby.say_goodbye()
            return None
        try:
            daemon = await SiteDaemon.open(config, outside)
        except (NewerStoreError, StoreTakenError):
            raise
        except StoreError as error:
            standby.failing = str(error)
            continue
        _log.warning("the store could be opened")
        return daemon


class Standby:
    """The control of a site without a memory: it takes no orders, and its limit is the failsafe limit.

    What it draws meanwhile is settled later, as gaps with the difference of the meter's register.
    """

    def __init__(self, config: Config, outside: Outside, failing: str) -> None:
        """Hold `config`'s site; `failing` says why its store cannot be opened."""
        self.failing: str | None = failing
        """Why nothing can be recorded: the limit may not rise."""
        clock = outside.clock
        self._clock, self._topics, self._boot = clock, Topics(config.site.id), outside.entropy.uuid()
        self._link = outside.link(config, self._will)
        self._devices = SiteDevices(config, outside)
        policy, now = control_policy(config), Moment(clock.wall(), clock.monotonic())
        verdict = start(
            policy.authority, now, boot_id=clock.boot_id(), boottime_s=clock.boottime(), last_limit_w=None
        )
        controller = Controller(
            SiteLayout.of(config), policy, self._devices.table, self._devices.fleet, verdict, now, None
        )
        self._loop = CycleLoop(controller, self, clock)
        self._publisher = Publisher(
            self._link, self._topics, clock, state=self._state, telemetry=self._telemetry
        )
        self._liveness = Liveness(outside.notifier)
        self._link.on_connected(self._publisher.tell_again)
        self._loop.on_event.append(self._publisher.event)
        self._loop.on_result += [self._notify, self._look]
        self._metrics, self._http = Metrics(), None
        if outside.serve_http:
            self._loop.on_result.append(self._measure)
            view = StandbyView(self._loop, self._state, lambda: self.failing, config.circuits)
            app, listen = create_app(view, self._metrics.registry), config.http_listen
            self._http = HttpServer(app, listen.host, listen.port)

    def observe(self, seen: CycleObservation) -> None:
        """Nothing is recorded."""

    async def run(self) -> None:
        """Hold the site until cancelled."""
        parts: list[Awaitable[Any]] = [
            self._devices.run(),
            self._link.run(),
            self._loop.run(),
            self._publisher.run(),
        ]
        if self._http is not None:
            parts.append(self._http.run())
        async with asyncio.TaskGroup() as tasks:
            for part in parts:
                tasks.create_task(part)  # type: ignore[arg-type] # ports promise awaitables, which are coroutines

    def say_goodbye(self) -> None:
        """The last word of a clean stop."""
        self._publisher.say_goodbye(self._boot)

    def _will(self) -> LastWill:
        return last_will(self._topics, self._clock, self._boot)

    def _look(self, _result: CycleResult) -> None:
        self._publisher.look()

    def _measure(self, result: CycleResult) -> None:
        measure(self._metrics, self._loop, self._devices.fleet, result)

    def _last(self) -> CycleResult:
        return self._loop.controller.last or self._loop.once()

    def _state(self) -> dict[str, Any]:
        alarms = self._loop.alarms.standing()
        return state_object(self._loop.controller, self._last(), _NO_LEDGER, alarms, self._boot)

    def _telemetry(self) -> dict[str, Any]:
        return telemetry_object(self._last())

    def _notify(self, result: CycleResult) -> None:
        line = (
            f"held at {result.verdict.limit_w / 1e6:.3f} MW, for the store cannot be opened: {self.failing}"
        )
        self._liveness.cycled(result.moment.monotonic_s, line, dispatched=result.plan is not None)
