"""Whole devices behind pymodbus' own servers: over a wire, RTU over TCP, and TLS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import StrEnum

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.address import (
    ModbusAddress,
    ModbusRtuAddress,
    ModbusRtuTcpAddress,
    ModbusTlsAddress,
)
from drivers.device import Device
from drivers.ports import Absence, WriteResult
from drivers.profiles import load_profile
from drivers.quantity import Quantity
from drivers.tls import TlsFiles
from tests.world.certificates import Authority
from tests.world.line_bench import null_modem
from tests.world.recording_sink import RecordingSink, running

Server = ModbusSerialServer | ModbusTcpServer
UNITS = (1, 2, 17)


class Way(StrEnum):
    SERIAL = "serial"
    RTU_TCP = "rtu-tcp"
    TLS = "tls"


@contextlib.asynccontextmanager
async def serving(way: Way, authority: Authority) -> AsyncIterator[tuple[Server, list[ModbusAddress]]]:
    """A server of 64 registers a unit, and the addresses of its units."""
    units = [
        SimDevice(id=unit, simdata=[SimData(0, values=[0] * 64, datatype=DataType.REGISTERS)])
        for unit in UNITS
    ]
    with contextlib.ExitStack() as stack:
        server: Server
        if way is Way.SERIAL:
            near, far = stack.enter_context(null_modem())
            server = ModbusSerialServer(units, port=far, baudrate=19200)
        elif way is Way.RTU_TCP:
            server = ModbusTcpServer(units, framer=FramerType.RTU, address=("127.0.0.1", 0))
        else:
            server = ModbusTlsServer(units, sslctx=authority.server_context(), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        addresses: list[ModbusAddress] = []
        for unit in UNITS:
            if way is Way.SERIAL:
                addresses.append(ModbusRtuAddress(near, 19200, unit))
                continue
            assert isinstance(server.transport, asyncio.Server)
            port = server.transport.sockets[0].getsockname()[1]
            kind = ModbusTlsAddress if way is Way.TLS else ModbusRtuTcpAddress
            addresses.append(kind("127.0.0.1", port, unit))
        try:
            yield server, addresses
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus left it without types
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", list(Way))
async def test_units_are_read_and_ordered_and_what_was_ordered_is_read_back(way: Way) -> None:
    sink = RecordingSink()
    with Authority.temporary() as authority:
        tls: TlsFiles = authority.files()
        async with serving(way, authority) as (server, addresses):
            for unit in UNITS:
                await server.async_setValues(unit, 16, 0, [0, 3000 + unit])
            devices = [
                Device(f"d{address.unit}", load_profile("sim-miner"), address, 0.5) for address in addresses
            ]
            async with running(devices, sink, tls=tls) as fleet:
                async with asyncio.timeout(8):
                    while {sample.row for sample in sink.samples} < {0, 1, 2}:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                fleet.order(1, 2100)
                fleet.order(2, 0)
                await asyncio.sleep(1.5)
    assert [sink.of(row)[-1].values[Quantity.POWER] for row in range(3)] == [3001, 3002, 3017]
    assert sorted(sink.results(), key=str) == [
        (0, WriteResult.ACKNOWLEDGED),
        (2100, WriteResult.ACKNOWLEDGED),
    ]
    assert [sink.of(row)[-1].values[Quantity.SETPOINT] for row in (1, 2)] == [2100, 0]
    # Only what was due before the connection was there.
    assert {failure.reason for failure in sink.failures} <= {Absence.NOT_CONNECTED}
