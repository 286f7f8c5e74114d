"""What a link keeps about one device between its polls."""

import struct

from drivers.device import Device
from drivers.modbus.backoff import Breaker
from drivers.modbus.identity import IdentityPlan, identity_plan, located_identity
from drivers.modbus.planning import Block
from drivers.modbus.sunspec import SunSpecWalk, located, location_problem
from drivers.modbus.sweep import SweepPlan, located_sweep, sweep_plan
from drivers.ports import Absence
from drivers.profile import ModbusMap, Pacing, RegisterCommand
from drivers.setpoint import command_words

WALK_STEP = struct.Struct(">HH")


class PolledUnit:
    """One device behind a link: made once, changed in place, so that a poll makes next to nothing."""

    __slots__ = (
        "block",
        "blocks",
        "breaker",
        "device",
        "identified",
        "identity",
        "map",
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
        "walk",
    )

    def __init__(self, row: int, device: Device, number: int) -> None:
        self.row = row
        self.device = device
        self.number = number
        """Unit id on the wire."""
        assert isinstance(device.profile.map, ModbusMap)
        self.map = device.profile.map
        self.plan = sweep_plan(device.profile)
        self.identity = identity_plan(device.profile)
        self.walk: SunSpecWalk | None = None
        """Under way while the device's registers have yet to be found."""
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
        if self.map.sunspec_model is not None:
            self.identified = False
            self.walk = SunSpecWalk()
            self._read_next_of(self.walk)
            return
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

    def walked(self, *, refused: bool) -> bool:
        """A step of the walk was answered. `True` = it goes on."""
        assert self.walk is not None
        words = None if refused else WALK_STEP.unpack(self.registers)
        if not self.walk.take(words):
            self._read_next_of(self.walk)
            return True
        return False

    def locate(self) -> str | None:
        """End the walk: why the device cannot be used; `None` = its registers are found."""
        assert self.walk is not None
        walk = self.walk
        problem = location_problem(self.map, walk)
        if problem is not None:
            self.forget()
            return problem
        self.walk = None
        found = located(self.map, walk)
        self.plan = located_sweep(found)
        self.identity = located_identity(found)
        if self.identity is None:
            self.accept()
        else:
            self._read(self.identity)
        return None

    def _read_next_of(self, walk: SunSpecWalk) -> None:
        self.blocks, self.offsets, self.block = (walk.want,), (0,), 0
        self.registers = bytearray(WALK_STEP.size)

    def _read(self, plan: SweepPlan | IdentityPlan) -> None:
        self.blocks, self.offsets, self.block = plan.blocks, plan.offsets, 0
        self.registers = bytearray(plan.size)

    @property
    def pacing(self) -> Pacing:
        """How much haste it bears."""
        return self.map.pacing

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
