"""The devices of a configuration as the drivers and the site table know them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from daemon.config import Config
from daemon.cycle.layout import SETTLED
from drivers.address import MqttAddress
from drivers.device import Device
from drivers.profile import at_once
from drivers.quantity import Quantity


@dataclass(frozen=True, slots=True)
class DeviceList:
    """A device's index is its row."""

    devices: Sequence[Device]
    periods_s: Sequence[float]
    """How often each is polled."""
    slow: Mapping[int, Collection[Quantity]]
    """What of a device is polled seldom, by row; a row without any is not there."""
    over_mqtt: bool
    """One at least is reached over the broker."""

    @classmethod
    def of(cls, config: Config) -> "DeviceList":
        """Those of a checked configuration. What settles has its readings taken together."""
        devices = [
            Device(
                device.id,
                at_once(device.profile) if device.role in SETTLED else device.profile,
                device.address,
                device.period_s,
            )
            for device in config.devices
        ]
        return cls(
            devices,
            [device.period_s for device in devices],
            _slow(devices),
            any(isinstance(device.address, MqttAddress) for device in devices),
        )


def _slow(devices: Sequence[Device]) -> dict[int, Collection[Quantity]]:
    # Many share one profile, and it takes longer to ask it than to look it up.
    of_profile: dict[int, Collection[Quantity]] = {}
    slow: dict[int, Collection[Quantity]] = {}
    for row, device in enumerate(devices):
        profile = device.profile
        if id(profile) not in of_profile:
            of_profile[id(profile)] = profile.slow_quantities
        if of_profile[id(profile)]:
            slow[row] = of_profile[id(profile)]
    return slow
