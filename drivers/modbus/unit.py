"""What a link keeps about one device between its polls."""

from drivers.device import Device
from drivers.modbus.backoff import Breaker
from drivers.modbus.sweep import sweep_plan
from drivers.ports import Absence
from drivers.profile import RegisterCommand
from drivers.setpoint import command_words


class PolledUnit:
    """One device behind a link: made once, changed in place, so that a poll makes next to nothing."""

    __slots__ = (
        "block",
        "breaker",
        "device",
        "number",
        "order_w",
        "order_waits",
        "plan",
        "registers",
        "row",
        "started",
        "sweep_waits",
        "trouble",
    )

    def __init__(self, row: int, device: Device, number: int) -> None:
        self.row = row
        self.device = device
        self.number = number
        """Unit id on the wire."""
        self.plan = sweep_plan(device.profile)
        self.registers = bytearray(self.plan.size)
        self.breaker = Breaker()
        self.sweep_waits = False
        """A sweep is queued or under way."""
        self.block = 0
        """Next block of the sweep."""
        self.started = 0.0
        """When the first request of the sweep went out."""
        self.order_waits = False
        self.order_w: float | None = None
        """The newest order, if `order_waits`."""
        self.trouble: Absence | None = None
        """What was last logged about it."""

    @property
    def can_be_ordered(self) -> bool:
        """Whether its profile has a set-point register."""
        setpoint = self.device.profile.setpoint
        return setpoint is not None and isinstance(setpoint.command, RegisterCommand)

    def order_registers(self) -> tuple[int, tuple[int, ...]]:
        """Address and words of the waiting order."""
        setpoint = self.device.profile.setpoint
        assert setpoint is not None
        assert isinstance(setpoint.command, RegisterCommand)
        return setpoint.command.point.address, command_words(setpoint, setpoint.command, self.order_w)
