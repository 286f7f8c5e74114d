"""The site as the command desk changes it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from daemon.authority.machine import HoldSet, LeaseAccepted, LeaseSeen, LimitSet, QuotaTaken
from daemon.commands.claims import Arguments, DeviceArgs
from daemon.commands.orders import Hold, Lease, OperatorLimit, Quota
from daemon.commands.words import Op
from daemon.cycle.flushing import Flusher
from daemon.cycle.loop import CycleLoop
from daemon.cycle.report import plan_object
from daemon.cycle.restarting import Restarting
from daemon.reloading import Reloader


class DeskSite:
    """Implements `daemon.commands.site.Site` over the running cycle."""

    def __init__(
        self, loop: CycleLoop, state: Callable[[], dict[str, Any]], flusher: Flusher, reloader: Reloader
    ) -> None:
        self._loop = loop
        self._flusher = flusher
        self._reloader = reloader
        self._restarting = Restarting(loop.controller)
        loop.on_result.append(self._restarting.look)
        self._state = state
        self._controller = loop.controller

    def clock_trusted(self) -> bool:
        return self._controller.authority.clock.trusted

    def present_limit_w(self) -> int:
        return self._controller.verdict.limit_w

    def contract_max_w(self) -> int:
        return self._controller.policy.authority.contract_max_w

    def power_w(self) -> float | None:
        last = self._controller.last
        return last.power.watts if last is not None and last.power.trusted else None

    def knows_device(self, device: str) -> bool:
        return self._controller.layout.row_of(device) is not None

    def objection(self, op: Op, arguments: Arguments) -> str | None:
        if op is Op.RESTART and isinstance(arguments, DeviceArgs):
            return self._restarting.objection(arguments.device)
        if op in {Op.PLAN, Op.PING} and (self._controller.last is None or self._controller.last.plan is None):
            return "the site has not been seen whole yet" if op is Op.PLAN else None
        return None

    def lease_seen(self, iat: int, arrived_s: float) -> None:
        self._loop.apply(LeaseSeen(iat, arrived_s))

    def quota_taken(self, quota: Quota) -> None:
        self._loop.apply(QuotaTaken(quota))

    def lease_counted(self, lease: Lease) -> None:
        self._loop.apply(LeaseAccepted(lease))

    def hold_set(self, hold: Hold | None) -> None:
        self._loop.apply(HoldSet(hold))

    def limit_set(self, limit: OperatorLimit | None) -> None:
        self._loop.apply(LimitSet(limit))

    def excluded(self, device: str, reason: str, until: int | None) -> None:
        del reason
        self._exclude(device, until=np.inf if until is None else float(until))

    def included(self, device: str) -> None:
        self._exclude(device, until=-np.inf)

    def _exclude(self, device: str, *, until: float) -> None:
        index = self._controller.layout.load_of(device)
        if index is not None:
            self._controller.excluded_until[index] = until
            self._loop.again()

    def restart_obstacle(self, device: str) -> str | None:
        return self._restarting.obstacle(device)

    def restart(self, device: str) -> None:
        self._restarting.restart(device)

    def seen_again(self, device: str) -> bool:
        return self._restarting.seen_again(device)

    def flush(self, job: str) -> None:
        self._flusher.ask(job)

    def flushed(self, job: str) -> bool:
        return self._flusher.done(job)

    def reload(self, job: str) -> None:
        self._reloader.ask(job)

    def reloaded(self, job: str) -> Sequence[str] | None:
        return self._reloader.outcome(job)

    def state_object(self) -> Mapping[str, Any]:
        return self._state()

    def plan(self, limit_w: int) -> Mapping[str, Any]:
        result = self._controller.last
        if result is None:
            raise LookupError("the site has not been seen whole yet")
        return plan_object(self._controller, result, limit_w)
