"""Addresses as written in the configuration."""

import pytest

from drivers.address import (
    Address,
    ModbusRtuAddress,
    ModbusTcpAddress,
    ModbusTlsAddress,
    MqttAddress,
    address_problem,
    parse_address,
)
from drivers.errors import AddressError
from drivers.profiles import load_profile


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("modbus://10.0.0.5:502/1", ModbusTcpAddress("10.0.0.5", 502, 1)),
        ("modbus://10.0.0.5/0", ModbusTcpAddress("10.0.0.5", 502, 0)),
        ("modbus://[::1]:1502/255", ModbusTcpAddress("::1", 1502, 255)),
        ("modbus://meter-1.site:502/247", ModbusTcpAddress("meter-1.site", 502, 247)),
        ("modbuss://10.0.0.5/7", ModbusTlsAddress("10.0.0.5", 802, 7)),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600/3", ModbusRtuAddress("/dev/ttyUSB0", 9600, 3)),
        ("mqtt:hall-a/rack-1", MqttAddress("hall-a/rack-1")),
    ],
)
def test_reads(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.5:502/1", "unknown scheme"),
        ("meter", "has no scheme; write modbus://"),
        ("http://10.0.0.5/1", "unknown scheme 'http'"),
        ("modbus://10.0.0.5:502", "the unit must be a number"),
        ("modbus://10.0.0.5:502/x", "the unit must be a number"),
        ("modbus://10.0.0.5:502/01", "the unit must be a number"),
        ("modbus://10.0.0.5:502/1/2", "the unit must be a number"),
        ("modbus://10.0.0.5:502/248", "unit 248 is not possible"),
        ("modbus://10.0.0.5:502/256", "unit 256 is not possible"),
        ("modbus://:502/1", "has no host"),
        ("modbus:///1", "has no host"),
        ("modbus://10.0.0.5:0/1", "port 0"),
        ("modbus://10.0.0.5:99999/1", "[Pp]ort out of range"),
        ("modbus://10.0.0.5:a/1", "write modbus://HOST:PORT/UNIT"),
        ("modbus://[::1/1", "write modbus://HOST:PORT/UNIT"),
        ("modbus://10.0.0.{1-5}:502/1", "is no host name"),
        ("modbus://a..b:502/1", "is no host name"),
        (f"modbus://{'a' * 64}.b:502/1", "is no host name"),
        ("modbus://[1::2::3]:502/1", "write modbus://HOST:PORT/UNIT"),
        ("modbus://me@10.0.0.5:502/1", "only host, port and unit"),
        ("modbus://10.0.0.5:502/1?x=1", "only host, port and unit"),
        ("modbus+rtu://ttyUSB0/1", "is not a serial line"),
        ("mqtt:", "prefix is empty"),
        ("mqtt:rack/", "begins or ends with a slash"),
        ("mqtt:rack/+", "no wildcard"),
    ],
)
def test_says_what_is_wrong_and_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(AddressError, match=message):
        parse_address(text)


def test_says_what_is_not_there_yet_and_what_does_not_fit() -> None:
    meter, rack = load_profile("sim-meter"), load_profile("sim-gpu-rack")
    assert address_problem(meter, parse_address("modbus://127.0.0.1:502/1")) is None
    assert address_problem(rack, parse_address("mqtt:rack-1")) is None
    for profile, text, said in (
        (meter, "modbuss://127.0.0.1/1", "not supported yet"),
        (meter, "modbus+rtu:///dev/ttyS0?baud=9600/1", "not supported yet"),
        (meter, "mqtt:meter", "speaks Modbus"),
        (rack, "modbus://127.0.0.1:502/1", "speaks MQTT"),
    ):
        assert said in (address_problem(profile, parse_address(text)) or "")
