"""Addresses as written in the configuration."""

import pytest

from drivers.address import (
    Address,
    ModbusRtuAddress,
    ModbusRtuTcpAddress,
    ModbusTcpAddress,
    ModbusTlsAddress,
    MqttAddress,
    Parity,
    address_problem,
    parse_address,
)
from drivers.errors import AddressError
from drivers.profiles import load_profile

MODBUS = (
    "modbus://127.0.0.1:502/1",
    "modbuss://127.0.0.1/1",
    "modbus+rtu:///dev/ttyS0?baud=9600/1",
    "modbus+rtu-tcp://127.0.0.1:4001/1",
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("modbus://10.0.0.5:502/1", ModbusTcpAddress("10.0.0.5", 502, 1)),
        ("modbus://10.0.0.5/0", ModbusTcpAddress("10.0.0.5", 502, 0)),
        ("modbus://[::1]:1502/255", ModbusTcpAddress("::1", 1502, 255)),
        ("modbus://meter-1.site:502/247", ModbusTcpAddress("meter-1.site", 502, 247)),
        ("modbuss://10.0.0.5/7", ModbusTlsAddress("10.0.0.5", 802, 7)),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600/3", ModbusRtuAddress("/dev/ttyUSB0", 9600, 3)),
        (
            "modbus+rtu:///dev/serial/by-id/usb-FTDI_1-if00?baud=19200&parity=E&stop=2/247",
            ModbusRtuAddress("/dev/serial/by-id/usb-FTDI_1-if00", 19200, 247, Parity.EVEN, 2),
        ),
        (
            "modbus+rtu:///dev/ttyS0?stop=1&parity=O&baud=115200/1",
            ModbusRtuAddress("/dev/ttyS0", 115200, 1, Parity.ODD),
        ),
        ("modbus+rtu-tcp://10.0.0.7:4001/12", ModbusRtuTcpAddress("10.0.0.7", 4001, 12)),
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
        ("modbuss://10.0.0.5:x/1", "write modbuss://HOST:PORT/UNIT"),
        ("modbus+rtu://ttyUSB0/1", "is not a serial line; write modbus.rtu:///dev"),
        ("modbus+rtu://dev/ttyUSB0?baud=9600/1", "is not a serial line"),
        ("modbus+rtu:///dev/ttyUSB0/1", "is not a serial line"),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600", "is not a serial line"),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600/0", "unit 0 is not possible on a serial line; 1 to 247"),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600/255", "unit 255 is not possible on a serial line"),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600/x", "the unit must be a number"),
        ("modbus+rtu:///dev/ttyUSB0?baud=9601/1", "'9601' is no speed of a serial line; write one of 1200"),
        ("modbus+rtu:///dev/ttyUSB0?parity=E/1", "does not say how fast the line is"),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600&parity=M/1", "parity 'M' is not possible; write N, E or O"),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600&stop=3/1", "'3' stop bits are not possible; write 1 or 2"),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600&bits=7/1", "'bits' is none of baud, parity and stop"),
        ("modbus+rtu:///dev/ttyUSB0?baud=9600&baud=9600/1", "'baud' is there twice"),
        ("modbus+rtu-tcp://10.0.0.7/1", "has no port, and there is no usual one; write modbus.rtu-tcp://"),
        ("modbus+rtu-tcp://10.0.0.7:4001/0", "unit 0 is not possible on a serial line"),
        ("mqtt:", "prefix is empty"),
        ("mqtt:rack/", "begins or ends with a slash"),
        ("mqtt:rack/+", "no wildcard"),
    ],
)
def test_says_what_is_wrong_and_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(AddressError, match=message):
        parse_address(text)


def test_says_what_does_not_fit() -> None:
    meter, rack = load_profile("sim-meter"), load_profile("sim-gpu-rack")
    for text in MODBUS:
        assert address_problem(meter, parse_address(text)) is None
        assert "speaks MQTT" in (address_problem(rack, parse_address(text)) or "")
    assert address_problem(rack, parse_address("mqtt:rack-1")) is None
    assert "speaks Modbus" in (address_problem(meter, parse_address("mqtt:meter")) or "")
