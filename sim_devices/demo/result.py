"""What a demo ends with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daemon.timestamps import format_utc
from sim_devices.demo.judge import Energy, Holding, Settlement

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict and what it rests on."""

    holding: Holding
    unshed: tuple[str, ...]
    """Loads that obey and were not asleep at the end of a quota of 0."""
    settlement: Settlement
    energy: Energy | None
    """`None` = no receipted interval."""
    devices: int
    polls: int
    accepted: int
    rejected: int

    @property
    def held(self) -> bool:
        """No clock second above max(limit, floor) outside the windows, and at 0 everything sheddable off."""
        return not self.holding.broken and not self.unshed

    @property
    def passed(self) -> bool:
        """Whether nothing is left to complain of."""
        return not self.problems()

    def problems(self) -> list[str]:
        """What went wrong, a line each."""
        return [*self._holding_problems(), *self._settlement_problems()]

    def as_json(self) -> dict[str, Any]:
        """The one object that `--json` prints."""
        energy = self.energy
        return {
            "held": self.held,
            "seconds_to_comply": dict(self.holding.seconds_to_comply),
            "over_limit_s": len(self.holding.over),
            "devices": self.devices,
            "polls": self.polls,
            "commands": {"accepted": self.accepted, "rejected": self.rejected},
            "intervals": self.settlement.due,
            "receipted": self.settlement.receipted,
            "energy_wh": {
                "plant": None if energy is None else energy.plant_wh,
                "ledger": None if energy is None else energy.ledger_wh,
            },
        }

    def _holding_problems(self) -> list[str]:
        lines = [
            f"{format_utc(second.start_s)}: {second.power_w / 1e3:.1f} kW where "
            f"{second.allowed_w / 1e3:.1f} kW was allowed"
            for second in self.holding.broken[:SHOWN]
        ]
        if len(self.holding.broken) > SHOWN:
            lines.append(f"… and {len(self.holding.broken) - SHOWN} more such seconds")
        if self.unshed:
            lines.append(f"at a quota of 0 {len(self.unshed)} loads were not off: {_some(self.unshed)}")
        return lines

    def _settlement_problems(self) -> list[str]:
        settlement, lines = self.settlement, []
        if settlement.missing:
            starts = [format_utc(start) for start in settlement.missing]
            lines.append(f"{len(starts)} intervals are not at the exchange: {_some(starts)}")
        if settlement.doubled:
            starts = [format_utc(start) for start in settlement.doubled]
            lines.append(f"{len(starts)} intervals are twice at the exchange: {_some(starts)}")
        if not settlement.due or settlement.receipted < settlement.due:
            lines.append(f"{settlement.receipted} of {settlement.due} intervals have a receipt that verifies")
        energy = self.energy
        if energy is None:
            lines.append("no energy was settled")
        elif not energy.agrees:
            lines.append(
                f"the plant's register counted {energy.plant_wh:.0f} Wh, the ledger {energy.ledger_wh} Wh; "
                f"{energy.tolerance_wh:.0f} Wh apart would be explained"
            )
        return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
