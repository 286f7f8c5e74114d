"""Which line leads where, and in which pieces a device is asked over it."""

import dataclasses

import pytest

from drivers.address import ModbusAddress, ModbusRtuAddress, Parity, parse_address
from drivers.errors import AddressError
from drivers.modbus.lines import end_of, line_to, profile_over
from drivers.modbus.planning import Block, plan_reads
from drivers.profile import ModbusMap, Profile
from drivers.profiles import load_profile, profile_names
from tests.world.line_bench import Hearing


def at(text: str) -> ModbusAddress:
    address = parse_address(text)
    assert isinstance(address, ModbusAddress)
    return address


def blocks(profile: Profile) -> tuple[Block, ...]:
    assert isinstance(profile.map, ModbusMap)
    return plan_reads(profile.map.points, profile.map.reads)


def test_units_behind_one_connection_have_one_end_and_others_have_not() -> None:
    ends = [
        ("modbus://10.0.0.1/1", "10.0.0.1:502"),
        ("modbus://10.0.0.1/2", "10.0.0.1:502"),
        ("modbus://[::1]:503/2", "[::1]:503"),
        ("modbuss://10.0.0.1:502/1", "10.0.0.1:502 (TLS)"),
        ("modbus+rtu-tcp://10.0.0.1:502/1", "10.0.0.1:502 (RTU)"),
        ("modbus+rtu:///dev/ttyS0?baud=9600/1", "/dev/ttyS0"),
        ("modbus+rtu:///dev/ttyS0?baud=9600/2", "/dev/ttyS0"),
    ]
    assert [end_of(at(text)) for text, _ in ends] == [end for _, end in ends]


def test_over_tls_nobody_is_reached_without_an_authority() -> None:
    with pytest.raises(AddressError, match="no authority"):
        line_to(at("modbuss://10.0.0.1/1"), Hearing())


def test_on_a_serial_line_fewer_holes_are_worth_bridging() -> None:
    meter = load_profile("eastron-sdm630")
    over_tcp = blocks(profile_over(meter, at("modbus://10.0.0.1/1")))
    for way in ("modbus+rtu:///dev/ttyS0?baud=9600/1", "modbus+rtu-tcp://10.0.0.1:4001/1"):
        over_rtu = blocks(profile_over(meter, at(way)))
        assert sum(block.length for block in over_rtu) < sum(block.length for block in over_tcp)
        assert len(over_rtu) >= len(over_tcp)


@pytest.mark.parametrize("name", profile_names())
@pytest.mark.parametrize("baud", [1200, 9600, 115200])
def test_every_profile_can_be_read_over_every_line(name: str, baud: int) -> None:
    profile = load_profile(name)
    if not isinstance(profile.map, ModbusMap):
        return
    suited = profile_over(profile, ModbusRtuAddress("/dev/ttyS0", baud, 1))
    longest_s = max((13 + 2 * block.length) * 11 / baud for block in blocks(suited))
    assert longest_s < (0.8 if baud == 1200 else 0.45)
    assert isinstance(suited.map, ModbusMap)
    assert suited.map.texts == profile.map.texts
    assert all(text.words <= suited.map.reads.max_span for text in suited.map.texts)


def test_over_tcp_a_profile_stays_the_very_same() -> None:
    profile = load_profile("sim-meter")
    assert profile_over(profile, at("modbus://10.0.0.1/1")) is profile
    assert profile_over(profile, at("modbuss://10.0.0.1/1")) is profile


def test_what_a_serial_address_says_is_how_the_line_is_opened() -> None:
    line = line_to(ModbusRtuAddress("/dev/ttyS0", 19200, 1, Parity.EVEN, 2), Hearing())
    comm = line._way.comm  # type: ignore[attr-defined]  # of a PymodbusLine
    settings = dataclasses.asdict(comm)
    assert [settings[key] for key in ("host", "baudrate", "bytesize", "parity", "stopbits")] == [
        "/dev/ttyS0",
        19200,
        8,
        "E",
        2,
    ]
