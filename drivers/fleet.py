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
from drivers.ports import Fleet, FleetSink, TopicBus
from drivers.tls import TlsFiles


class SiteFleet:
    """Several fleets as one; implements `drivers.ports.Fleet`."""

    def __init__(self, fleets: Sequence[Fleet], by_row: Mapping[int, Fleet]) -> None:
        self._fleets, self._by_row = fleets, by_row

    async def run(self) -> None:
        """Run all until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for fleet in self._fleets:
                tasks.create_task(fleet.run(), name=type(fleet).__name__)

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
    bus: TopicBus | None,
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
    modbus: list[tuple[int, Device]] = []
    mqtt: list[tuple[int, Device]] = []
    for row, device in enumerate(devices):
        problem = address_problem(device.profile, device.address)
        if problem is not None:
            raise AddressError(f"{device.id}: {problem}")
        address = device.address
        if not isinstance(address, MqttAddress):
            modbus.append((row, replace(device, profile=profile_over(device.profile, address))))
        elif bus is not None:
            mqtt.append((row, device))
        else:
            raise AddressError(f"{device.id}: is reached over MQTT, and there is no broker")
    fleets: list[Fleet] = []
    by_row: dict[int, Fleet] = {}
    if modbus:
        over_modbus = ModbusFleet(modbus, sink, rng, make_line=lines(tls))
        fleets.append(over_modbus)
        by_row.update((row, over_modbus) for row, _ in modbus)
    if mqtt:
        assert bus is not None
        over_mqtt = MqttFleet(mqtt, sink, bus)
        fleets.append(over_mqtt)
        by_row.update((row, over_mqtt) for row, _ in mqtt)
    return SiteFleet(fleets, by_row)
