"""One Modbus TCP address: a device, or a gateway with several units behind it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from sim_devices.modbus.frames import HEADER
from sim_devices.modbus.image import READ_FUNCTIONS, Image
from sim_devices.modbus.unit import Unit

if TYPE_CHECKING:
    from sim_devices.modbus.connection import Connection

MOST_PLANS = 256
"""A client that asks for ever other things must not fill the memory."""


class Plan(NamedTuple):
    """How to answer a read that was answered before: a piece of the image behind a ready header."""

    image: Image
    head: bytes
    """From the protocol identifier to the byte count."""
    start: int
    stop: int
    """Within the image's `blob`."""


class Endpoint:
    """An address and the units there. It refuses connections while every unit of it does.

    Args:
        host: the address.
        units: by their unit identifiers.
    """

    __slots__ = ("_changed", "connections", "host", "plans", "units")

    def __init__(self, host: str, units: Mapping[int, Unit]) -> None:
        self.host = host
        self.units = units
        self.plans: dict[bytes, Plan] = {}
        """By a request without its transaction identifier; only of units with which nothing is wrong."""
        self.connections: set[Connection] = set()
        self._changed: Callable[[Endpoint], None] | None = None
        for unit in units.values():
            unit.faults.attach(changed=self._faults_changed, vanish=self.vanish)

    @property
    def refuses(self) -> bool:
        """Whether nobody listens here."""
        return all(unit.faults.refuse for unit in self.units.values())

    def watch(self, changed: "Callable[[Endpoint], None]") -> None:
        """Have `changed` called when a fault of a unit here was set or mended."""
        self._changed = changed

    def remember(self, asked: bytes, unit: Unit, start: int, stop: int) -> None:
        """Answer a read that was right from the image from now on.

        Args:
            asked: the request.
            unit: whose registers.
            start: where they begin in its row.
            stop: where they end.
        """
        assert asked[HEADER.size] in READ_FUNCTIONS
        if len(self.plans) >= MOST_PLANS:
            self.plans.clear()
        size = stop - start
        head = b"\0\0" + (3 + size).to_bytes(2, "big") + asked[6:8] + bytes((size,))
        offset = unit.row * unit.image.width
        self.plans[asked[2:]] = Plan(unit.image, head, offset + start, offset + stop)

    def cut(self) -> None:
        """End every connection."""
        for connection in tuple(self.connections):
            connection.abort()

    def vanish(self) -> None:
        """Answer the open connections never again, and do not end them."""
        for connection in self.connections:
            connection.dead = True

    def _faults_changed(self) -> None:
        self.plans.clear()
        if self._changed is not None:
            self._changed(self)
