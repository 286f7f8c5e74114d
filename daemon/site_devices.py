"""The devices of a site: what is known of them, who asks them and orders them about, and over what."""

import asyncio
import random

from daemon.config import Config
from daemon.device_list import DeviceList
from daemon.errors import ConfigurationError
from daemon.mqtt.port import DeviceBus
from daemon.outside import Outside
from daemon.table import SiteTable
from daemon.table.carrying import Origin
from drivers.errors import AddressError
from drivers.fleet import build_fleet


class SiteDevices:
    """The site table, the fleet that fills it, and the MQTT devices' lane to the broker."""

    def __init__(self, config: Config, outside: Outside) -> None:
        self._outside = outside
        listed = DeviceList.of(config)
        self.lane = outside.lane(config) if listed.over_mqtt else None
        """The MQTT devices' own way to the broker; `None` = there never were any."""
        self.table = SiteTable(listed.periods_s, listed.slow)
        rng = random.Random(int(outside.entropy.uniform(0, 2**31)))  # noqa: S311 - jitter of back-offs, no secret
        self.fleet = build_fleet(listed.devices, self.table, self.lane, rng, config.modbus_tls)
        self.table.decode_with(self.fleet)
        self._tasks: asyncio.TaskGroup | None = None
        """While it runs."""

    def go_by(self, config: Config, listed: DeviceList, origin: Origin) -> None:
        """Other devices from now on, those of `config`; `origin` says which of their rows go on from which.

        Raises:
            ConfigurationError: one cannot be reached at its address; nothing has changed.
        """
        lane = self._outside.lane(config) if self.lane is None and listed.over_mqtt else self.lane
        try:
            self.fleet.go_by(listed.devices, lane)
        except AddressError as error:
            raise ConfigurationError([f"{config.path}: devices: {error}"]) from None
        self.table.go_by(listed.periods_s, listed.slow, origin)
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
