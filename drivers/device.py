"""One device of a site, as the drivers need to know it."""

from dataclasses import dataclass

from drivers.address import Address
from drivers.profile import Profile


@dataclass(frozen=True, slots=True)
class Device:
    """A device to be polled and ordered about. Its row is its index in the fleet's list of devices."""

    id: str
    profile: Profile
    address: Address
    period_s: float
    """Polling period; of an MQTT device, how often it is expected to publish."""
