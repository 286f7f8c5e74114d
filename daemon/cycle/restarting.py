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
        self._before_w: dict[str, float] = {}
        """By device: what it drew when it was told to restart, NaN = not known. Only while it is awaited."""
        self._gone: set[str] = set()
        self._back: set[str] = set()

    def obstacle(self, device: str) -> str | None:
        """Why a device can never be restarted from here; `None` = it can."""
        row = self._controller.layout.row_of(device)
        if row is None:
            return "there is no such device"
        profile = self._controller.layout.devices[row].profile
        if (
            self._controller.layout.load_of(device) is None
            or profile.setpoint is None
            or not profile.setpoint.restarts_on_write
        ):
            return f"a {profile.name} cannot be restarted from here: its profile has no order that does it"
        return None

    def objection(self, device: str) -> str | None:
        """Why it would be unsafe now; `None` = it would not."""
        load = self._controller.layout.load_of(device)
        if load is None:
            return None
        if self._controller.excluded[load]:
            return "it is excluded, and not written to"
        if self._controller.memory.level[load] < 1:
            return "it is asleep, or not seen yet: a restart would wake it"
        return None

    def restart(self, device: str) -> None:
        """Restart it, and watch it from now on."""
        load, last = self._controller.layout.load_of(device), self._controller.last
        if load is None or last is None:
            return
        self._gone.discard(device)
        self._back.discard(device)
        self._before_w[device] = float(last.loads_power.measured_w[load])
        self._controller.dispatcher.restart(load, self._controller.memory, last.moment.monotonic_s)

    def look(self, result: CycleResult) -> None:
        """A cycle has ended."""
        layout = self._controller.layout
        for device, before_w in self._before_w.items():
            load = layout.load_of(device)
            if load is None:
                continue  # it is no device of the site any more
            watts = float(result.loads_power.measured_w[load])
            answers = result.snapshot.status(int(layout.loads.rows[load])) is DeviceStatus.OK
            known = math.isfinite(watts) and math.isfinite(before_w)
            at_work = answers and (watts >= before_w * _GONE if known else True)
            if not at_work:
                self._gone.add(device)
            elif device in self._gone:
                self._back.add(device)
        for device in self._back:
            self._before_w.pop(device, None)

    def seen_again(self, device: str) -> bool:
        """Whether it has gone and come back since `restart`."""
        return device in self._back
