"""The cycle in time: once a second on the grid, and at once when an order arrives."""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from daemon.authority.machine import Event, Moment, State
from daemon.clock import Clock
from daemon.cycle.alarms import Alarm, AlarmBoard
from daemon.cycle.arithmetic import decision_line
from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.findings import findings
from daemon.cycle.observing import observation
from daemon.ledger.observation import CycleObservation
from daemon.timestamps import format_utc

PERIOD_S = 1.0

_log = structlog.get_logger(__name__)


class Records(Protocol):
    """Where the cycles are recorded."""

    @property
    def failing(self) -> str | None:
        """Why records cannot be written now; `None` = they can."""

    def observe(self, seen: CycleObservation) -> None:
        """Take a cycle; never waits."""


class CycleLoop:
    """Runs the controller, and tells everyone who listens what came of it."""

    def __init__(self, controller: Controller, recorder: Records, clock: Clock) -> None:
        self.controller = controller
        self.alarms = AlarmBoard()
        self.over_limit_s = 0.0
        """Seconds above max(limit, floor) since the start, settling windows included."""
        self.on_result: list[Callable[[CycleResult], None]] = []
        self.on_event: list[Callable[[Mapping[str, Any]], None]] = []
        self.further_alarms: list[Callable[[], Mapping[str, Alarm]]] = []
        self._recorder = recorder
        self._clock = clock
        self._kick = asyncio.Event()
        self._last_s = clock.monotonic()
        self._state = controller.authority.state

    def moment(self) -> Moment:
        """Both clocks, now."""
        return Moment(self._clock.wall(), self._clock.monotonic())

    def apply(self, event: Event) -> None:
        """Take what somebody with authority said, and act on it at once."""
        self.controller.apply(event, self.moment())
        self._kick.set()

    def again(self) -> None:
        """Run a cycle at once."""
        self._kick.set()

    async def run(self) -> None:
        """Cycle until cancelled."""
        while True:
            self.once()
            now_s = self._clock.monotonic()
            next_s = (math.floor(now_s / PERIOD_S) + 1) * PERIOD_S
            deadline_s = self.controller.verdict.next_deadline_s
            if deadline_s is not None and now_s < deadline_s < next_s:
                next_s = deadline_s
            try:
                async with asyncio.timeout(max(next_s - now_s, 0.001)):
                    await self._kick.wait()
            except TimeoutError:
                pass
            self._kick.clear()

    def once(self) -> CycleResult:
        """One cycle."""
        before = self.controller.last
        writable = self._recorder.failing is None
        result = self.controller.cycle(self.moment(), records_writable=writable)
        dt_s = result.moment.monotonic_s - self._last_s
        self._last_s = result.moment.monotonic_s
        allowed_w = max(result.verdict.limit_w, result.lowest_w or 0.0)
        if result.power.watts is not None and result.power.watts > allowed_w:
            self.over_limit_s += dt_s
        self._recorder.observe(observation(self.controller, result))
        if result.orders or before is None or result.verdict.limit_w != before.verdict.limit_w:
            _log.info(decision_line(result), orders=result.orders)
        found = dict(findings(self.controller, result, records_writable=writable))
        for more in self.further_alarms:
            found |= more()
        for event in self.alarms.update(found, result.moment.wall_s):
            self._tell(event)
        self._tell_state(result)
        for listener in self.on_result:
            listener(result)
        return result

    def _tell_state(self, result: CycleResult) -> None:
        state = result.verdict.authority.state
        if state is not self._state:
            causes = sorted(cause.value for cause in result.verdict.authority.causes)
            cause = ",".join(causes) if state is State.FAILSAFE else "authority"
            self._tell(
                {
                    "ts": format_utc(result.moment.wall_s),
                    "type": "state",
                    "from": self._state.value,
                    "to": state.value,
                    "cause": cause,
                }
            )
            self._state = state

    def _tell(self, event: Mapping[str, Any]) -> None:
        log = _log.warning if event["type"] == "alarm" else _log.info
        log("event", **{key: value for key, value in event.items() if key != "ts"})
        for listener in self.on_event:
            listener(event)
