"""The running site as the local HTTP interface shows it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from daemon.commands.desk import CommandDesk
from daemon.commands.verdicts import Refused
from daemon.config import Circuit
from daemon.cycle.foresight import Foresight
from daemon.cycle.loop import CycleLoop
from daemon.cycle.powers import powers
from daemon.cycle.report import device_objects, plan_object
from daemon.errors import StoreError
from daemon.http.powers import Powers
from daemon.http.view import NO_STORE, CommandOutcome, Health
from daemon.ledger.ledger import Ledger

_LATE_S = 5.0
"""A cycle that has not ended for so long is stuck."""


class LocalView:
    """Implements `daemon.http.view.SiteView`."""

    def __init__(
        self,
        loop: CycleLoop,
        desk: CommandDesk,
        ledger: Ledger,
        state: Callable[[], dict[str, Any]],
        circuits: Callable[[], Sequence[Circuit]],
    ) -> None:
        self._loop = loop
        self._desk = desk
        self._ledger = ledger
        self._state = state
        self._circuits = circuits

    def state(self) -> dict[str, Any]:
        return self._state()

    def devices(self) -> list[dict[str, Any]]:
        last = self._loop.controller.last
        return [] if last is None else device_objects(self._loop.controller, last)

    def powers(self) -> Powers:
        return powers(self._loop.controller, self._circuits())

    async def plan(self, limit_w: int) -> dict[str, Any] | None:
        controller = self._loop.controller
        if controller.last is None or controller.last.plan is None:
            return None
        told = plan_object(controller, controller.last, limit_w)
        foresight = Foresight(controller, limit_w)
        for _ in foresight.steps():
            # Of a large site each moment takes a while: the cycle goes first.
            await asyncio.sleep(0)
        return told | foresight.object()

    def ledger(self) -> dict[str, Any]:
        position = self._ledger.position
        return {
            "epoch": position.epoch,
            "seq": position.seq,
            "acked_seq": position.acked_seq,
            "backlog": position.backlog,
            "damage": self._ledger.damage,
        }

    def health(self) -> Health:
        last = self._loop.controller.last
        if last is None:
            return Health(ok=False, reasons=("no control cycle has ended yet",))
        late_s = self._loop.moment().monotonic_s - last.moment.monotonic_s
        if late_s > _LATE_S:
            return Health(ok=False, reasons=(f"the last control cycle ended {late_s:.0f} s ago",))
        return Health(ok=True)

    async def command(self, body: bytes) -> CommandOutcome:
        try:
            taken = await self._desk.receive_command(body)
        except StoreError:
            return CommandOutcome(NO_STORE, None)
        match taken:
            case Refused(reason=reason):
                return CommandOutcome(reason.value, None)
            case [first, *_]:
                return CommandOutcome(first.status.value, first.jws)
            case unreachable:
                raise AssertionError(f"neither refused nor answered: {unreachable}")

    async def answers(self, jti: str) -> Sequence[str]:
        return await self._desk.answers(jti)
