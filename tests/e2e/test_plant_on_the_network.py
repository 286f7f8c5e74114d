"""The simulated plant over real sockets, seen by clients that are not ours."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit
from zlib import crc32

import aiomqtt
import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.pdu import ModbusPDU

from drivers.profile import Role
from sim_devices.broker import EmbeddedBroker
from sim_devices.faults import AnswerFault
from sim_devices.plant import Plant, PlantDevice

U32 = AsyncModbusTcpClient.DATATYPE.UINT32
U64 = AsyncModbusTcpClient.DATATYPE.UINT64
S32 = AsyncModbusTcpClient.DATATYPE.INT32


class Client:
    """A foreign Modbus client on one device."""

    def __init__(self, device: PlantDevice) -> None:
        parts = urlsplit(device.address)
        self._client = AsyncModbusTcpClient(
            parts.hostname or "", port=parts.port or 0, timeout=0.5, retries=0, reconnect_delay=0
        )

    async def __aenter__(self) -> AsyncModbusTcpClient:
        assert await self._client.connect()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        self._client.close()


@asynccontextmanager
async def connection(device: PlantDevice) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    parts = urlsplit(device.address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def was_cut(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 1) == b""
    except ConnectionResetError:
        return True


async def u32(client: AsyncModbusTcpClient, address: int) -> int:
    answer = await client.read_holding_registers(address, count=2)
    assert not answer.isError(), answer
    value = client.convert_from_registers(answer.registers, U32)
    assert isinstance(value, int)
    return value


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    async with Plant(miners=10, disobedient_share=0) as plant:
        yield plant


def device(plant: Plant, profile: str) -> PlantDevice:
    return next(each for each in plant.devices if each.profile == profile)


async def test_every_device_has_an_address_of_its_own(plant: Plant) -> None:
    assert len({each.address for each in plant.devices}) == len(plant.devices) == 13
    assert [each.role for each in plant.devices[:3]] == [Role.SITE_METER, Role.COOLING, Role.PDU]
    for each in plant.devices:
        async with Client(each) as client:
            assert await u32(client, 0) > 0


async def test_the_meter_shows_power_and_energy_of_the_truth(plant: Plant) -> None:
    async with Client(device(plant, "sim-meter")) as client:
        answer = await client.read_holding_registers(0, count=10)
        power_w = client.convert_from_registers(answer.registers[0:2], S32)
        register_wh = client.convert_from_registers(answer.registers[2:6], U64)
        assert power_w == pytest.approx(plant.truth.true_power_w, rel=0.01)
        assert register_wh == plant.truth.meter.register_wh
        assert answer.registers[6] == 5000
        assert client.convert_from_registers(answer.registers[8:10], U32) == plant.truth.meter.serial


async def test_a_written_limit_is_shown_and_after_its_latency_obeyed(plant: Plant) -> None:
    miner = device(plant, "sim-miner")
    load = plant.truth.loads[miner.id]
    async with Client(miner) as client:
        assert await u32(client, 16) == 0xFFFF_FFFF
        full_w = await u32(client, 0)
        assert not (await client.write_registers(16, [0, 2000])).isError()
        assert await u32(client, 16) == 2000
        assert await u32(client, 0) == full_w
        await asyncio.sleep(2.6)
        assert load.draw_w == pytest.approx(2000 * load.factor)
        assert await u32(client, 0) == pytest.approx(load.reported_w, abs=1)
        assert not (await client.write_registers(16, [0, 0])).isError()
        assert load.ordered_w == 0
        assert not (await client.write_registers(16, [0xFFFF, 0xFFFF])).isError()
        assert load.ordered_w is None


async def test_a_percent_limit_is_written_to_one_register(plant: Plant) -> None:
    miner = device(plant, "sim-miner-m60s")
    async with Client(miner) as client:
        assert not (await client.write_register(16, 60)).isError()
        assert plant.truth.loads[miner.id].ordered_w == pytest.approx(2058)
        answer = await client.read_holding_registers(16, count=1)
        assert answer.registers == [60]


async def test_a_pdu_switches_an_outlet_off(plant: Plant) -> None:
    pdu = device(plant, "sim-pdu")
    async with Client(pdu) as client:
        assert await u32(client, 100) == pytest.approx(plant.truth.pdus[pdu.id].outlet_w(1), abs=1)
        assert not (await client.write_register(200, 0)).isError()
        assert await u32(client, 100) == 0
        assert plant.truth.loads["m-01-01"].powered is False


@pytest.mark.parametrize(
    ("request_of", "code"),
    [
        (lambda client: client.read_coils(0, count=1), 1),
        (lambda client: client.read_input_registers(0, count=1), 1),
        (lambda client: client.read_holding_registers(17, count=2), 2),
        (lambda client: client.write_register(500, 1), 2),
        (lambda client: client.write_registers(0, [0, 1]), 2),
        (lambda client: client.write_register(16, 1), 3),
    ],
    ids=["coils", "wrong-function", "beyond-the-map", "write-nowhere", "write-a-reading", "half-a-value"],
)
async def test_a_bad_request_gets_the_exception_of_the_standard(
    plant: Plant, request_of: Callable[[AsyncModbusTcpClient], Awaitable[ModbusPDU]], code: int
) -> None:
    async with Client(device(plant, "sim-miner")) as client:
        answer = await request_of(client)
        assert answer.exception_code == code


async def test_an_unknown_unit_is_a_silent_target_behind_the_gateway(plant: Plant) -> None:
    async with Client(device(plant, "sim-miner")) as client:
        answer = await client.read_holding_registers(0, count=2, device_id=9)
        assert answer.exception_code == 0x0B


async def test_faults_of_one_device_leave_the_others_alone(plant: Plant) -> None:
    miner, other = (each for each in plant.devices[3:5])
    faults = plant.faults[miner.id]
    async with Client(miner) as client, Client(other) as healthy:
        faults.exception = 6
        assert (await client.read_holding_registers(0, count=2)).exception_code == 6
        faults.clear()
        faults.answer = AnswerFault.SHORT
        assert len((await client.read_holding_registers(0, count=4)).registers) == 3
        faults.clear()
        faults.latency_s = 0.2
        loop = asyncio.get_running_loop()
        started = loop.time()
        await u32(client, 0)
        assert loop.time() - started >= 0.2
        faults.clear()
        faults.silent = True
        with pytest.raises(ModbusIOException):
            await client.read_holding_registers(0, count=2)
        await u32(healthy, 0)


async def test_a_frozen_meter_repeats_its_words_while_the_truth_moves_on(plant: Plant) -> None:
    async with Client(device(plant, "sim-meter")) as client:
        plant.faults["meter"].frozen = True
        first = (await client.read_holding_registers(0, count=6)).registers
        await asyncio.sleep(1.3)
        assert (await client.read_holding_registers(0, count=6)).registers == first
        plant.faults["meter"].clear()
        assert (await client.read_holding_registers(0, count=6)).registers != first


async def test_a_refusing_device_cuts_its_connections_and_comes_back(plant: Plant) -> None:
    meter = device(plant, "sim-meter")
    async with connection(meter) as (reader, _):
        plant.faults["meter"].refuse = True
        assert await was_cut(reader)
    with pytest.raises(ConnectionRefusedError):
        async with connection(meter):
            pass
    plant.faults["meter"].refuse = False
    await asyncio.sleep(0.3)
    async with Client(meter) as client:
        await u32(client, 0)


async def test_many_addresses_share_one_socket_of_the_loopback_interface_alone() -> None:
    async with Plant(miners=60, pdus=0, gateways=1, share_socket=True) as plant:
        for each in plant.devices:
            unit = int(each.address.rpartition("/")[2])
            if each.role is Role.LOAD:
                async with Client(each) as client:
                    answer = await client.read_holding_registers(10, count=2, device_id=unit)
                    assert client.convert_from_registers(answer.registers, U32) == crc32(each.id.encode())
        assert plant.open_files == 1 + 40 + 1 + 2
        listener = plant._network._shared
        assert isinstance(listener, asyncio.Server)
        bound = listener.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        assert bound.rstrip(b"\0") == b"lo"


async def test_who_refuses_on_the_shared_socket_hangs_up() -> None:
    async with Plant(miners=2, share_socket=True) as plant:
        meter = device(plant, "sim-meter")
        plant.faults["meter"].refuse = True
        async with connection(meter) as (reader, _):
            assert await was_cut(reader)
        host, port = urlsplit(meter.address).hostname, urlsplit(meter.address).port
        assert host is not None
        stranger = replace(meter, address=f"modbus://127.200.0.1:{port}/1")
        async with connection(stranger) as (reader, _):
            assert await was_cut(reader)
        plant.faults["meter"].refuse = False
        async with Client(meter) as client:
            await u32(client, 0)


async def test_bytes_that_are_no_modbus_end_the_connection(plant: Plant) -> None:
    async with connection(plant.devices[0]) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await was_cut(reader)


async def test_history_holds_the_truth_ten_times_a_second(plant: Plant) -> None:
    await asyncio.sleep(1.05)
    moments = plant.history
    assert 9 <= len(moments) <= 11
    assert moments[-1].true_power_w == plant.truth.true_power_w
    assert moments[-1].loop_s - moments[0].loop_s == pytest.approx(0.1 * (len(moments) - 1))
    assert moments[-1].wall_s - moments[0].wall_s == pytest.approx(0.1 * (len(moments) - 1), abs=0.02)


async def test_a_plant_that_ended_listens_no_more() -> None:
    before = asyncio.all_tasks()
    async with Plant(miners=2) as plant:
        meter = plant.devices[0]
    with pytest.raises(ConnectionRefusedError):
        async with connection(meter):
            pass
    assert asyncio.all_tasks() == before


async def test_two_plants_run_side_by_side() -> None:
    async with Plant(miners=2, seed=1) as first, Plant(miners=2, seed=2) as second:
        assert not {each.address for each in first.devices} & {each.address for each in second.devices}


async def test_a_rack_publishes_its_state_and_obeys_over_the_embedded_broker() -> None:
    async with EmbeddedBroker() as broker, Plant(miners=0, racks=1, mqtt_url=broker.url_v311) as plant:
        port = urlsplit(broker.url_v311).port or 0
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("plant/rack-01/state")
            async with asyncio.timeout(10):
                # It hears orders from its first message on.
                state = json.loads((await anext(client.messages)).payload)
                assert (state["power_limit_w"], state["gpu_active"]) == (None, 16)
                await client.publish("plant/rack-01/set", '{"power_limit_w": 15000}', qos=1)
                while state["power_limit_w"] != 15000 or state["power_w"] > 16000:
                    state = json.loads((await anext(client.messages)).payload)
        assert state["gpu_active"] == 14
        assert plant.truth.loads["rack-01"].draw_w == pytest.approx(15000, rel=0.06)


async def test_racks_find_their_broker_again() -> None:
    async with EmbeddedBroker() as first:
        port = urlsplit(first.url_v311).port or 0
        await first.__aexit__(None, None, None)
        async with Plant(miners=0, racks=1, mqtt_url=first.url_v311):
            await asyncio.sleep(0.2)
            async with (
                EmbeddedBroker(v311_port=port),
                aiomqtt.Client("127.0.0.1", port) as client,
                asyncio.timeout(10),
            ):
                await client.subscribe("plant/rack-01/state")
                assert json.loads((await anext(client.messages)).payload)["gpu_active"] == 16
