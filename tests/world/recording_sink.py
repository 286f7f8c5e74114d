"""A fleet's sink that remembers everything."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from drivers.address import ModbusTcpAddress
from drivers.device import Device
from drivers.fleet import SiteFleet, build_fleet
from drivers.ports import Absence, DeviceTopics, Fleet, WriteResult
from drivers.profiles import load_profile
from drivers.quantity import COLUMN, QUANTITIES, Quantity
from drivers.tls import TlsFiles


class Sample(NamedTuple):
    at: float
    row: int
    values: Mapping[Quantity, float | None]
    started: float


class Failure(NamedTuple):
    at: float
    row: int
    reason: Absence


class Write(NamedTuple):
    at: float
    row: int
    watts: float | None
    result: WriteResult
    started: float


class RecordingSink:
    """Decodes every sweep at once, as a site table does once a cycle."""

    def __init__(self) -> None:
        self.fleet: Fleet | None = None
        self.devices: Sequence[Device] = ()
        self.decoded = np.empty((0, len(QUANTITIES)))
        self.refusals: list[tuple[int, frozenset[Quantity]]] = []
        self.slow_sweeps: list[Sample] = []
        self.samples: list[Sample] = []
        self.failures: list[Failure] = []
        self.writes: list[Write] = []

    def poll(self, fleet: Fleet, devices: Sequence[Device]) -> None:
        """From now on these tell it."""
        self.fleet, self.devices = fleet, devices
        self.decoded = np.full((len(devices), len(QUANTITIES)), np.nan)

    def swept(self, row: int, started: float, slow: bool) -> None:  # noqa: FBT001  FleetSink
        assert self.fleet is not None
        self.fleet.decode_into(self.decoded)
        profile = self.devices[row].profile
        values: dict[Quantity, float | None] = {}
        for point in profile.map.points:
            if point.quantity is not None and (point.quantity in profile.slow_quantities) is slow:
                value = float(self.decoded[row, COLUMN[point.quantity]])
                values[point.quantity] = None if math.isnan(value) else value
        (self.slow_sweeps if slow else self.samples).append(Sample(_now(), row, values, started))

    def refused(self, row: int, quantities: Collection[Quantity]) -> None:
        self.refusals.append((row, frozenset(quantities)))

    def sampled(self, row: int, values: Mapping[Quantity, float | None], started: float) -> None:
        self.samples.append(Sample(_now(), row, values, started))

    def failed(self, row: int, reason: Absence) -> None:
        self.failures.append(Failure(_now(), row, reason))

    def written(self, row: int, watts: float | None, result: WriteResult, started: float) -> None:
        self.writes.append(Write(_now(), row, watts, result, started))

    def of(self, row: int) -> list[Sample]:
        return [sample for sample in self.samples if sample.row == row]

    def reasons(self, row: int) -> list[Absence]:
        return [failure.reason for failure in self.failures if failure.row == row]

    def results(self) -> list[tuple[float | None, WriteResult]]:
        return [(write.watts, write.result) for write in self.writes]


def modbus_device(port: int, unit: int = 1, *, profile: str = "sim-miner", host: str = "127.0.0.1") -> Device:
    return Device(f"d-{host}-{port}-{unit}", load_profile(profile), ModbusTcpAddress(host, port, unit), 1.0)


@contextlib.asynccontextmanager
async def running(
    devices: Sequence[Device],
    sink: RecordingSink,
    bus: DeviceTopics | None = None,
    tls: TlsFiles | None = None,
) -> AsyncIterator[SiteFleet]:
    """A fleet at work; it ends with the context."""
    fleet = build_fleet(devices, sink, bus, Random(1), tls)
    sink.poll(fleet, devices)
    task = asyncio.create_task(fleet.run())
    try:
        yield fleet
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def _now() -> float:
    return asyncio.get_running_loop().time()
