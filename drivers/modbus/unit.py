"""What a link keeps about one device between its polls."""

from drivers.device import Device
from drivers.modbus.backoff import Breaker
from drivers.modbus.identity import IdentityPlan, identity_plan
from drivers.modbus.planning import Block
from drivers.modbus.sweep import SweepPlan, sweep_plan
from drivers.ports import Absence
from drivers.profile import ModbusMap, Pacing, RegisterCommand
from drivers.setpoint import command_words


class PolledUnit:
    """One device behind a link: made once, changed in place, so that a poll makes next to nothing."""

    __slots__ = (
        "block",
        "blocks",
        "breaker",
        "device",
        "identified",
        "identity",
        "number",
        "offsets",
        "order_held",
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
        self.identity = identity_plan(device.profile)
        self.identified = False
        """It is what its profile says; until then only what shows that is read, and nothing is written."""
        self.blocks: tuple[Block, ...] = ()
        """What is read now: the blocks of the sweep, or those that identify the device."""
        self.offsets: tuple[int, ...] = ()
        self.registers = bytearray()
        self.breaker = Breaker()
        self.sweep_waits = False
        """A sweep is queued or under way."""
        self.block = 0
        """Next block of the sweep."""
        self.started = 0.0
        """When the first request of the sweep went out."""
        self.order_waits = False
        self.order_held = False
        """The order waits until the device is identified."""
        self.order_w: float | None = None
        """The newest order, if `order_waits`."""
        self.trouble: Absence | None = None
        """What was last logged about it."""
        self.forget()

    def forget(self) -> None:
        """Another device may be there from now on: identify it before it is used again."""
        if self.identity is None:
            if not self.identified:
                self.accept()
            return
        self.identified = False
        self._read(self.identity)

    def accept(self) -> None:
        """The device is what its profile says."""
        self.identified = True
        self._read(self.plan)

    def _read(self, plan: SweepPlan | IdentityPlan) -> None:
        self.blocks, self.offsets, self.block = plan.blocks, plan.offsets, 0
        self.registers = bytearray(plan.size)

    @property
    def pacing(self) -> Pacing:
        """How much haste it bears."""
        assert isinstance(self.device.profile.map, ModbusMap)
        return self.device.profile.map.pacing

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
