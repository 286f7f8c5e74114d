"""Every profile through the real driver: from the simulator's registers, and from words no profile made."""

import asyncio
import functools
import math
from collections.abc import Mapping

import numpy as np
import pytest

from drivers.address import ModbusTcpAddress
from drivers.device import Device
from drivers.modbus.inspection import inspect
from drivers.ports import Absence
from drivers.profile import IdentityCheck, ModbusMap, Profile, RegisterPoint, Trust, WordType
from drivers.profiles import load_profile, profile_names
from drivers.quantity import Quantity
from sim_devices.faults import DeviceFaults
from sim_devices.instruments import Reader, Values
from sim_devices.modbus.endpoint import Endpoint
from sim_devices.modbus.image import Image
from sim_devices.modbus.network import Network
from sim_devices.modbus.unit import Unit
from sim_devices.physics import PlantModel
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.raw_words import RAW, RawDevice, RawPeer
from tests.world.recording_sink import RecordingSink, running


def register_map(profile: Profile) -> ModbusMap:
    assert isinstance(profile.map, ModbusMap)
    return profile.map


MODBUS = [p for name in profile_names() if isinstance((p := load_profile(name)).map, ModbusMap)]
PLACED = [profile for profile in MODBUS if register_map(profile).sunspec_model is None]
"""Those whose addresses are the same in every device; the simulator serves no SunSpec map."""
REAL = [profile for profile in MODBUS if profile.trust is not Trust.SIMULATED]


class ShownValues:
    """An instrument of one device that shows what it is told."""

    count = 1

    def __init__(self, values: dict[str, float]) -> None:
        self.readers: Mapping[str, Reader] = {
            name: functools.partial(_one, value) for name, value in values.items()
        }

    def write(self, row: int, point: str, value: float | None) -> bool:
        raise AssertionError((row, point, value))


def _one(value: float, _rows: slice) -> Values:
    return np.array([value])


def chosen_values(shown: ModbusMap) -> dict[str, float]:
    """Values that no other point of the map has, and that identify the device."""
    checks = {check.point: check for check in shown.identity}
    values: dict[str, float] = {}
    for index, point in enumerate(sorted(shown.points, key=lambda point: len(point.others))):
        check = checks.get(point.name)
        if check is not None:
            values[point.name] = _identifying(check)
        elif point.plus is not None:
            values[point.name] = values[point.plus] + (1000 + index) * point.scale
        elif point.times is not None:
            values[point.name] = values[point.times] * (1000 + index) * point.scale
        else:
            values[point.name] = (1000 + index) * point.scale
    return values


def _identifying(check: IdentityCheck) -> float:
    if check.values:
        return check.values[-1]
    assert check.minimum is not None
    assert check.maximum is not None
    return round((check.minimum + check.maximum) / 2) - 5.0


def same(point: RegisterPoint, read: float | None, shown: float) -> bool:
    """Equal but for half a raw step."""
    step = 0.0 if point.type in {WordType.F32, WordType.F64} else abs(point.scale) / 2
    return read is not None and math.isclose(read, shown, rel_tol=1e-6, abs_tol=step * (1 + 1e-6))


@pytest.mark.parametrize("profile", PLACED, ids=lambda profile: profile.name)
def test_what_the_simulator_shows_is_what_the_driver_reads(profile: Profile) -> None:
    shown = register_map(profile)
    values = chosen_values(shown)
    texts = {check.point: check.texts[0] for check in shown.identity if check.texts}

    async def main(_loop: VirtualLoop) -> None:
        faults = DeviceFaults("d", PlantModel(()))
        image = Image(profile, ShownValues(values), texts)
        network = Network([Endpoint("127.0.0.1", {1: Unit(image, 0, faults)})])
        address = ModbusTcpAddress("127.0.0.1", await network.open(0), 1)
        sink = RecordingSink()
        async with running([Device("d", profile, address, profile.period_s)], sink):
            await asyncio.sleep(2.5 * profile.period_s)
        found = await inspect(address, profile)
        network.close()
        assert not sink.failures
        points = {point.name: point for point in shown.points}
        assert sink.samples
        for quantity, value in sink.samples[0].values.items():
            if profile.setpoint is None or quantity is not Quantity.SETPOINT:
                assert same(points[quantity], value, values[quantity]), quantity
        assert not found.identity_problems
        for reading in found.readings:
            if reading.name in points and reading.name != Quantity.SETPOINT:
                assert not isinstance(reading.value, str)
                assert same(points[reading.name], reading.value, values[reading.name]), reading
            elif reading.name in texts:
                assert reading.value == texts[reading.name]

    run_virtual(main)


def test_every_real_device_has_words_that_no_profile_made() -> None:
    assert set(RAW) == {profile.name for profile in REAL}
    assert len(REAL) >= 20


@pytest.mark.parametrize("profile", REAL, ids=lambda profile: profile.name)
def test_raw_words_from_a_server_without_the_profile_are_read_as_their_source_says(profile: Profile) -> None:
    raw = RAW[profile.name]

    async def main(_loop: VirtualLoop) -> None:
        peer, sink = RawPeer(), RecordingSink()
        peer.hold(raw)
        _, port = await peer.listen()
        address = ModbusTcpAddress("127.0.0.1", port, 1)
        async with running([Device("d", profile, address, 1.0)], sink):
            await asyncio.sleep(0.9)
        assert not sink.failures
        values = sink.samples[0].values
        assert values[Quantity.POWER] == pytest.approx(raw.power, rel=1e-6)
        assert (Quantity.ENERGY_IMPORT in values) == (raw.energy is not None)
        if raw.energy is not None:
            assert values[Quantity.ENERGY_IMPORT] == pytest.approx(raw.energy, rel=1e-6)
        assert {name: values[Quantity(name)] for name in raw.other} == raw.other

    run_virtual(main)


NOTHING_TELLS_ZEROS = {"eastron-sdm72d-m"}
"""Its sources name nothing but powers and energies, and 0 is one."""


@pytest.mark.parametrize(
    "profile", [p for p in REAL if p.name not in NOTHING_TELLS_ZEROS], ids=lambda profile: profile.name
)
def test_a_device_of_zeros_is_never_taken_for_a_real_one(profile: Profile) -> None:
    async def main(_loop: VirtualLoop) -> None:
        peer, sink = RawPeer(), RecordingSink()
        peer.hold(RawDevice({}, 0.0))
        _, port = await peer.listen()
        async with running([Device("d", profile, ModbusTcpAddress("127.0.0.1", port, 1), 1.0)], sink):
            await asyncio.sleep(1.5)
        assert not sink.samples
        assert set(sink.reasons(0)) == {Absence.WRONG_DEVICE}

    run_virtual(main)
