"""The fleet over real sockets against pymodbus' server, with bad neighbours."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.modbus.codec import encode_value
from drivers.ports import Absence, WriteResult
from drivers.profile import ModbusMap
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from tests.world.recording_sink import RecordingSink, modbus_device, running

READ, WRITE = 3, 16


@contextlib.asynccontextmanager
async def pymodbus_server(
    *units: int, start: int = 0, length: int = 64
) -> AsyncIterator[tuple[ModbusTcpServer, int]]:
    """A gateway with `length` registers a unit from `start`."""
    devices = [
        SimDevice(id=unit, simdata=[SimData(start, values=[0] * length, datatype=DataType.REGISTERS)])
        for unit in units
    ]
    server = ModbusTcpServer(devices, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    assert isinstance(server.transport, asyncio.Server)
    try:
        yield server, server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus left it without types
        await asyncio.sleep(0.05)


async def show(server: ModbusTcpServer, unit: int, profile: str, **values: float) -> None:
    register_map = load_profile(profile).map
    assert isinstance(register_map, ModbusMap)
    for point in register_map.points:
        if point.name in values:
            words = list(encode_value(point, values[point.name]))
            await server.async_setValues(unit, WRITE, point.address, words)


async def until(sink: RecordingSink, rows: set[int]) -> None:
    async with asyncio.timeout(5):
        while {sample.row for sample in sink.samples} < rows:  # noqa: ASYNC110  a sink signals nothing
            await asyncio.sleep(0.05)


async def test_reads_and_orders_the_units_of_a_foreign_gateway() -> None:
    sink = RecordingSink()
    async with pymodbus_server(1, 2, 3) as (server, port):
        for unit in (1, 2, 3):
            await show(
                server, unit, "sim-miner", power=3000 + unit, energy_import=2**40 + unit, hashrate=199.5
            )
        async with running([modbus_device(port, unit) for unit in (1, 2, 3)], sink) as fleet:
            await until(sink, {0, 1, 2})
            for row, unit in enumerate((1, 2, 3)):
                values = sink.of(row)[0].values
                assert values[Quantity.POWER] == 3000 + unit
                assert values[Quantity.ENERGY_IMPORT] == 2**40 + unit
                assert values[Quantity.HASHRATE] == pytest.approx(199.5)
            fleet.order(1, 2000)
            await asyncio.sleep(1.2)
            assert sink.results() == [(2000, WriteResult.ACKNOWLEDGED)]
            assert await server.async_getValues(2, READ, 16, 2) == [0, 2000]
            assert sink.of(1)[-1].values[Quantity.SETPOINT] == 2000
            assert sink.of(0)[-1].values[Quantity.SETPOINT] == 0


async def test_a_real_meters_map_in_kilowatts_is_read_in_watts_by_two_requests() -> None:
    sink = RecordingSink()
    async with pymodbus_server(1, start=3059) as (server, port):
        # Its two blocks lie further apart than this server's registers: the second one is refused.
        await show(server, 1, "schneider-pm5340", power=1_234_500.0, frequency=50.0)
        async with running([modbus_device(port, profile="schneider-pm5340")], sink):
            await until(sink, {0})
        assert sink.refusals == [(0, frozenset({Quantity.ENERGY_IMPORT}))]
        assert sink.samples[0].values == {Quantity.POWER: 1_234_500.0, Quantity.ENERGY_IMPORT: None}
        sink.samples.clear()
    async with pymodbus_server(1, start=3000, length=300) as (server, port):
        await show(
            server, 1, "schneider-pm5340", power=1_234_500.0, frequency=50.0, energy_import=9_876_543_210
        )
        async with running([modbus_device(port, profile="schneider-pm5340")], sink):
            await until(sink, {0})
    assert sink.samples[0].values == {Quantity.POWER: 1_234_500.0, Quantity.ENERGY_IMPORT: 9_876_543_210.0}


class _Deaf(asyncio.Protocol):
    """Takes connections and says nothing."""


class _Babbler(asyncio.Protocol):
    """Answers with a frame whose byte count lies, then with noise."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(
            struct.pack(">HHHBBB", data[0] << 8 | data[1], 0, 5, 1, 3, 200) + b"ab" + b"\xff" * 40
        )


async def test_bad_devices_do_not_delay_the_others() -> None:
    loop, sink = asyncio.get_running_loop(), RecordingSink()
    deaf = await loop.create_server(_Deaf, "127.0.0.1", 0)
    babbler = await loop.create_server(_Babbler, "127.0.0.1", 0)
    gone = await loop.create_server(_Deaf, "127.0.0.1", 0)
    bad_ports = [server.sockets[0].getsockname()[1] for server in (deaf, babbler, gone)]
    gone.close()
    async with pymodbus_server(*range(1, 9)) as (_, port):
        devices = [modbus_device(bad) for bad in bad_ports]
        devices += [modbus_device(port, unit) for unit in range(1, 9)]
        devices.append(modbus_device(port, 99))
        async with running(devices, sink):
            await asyncio.sleep(5.05)
    deaf.close()
    babbler.close()
    assert {sample.row for sample in sink.samples} == set(range(3, 11))
    assert Absence.TIMED_OUT in sink.reasons(0)
    assert Absence.INVALID in sink.reasons(1)
    assert set(sink.reasons(2)) == {Absence.NOT_CONNECTED}
    for row in range(3, 11):
        samples = sink.of(row)
        assert len(samples) in {5, 6}
        assert all(sample.at - sample.started < 0.4 for sample in samples)
        gaps = [after.started - before.started for before, after in pairwise(samples)]
        assert gaps == pytest.approx([1.0] * len(gaps), abs=0.4)
