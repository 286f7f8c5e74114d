"""A site without a memory, as the local HTTP interface shows it."""

from collections.abc import Callable, Sequence
from typing import Any

from daemon.config import Circuit
from daemon.cycle.loop import CycleLoop
from daemon.cycle.powers import powers
from daemon.cycle.report import device_objects
from daemon.http.powers import Powers
from daemon.http.view import NO_STORE, CommandOutcome, Health


class StandbyView:
    """Implements `daemon.http.view.SiteView`: what is so now, but no orders, no plans and no ledger."""

    def __init__(
        self,
        loop: CycleLoop,
        state: Callable[[], dict[str, Any]],
        failing: Callable[[], str | None],
        circuits: Sequence[Circuit],
    ) -> None:
        """`failing` says why the store cannot be opened."""
        self._loop = loop
        self._state = state
        self._failing = failing
        self._circuits = circuits

    def state(self) -> dict[str, Any]:
        return self._state()

    def devices(self) -> list[dict[str, Any]]:
        last = self._loop.controller.last
        return [] if last is None else device_objects(self._loop.controller, last)

    def powers(self) -> Powers:
        return powers(self._loop.controller, self._circuits)

    async def plan(self, limit_w: int) -> dict[str, Any] | None:
        del limit_w
        return None

    def ledger(self) -> dict[str, Any]:
        absent = dict.fromkeys(("epoch", "seq", "acked_seq", "backlog"))
        return {**absent, "damage": self._why()}

    def health(self) -> Health:
        return Health(ok=False, reasons=(f"{self._why()}; the site is held at its failsafe limit",))

    async def command(self, body: bytes) -> CommandOutcome:
        """An answer would have to be on the disk first."""
        del body
        return CommandOutcome(NO_STORE, None)

    async def answers(self, jti: str) -> Sequence[str]:
        del jti
        return ()

    def _why(self) -> str:
        return f"the store cannot be opened: {self._failing()}"
