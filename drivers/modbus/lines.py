"""Which line leads to an address."""

from collections.abc import Hashable

from drivers.address import ModbusTcpAddress
from drivers.modbus.line import Line, LineUser
from drivers.modbus.tcp_line import TcpLine

ModbusAddress = ModbusTcpAddress


def end_of(address: ModbusAddress) -> Hashable:
    """The same for all units behind one connection."""
    return (address.host, address.port)


def line_to(address: ModbusAddress, user: LineUser) -> Line:
    """The line to the end where that unit is."""
    return TcpLine(address.host, address.port, user)
