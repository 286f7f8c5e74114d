"""What the loads draw, and who says so. Pure."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from daemon.allocation.loads import Bools
from daemon.table.table import Floats


class PowerOrigin(StrEnum):
    """Where a device's power figure comes from, the best first."""

    PDU = "pdu"
    DEVICE = "device"
    LEARNED = "learned"
    NAMEPLATE = "nameplate"


@dataclass(frozen=True, slots=True)
class LoadPower:
    """What the loads are measured to draw, and hold as set-point."""

    measured_w: Floats
    """(loads,): NaN = not measured now."""
    sampled_s: Floats
    """(loads,): when the requests of these went out, monotonic."""
    by_pdu: Bools
    """(loads,): the PDU's figure counts."""
    setpoint_w: Floats
    """(loads,): fresh read-backs; NaN = none."""

    def origins(self, learned: Bools) -> list[PowerOrigin]:
        """Where each load's figure comes from; `learned`: (loads,), it counts at what was learned of it."""
        measured = np.isfinite(self.measured_w)
        return [
            (PowerOrigin.PDU if pdu else PowerOrigin.DEVICE)
            if seen
            else (PowerOrigin.LEARNED if known else PowerOrigin.NAMEPLATE)
            for seen, pdu, known in zip(measured, self.by_pdu, learned, strict=True)
        ]
