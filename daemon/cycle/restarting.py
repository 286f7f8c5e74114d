"""Devices that an operator has restarted: whether they have gone, and come back."""

import math

from daemon.cycle.controller import Controller
from daemon.cycle.result import CycleResult
from daemon.table.snapshot import DeviceStatus

_GONE = 0.5
"""A load that draws less than this share of what it drew is not at work."""


class Restarting:
    """Looks at every cycle for those that are being restarted."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._load = {int(row): index for index, row in enumerate(controller.layout.loads.rows)}
        self._before_w: dict[int, float] = {}
        """By row: what it drew when it was told to restart, NaN = not known. Only while it is awaited."""
        self._gone: set[int] = set()
        self._back: set[int] = set()

    def obstacle(self, device: str) -> str | None:
        """Why a device can never be restarted from here; `None` = it can."""
        row = self._controller.layout.row_of(device)
        if row is None:
            return "there is no such device"
        profile = self._controller.layout.devices[row].profile
        if row not in self._load or profile.setpoint is None or not profile.setpoint.restarts_on_write:
            return f"a {profile.name} cannot be restarted from here: its profile has no order that does it"
        return None

    def objection(self, device: str) -> str | None:
        """Why it would be unsafe now; `None` = it would not."""
        row = self._controller.layout.row_of(device)
        load = None if row is None else self._load.get(row)
        if load is None:
            return None
        if self._controller.excluded[load]:
            return "it is excluded, and not written to"
        if self._controller.memory.level[load] < 1:
            return "it is asleep, or not seen yet: a restart would wake it"
        return None

    def restart(self, device: str) -> None:
        """Restart it, and watch it from now on."""
        row = self._controller.layout.row_of(device)
        last = self._controller.last
        if row is None or last is None:
            return
        load = self._load[row]
        self._gone.discard(row)
        self._back.discard(row)
        self._before_w[row] = float(last.loads_power.measured_w[load])
        self._controller.dispatcher.restart(load, self._controller.memory, last.moment.monotonic_s)

    def look(self, result: CycleResult) -> None:
        """A cycle has ended."""
        for row, before_w in self._before_w.items():
            watts = float(result.loads_power.measured_w[self._load[row]])
            answers = result.snapshot.status(row) is DeviceStatus.OK
            known = math.isfinite(watts) and math.isfinite(before_w)
            at_work = answers and (watts >= before_w * _GONE if known else True)
            if not at_work:
                self._gone.add(row)
            elif row in self._gone:
                self._back.add(row)
        for row in self._back:
            self._before_w.pop(row, None)

    def seen_again(self, device: str) -> bool:
        """Whether it has gone and come back since `restart`."""
        return self._controller.layout.row_of(device) in self._back
