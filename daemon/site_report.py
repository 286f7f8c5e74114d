"""What a running site tells of itself."""

from typing import Any

from daemon.authority.machine import Moment
from daemon.cycle.alarms import Alarm
from daemon.cycle.controller import CycleResult
from daemon.cycle.loop import CycleLoop
from daemon.cycle.report import LedgerHead, state_object, telemetry_object
from daemon.ledger.ledger import Ledger
from daemon.uplink import Uplink


class SiteReport:
    """`state` and `telemetry` of this moment; `boot` names the run."""

    def __init__(self, loop: CycleLoop, ledger: Ledger, boot: str) -> None:
        self._loop = loop
        self._ledger = ledger
        self._boot = boot
        self._told: tuple[Moment, LedgerHead, dict[str, Any]] | None = None
        """Once per cycle and record: many ask."""

    @property
    def head(self) -> LedgerHead:
        """How far the ledger is."""
        position = self._ledger.position
        return LedgerHead(position.epoch, position.seq, position.acked_seq)

    def state(self) -> dict[str, Any]:
        """The `state` object."""
        last, head = self._last(), self.head
        if self._told is None or self._told[:2] != (last.moment, head):
            alarms = self._loop.alarms.standing()
            told = state_object(self._loop.controller, last, head, alarms, self._boot)
            self._told = (last.moment, head, told)
        return self._told[2]

    def telemetry(self) -> dict[str, Any]:
        """The `telemetry` object."""
        return telemetry_object(self._last())

    def forget(self) -> None:
        """Other devices, though no time has passed: who looks from here on sees none of the old figures."""
        self._told = None

    def _last(self) -> CycleResult:
        return self._loop.controller.last or self._loop.once()


def ledger_alarms(ledger: Ledger) -> dict[str, Alarm]:
    """What is wrong with the ledger on disk."""
    damage = ledger.damage
    if damage is None:
        return {}
    text = (
        f"the ledger is damaged and is not extended ({damage}): the limit may not rise; look into it, "
        "then `quotawatt ledger new-epoch --reason …`"
    )
    return {"ledger-damaged": Alarm("ledger-damaged", text)}


def uplink_alarms(uplink: Uplink) -> dict[str, Alarm]:
    """What is wrong with the delivery of records."""
    return {kind.value: Alarm(kind.value, text) for kind, text in uplink.alarms.items()}
