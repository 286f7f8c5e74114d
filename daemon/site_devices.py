"""The devices of a site: what is known of them, who asks them and orders them about, and over what."""

import asyncio
import random
from collections.abc import Collection, Sequence

from daemon.config import Config
from daemon.cycle.layout import SETTLED
from daemon.errors import ConfigurationError
from daemon.mqtt.port import DeviceBus
from daemon.outside import Outside
from daemon.table import SiteTable
from daemon.table.carrying import Origin
from drivers.address import MqttAddress
from drivers.device import Device
from drivers.errors import AddressError
from drivers.fleet import build_fleet
from drivers.profile import at_once
from drivers.quantity import Quantity


class SiteDevices:
    """The site table, the fleet that fills it, and the MQTT devices' lane to the broker."""

    def __init__(self, config: Config, outside: Outside) -> None:
        self._outside = outside
        self.lane = self._lane_for(config)
        """The MQTT devices' own way to the broker; `None` = there never were any."""
        devices = _devices_of(config)
        self.table = SiteTable(*_columns_of(devices))
        rng = random.Random(int(outside.entropy.uniform(0, 2**31)))  # noqa: S311 - jitter of back-offs, no secret
        self.fleet = build_fleet(devices, self.table, self.lane, rng, config.modbus_tls)
        self.table.decode_with(self.fleet)
        self._tasks: asyncio.TaskGroup | None = None
        """While it runs."""

    def go_by(self, config: Config, origin: Origin) -> None:
        """Other devices from now on; `origin` says which of their rows go on from which.

        Raises:
            ConfigurationError: one cannot be reached at its address; nothing has changed.
        """
        devices, lane = _devices_of(config), self.lane or self._lane_for(config)
        try:
            self.fleet.go_by(devices, lane)
        except AddressError as error:
            raise ConfigurationError([f"{config.path}: devices: {error}"]) from None
        self.table.go_by(*_columns_of(devices), origin)
        if self.lane is None and lane is not None:
            self.lane = lane
            self._start(lane)

    async def run(self) -> None:
        """Ask and order until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self.fleet.run(), name="fleet")
            if self.lane is not None:
                self._start(self.lane)

    def _start(self, lane: DeviceBus) -> None:
        if self._tasks is not None:
            self._tasks.create_task(lane.run(), name="lane")

    def _lane_for(self, config: Config) -> DeviceBus | None:
        over_mqtt = any(isinstance(device.address, MqttAddress) for device in config.devices)
        return self._outside.lane(config) if over_mqtt else None


def _devices_of(config: Config) -> list[Device]:
    """As the drivers know them. What settles has its readings taken together."""
    return [
        Device(
            device.id,
            at_once(device.profile) if device.role in SETTLED else device.profile,
            device.address,
            device.period_s,
        )
        for device in config.devices
    ]


def _columns_of(devices: Sequence[Device]) -> tuple[list[float], dict[int, Collection[Quantity]]]:
    """Of the site table: how often each is polled, and what of it seldom."""
    # Many share one profile, and it takes longer to ask it than to look it up.
    of_profile: dict[int, Collection[Quantity]] = {}
    slow: dict[int, Collection[Quantity]] = {}
    for row, device in enumerate(devices):
        profile = device.profile
        if id(profile) not in of_profile:
            of_profile[id(profile)] = profile.slow_quantities
        if of_profile[id(profile)]:
            slow[row] = of_profile[id(profile)]
    return [device.period_s for device in devices], slow
