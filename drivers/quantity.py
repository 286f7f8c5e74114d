"""What a point of a device measures, always in the unit named here."""

from enum import StrEnum


class Quantity(StrEnum):
    """A physical quantity that the daemon knows by name; the value's unit is fixed.

    A profile may read further points (for `probe`); only these reach the site table.
    """

    POWER = "power"
    """W, import positive."""
    ENERGY_IMPORT = "energy_import"
    """Wh, cumulative register, never resets in operation."""
    HASHRATE = "hashrate"
    """TH/s."""
    GPU_ACTIVE = "gpu_active"
    """GPUs at work."""
    SETPOINT = "setpoint"
    """W: the power limit that the device says it holds (read-back)."""
    SERIAL = "serial"
    """A device's serial number as a number, exact up to 2**53."""


QUANTITIES: tuple[Quantity, ...] = tuple(Quantity)
COLUMN: dict[Quantity, int] = {quantity: index for index, quantity in enumerate(QUANTITIES)}
"""Column of a quantity in the site table."""
QUANTITY_BY_NAME: dict[str, Quantity] = {quantity.value: quantity for quantity in QUANTITIES}

UNIT: dict[Quantity, str] = {
    Quantity.POWER: "W",
    Quantity.ENERGY_IMPORT: "Wh",
    Quantity.HASHRATE: "TH/s",
    Quantity.GPU_ACTIVE: "GPUs",
    Quantity.SETPOINT: "W",
    Quantity.SERIAL: "",
}
