"""All devices of a site behind one port, whatever they speak."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from drivers.address import MqttAddress, address_problem
from drivers.device import Device
from drivers.errors import AddressError
from drivers.modbus.fleet import ModbusFleet
from drivers.modbus.lines import lines, profile_over
from drivers.mqtt.fleet import MqttFleet
from drivers.ports import DeviceTopics, Fleet, FleetSink
from drivers.tls import TlsFiles


class SiteFleet:
    """Several fleets as one, without devices before the first `go_by`; implements `drivers.ports.Fleet`.

    Args:
        sink: who learns of values and of the outcome of orders.
        rng: for the jitter of back-offs.
        tls: for Modbus devices that are reached over TLS.

    Raises:
        TlsFileError: a file of `tls` cannot be used.
    """

    def __init__(self, sink: FleetSink, rng: random.Random, tls: TlsFiles | None = None) -> None:
        self._sink = sink
        self._modbus = ModbusFleet((), sink, rng, make_line=lines(tls))
        self._mqtt: MqttFleet | None = None
        self._fleets: list[Fleet] = [self._modbus]
        self._by_row: dict[int, Fleet] = {}
        self._tasks: asyncio.TaskGroup | None = None
        """While it runs."""

    async def run(self) -> None:
        """Run all until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            for fleet in self._fleets:
                self._start(self._tasks, fleet)

    def _start(self, tasks: asyncio.TaskGroup, fleet: Fleet) -> None:
        tasks.create_task(fleet.run(), name=type(fleet).__name__)

    def go_by(self, devices: Sequence[Device], bus: DeviceTopics | None) -> None:
        """Poll and order these from now on; a device's row is its index. Who stays notices nothing.

        Args:
            devices: all devices of the site.
            bus: the site's broker, always the same; may be `None` while no device needs it.

        Raises:
            AddressError: a device cannot be reached at its address; nothing has changed.
        """
        modbus, mqtt = _by_way(devices, bus)
        self._modbus.go_by(modbus)
        self._by_row = {row: self._modbus for row, _ in modbus}
        if self._mqtt is None and mqtt and bus is not None:
            self._mqtt = MqttFleet((), self._sink, bus)
            self._fleets.append(self._mqtt)
            if self._tasks is not None:
                self._start(self._tasks, self._mqtt)
        if self._mqtt is not None:
            self._mqtt.go_by(mqtt)
            self._by_row |= {row: self._mqtt for row, _ in mqtt}

    def order(self, row: int, watts: float | None) -> None:
        self._by_row[row].order(row, watts)

    def switch(self, row: int, outlet: int, *, on: bool) -> None:
        self._by_row[row].switch(row, outlet, on=on)

    def arm(self, row: int, watts: float) -> None:
        self._by_row[row].arm(row, watts)

    def counters(self) -> Mapping[str, int]:
        total: dict[str, int] = {}
        for fleet in self._fleets:
            for result, count in fleet.counters().items():
                total[result] = total.get(result, 0) + count
        return total

    def decode_into(self, values: npt.NDArray[np.float64]) -> None:
        for fleet in self._fleets:
            fleet.decode_into(values)

    def poll_lag_s(self) -> float:
        return max((fleet.poll_lag_s() for fleet in self._fleets), default=0.0)


def build_fleet(
    devices: Sequence[Device],
    sink: FleetSink,
    bus: DeviceTopics | None,
    rng: random.Random,
    tls: TlsFiles | None = None,
) -> SiteFleet:
    """The fleet of a site; a device's row is its index in `devices`.

    Args:
        devices: all devices of the site.
        sink: who learns of values and of the outcome of orders.
        bus: the site's broker; may be `None` if no device needs it.
        rng: for the jitter of back-offs.
        tls: for Modbus devices that are reached over TLS.

    Raises:
        AddressError: a device cannot be reached at its address.
        TlsFileError: a file of `tls` cannot be used.
    """
    fleet = SiteFleet(sink, rng, tls)
    fleet.go_by(devices, bus)
    return fleet


def _by_way(
    devices: Sequence[Device], bus: DeviceTopics | None
) -> tuple[list[tuple[int, Device]], list[tuple[int, Device]]]:
    """Rows and devices over Modbus, and those over MQTT.

    Raises:
        AddressError: one cannot be reached at its address.
    """
    modbus: list[tuple[int, Device]] = []
    mqtt: list[tuple[int, Device]] = []
    for row, device in enumerate(devices):
        problem = address_problem(device.profile, device.address)
        if problem is not None:
            raise AddressError(f"{device.id}: {problem}")
        address = device.address
        if not isinstance(address, MqttAddress):
            profile = profile_over(device.profile, address)
            modbus.append((row, device if profile is device.profile else replace(device, profile=profile)))
        elif bus is not None:
            mqtt.append((row, device))
        else:
            raise AddressError(f"{device.id}: is reached over MQTT, and there is no broker")
    return modbus, mqtt
