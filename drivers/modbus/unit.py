"""What a link keeps about one device between its polls."""

import struct

from drivers.device import Device
from drivers.modbus.backoff import Breaker
from drivers.modbus.identity import IdentityPlan, identity_plan
from drivers.modbus.reading import Reading, Sweep
from drivers.modbus.requests import Request
from drivers.modbus.sunspec import SunSpecWalk, located, location_problem
from drivers.ports import Absence
from drivers.profile import ModbusMap, RegisterCommand
from drivers.quantity import Quantity
from drivers.setpoint import command_words

WALK_STEP = struct.Struct(">HH")


class Order:
    """A set-point on its way to a unit."""

    __slots__ = ("queued_at", "started", "unit", "watts")

    simple = False
    """As of a `Reading`."""

    def __init__(self, unit: "PolledUnit", watts: float | None) -> None:
        self.unit = unit
        self.watts = watts
        """As in `Fleet.order`."""
        self.queued_at = 0.0
        self.started = 0.0
        """When it went out."""

    def request(self) -> Request:
        """What is to be written."""
        setpoint = self.unit.device.profile.setpoint
        assert setpoint is not None
        assert isinstance(setpoint.command, RegisterCommand)
        words = command_words(setpoint, setpoint.command, self.watts)
        request = Request.write(self.unit.number, setpoint.command.point.address, words)
        request.asker = self
        return request


class SideWrite:
    """Registers of a unit beside its set-point, on their way: an outlet's switch, a reversion timer."""

    __slots__ = ("address", "queued_at", "unit", "words")

    simple = False
    """As of a `Reading`."""

    def __init__(self, unit: "PolledUnit", address: int, words: tuple[int, ...]) -> None:
        self.unit = unit
        self.address = address
        """Wire address, 0-based."""
        self.words = words
        self.queued_at = 0.0

    def request(self) -> Request:
        """What is to be written."""
        request = Request.write(self.unit.number, self.address, self.words)
        request.asker = self
        return request


class PolledUnit:
    """One device behind a link: made once, changed in place, so that a poll makes next to nothing.

    Its sweeps and what identifies it are set once; then `forget` it.
    """

    __slots__ = (
        "breaker",
        "device",
        "gone",
        "held",
        "identified",
        "identity",
        "map",
        "number",
        "order",
        "reading",
        "rest_until",
        "row",
        "slow",
        "slow_due",
        "sweep",
        "trouble",
        "walk",
    )

    reading: Reading
    """What is read now: the sweep, or what identifies the device."""
    sweep: Sweep

    def __init__(self, row: int, device: Device, number: int) -> None:
        self.row = row
        self.device = device
        self.number = number
        """Unit id on the wire."""
        assert isinstance(device.profile.map, ModbusMap)
        self.map = device.profile.map
        self.slow: Sweep | None = None
        """Of its slow points, if it has any."""
        self.slow_due = False
        """The slow points are to be read after the next good sweep."""
        self.identity: IdentityPlan | None = None
        """`None` = nothing identifies it."""
        self.walk: SunSpecWalk | None = None
        """Under way while the device's registers have yet to be found."""
        self.identified = False
        """It is what its profile says; until then only what shows that is read, and nothing is written."""
        self.breaker = Breaker()
        self.order: Order | None = None
        """The newest order, while it waits."""
        self.held = False
        """The order waits until the device is identified."""
        self.rest_until = 0.0
        """It is not polled before: it refused what would identify it, or kept its neighbours waiting."""
        self.trouble: Absence | None = None
        """What was last logged about it."""
        self.gone = False
        """It is no longer a device of the site: what is still said of it concerns nobody."""

    @property
    def can_be_ordered(self) -> bool:
        """Whether its profile has a set-point register."""
        setpoint = self.device.profile.setpoint
        return setpoint is not None and isinstance(setpoint.command, RegisterCommand)

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        """All that brings values."""
        return (self.sweep,) if self.slow is None else (self.sweep, self.slow)

    @property
    def lost(self) -> frozenset[Quantity]:
        """The quantities that it does not let itself be asked for."""
        return frozenset().union(*(sweep.lost for sweep in self.sweeps))

    def leave(self) -> None:
        """It is no device of the site any more."""
        self.gone = True
        # What is in flight does not take the short way, nor land.
        self.sweep.simple = self.identified = False
        self.reading = Reading(self, ())

    def forgive(self) -> None:
        """Ask again for what it refused."""
        self.rest_until = 0.0
        for sweep in self.sweeps:
            sweep.forgive()

    def forget(self) -> None:
        """Another device may be there from now on: identify it before it is used again."""
        if self.map.sunspec_model is not None:
            self.identified = False
            self.walk = SunSpecWalk()
            self.reading = Reading(self, (self.walk.want,))
        elif self.identity is not None:
            self.identified = False
            self.reading = Reading(self, self.identity.blocks)
        elif not self.identified:
            self._accept()

    def _accept(self) -> None:
        self.identified = True
        self.reading = self.sweep

    def identify(self) -> str | None:
        """`reading` is over: why the device cannot be used; `None` = there is a new `reading`."""
        if self.walk is not None:
            return self.walked(refused=False)
        assert self.identity is not None
        problem = self.identity.problem(self.reading.registers)
        if problem is None:
            self._accept()
        return problem

    def walked(self, *, refused: bool) -> str | None:
        """A step of the walk was answered; outcome as in `identify`."""
        assert self.walk is not None
        words = None if refused else WALK_STEP.unpack(self.reading.registers)
        if not self.walk.take(words):
            self.reading = Reading(self, (self.walk.want,))
            return None
        return self._locate(self.walk)

    def _locate(self, walk: SunSpecWalk) -> str | None:
        problem = location_problem(self.map, walk)
        if problem is not None:
            self.forget()
            return problem
        self.walk = None
        found = located(self.map, walk)
        for sweep in self.sweeps:
            sweep.locate(sweep.raw.plan.located(found))
        self.identity = identity_plan(found)
        if self.identity is None:
            self._accept()
        else:
            self.reading = Reading(self, self.identity.blocks)
        return None
