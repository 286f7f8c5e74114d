"""Which line leads to an address, and what it means for what is asked over it."""

import functools
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from drivers.address import (
    ModbusAddress,
    ModbusRtuAddress,
    ModbusRtuTcpAddress,
    ModbusTcpAddress,
    ModbusTlsAddress,
)
from drivers.errors import AddressError
from drivers.modbus.line import Line, LineUser
from drivers.modbus.pymodbus_line import PymodbusLine
from drivers.modbus.tcp_line import TcpLine
from drivers.profile import ModbusMap, Profile
from drivers.tls import TlsFiles, client_context

WORTH_BRIDGING_ON_RTU = 7
"""Registers of a hole that cost less there than another request."""
LONGEST_ANSWER_S = 0.4
"""On a serial line: what is asked for together is on the wire no longer, where 32 registers can be."""
_CHARACTER_BITS = 11
_LEAST_SPAN = 32
_FRAME_CHARACTERS = 13
"""Of request and answer, without the registers."""

MakeLine = Callable[[ModbusAddress, LineUser], Line]


def end_of(address: ModbusAddress) -> str:
    """A name, the same for all units behind one connection and for no others."""
    match address:
        case ModbusRtuAddress():
            return address.path
        case ModbusTcpAddress():
            return _host_port(address)
        case ModbusTlsAddress():
            return f"{_host_port(address)} (TLS)"
        case ModbusRtuTcpAddress():
            return f"{_host_port(address)} (RTU)"
        case _:
            assert_never(address)


def line_to(address: ModbusAddress, user: LineUser, context: ssl.SSLContext | None = None) -> Line:
    """The line to the end where that unit is.

    Args:
        address: of one of the units there.
        user: who asks over it.
        context: for TLS.

    Raises:
        AddressError: it is reached over TLS, and there is no context.
    """
    match address:
        case ModbusTcpAddress():
            return TcpLine(address.host, address.port, user)
        case ModbusTlsAddress() if context is not None:
            return PymodbusLine.tls(address.host, address.port, context, user)
        case ModbusTlsAddress():
            raise AddressError(f"{end_of(address)}: no authority for its certificate is named")
        case ModbusRtuTcpAddress():
            return PymodbusLine.rtu_over_tcp(address.host, address.port, user)
        case ModbusRtuAddress():
            return PymodbusLine.serial(address.path, address.baud, address.parity, address.stop_bits, user)
        case _:
            assert_never(address)


def lines(tls: TlsFiles | None) -> MakeLine:
    """What makes the lines of a site.

    Raises:
        TlsFileError: a file holds something else than it should.
    """
    return functools.partial(line_to, context=None if tls is None else client_context(tls))


def profile_over(profile: Profile, address: ModbusAddress) -> Profile:
    """The profile, asked for in such pieces as suit the way to the address."""
    register_map = profile.map
    if isinstance(address, ModbusTcpAddress | ModbusTlsAddress) or not isinstance(register_map, ModbusMap):
        return profile
    reads = register_map.reads
    reads = replace(
        reads,
        max_gap=min(reads.max_gap, WORTH_BRIDGING_ON_RTU),
        max_span=min(reads.max_span, _most_registers(register_map, address)),
    )
    return replace(profile, map=replace(register_map, reads=reads))


def _most_registers(register_map: ModbusMap, address: ModbusRtuAddress | ModbusRtuTcpAddress) -> int:
    """How many may be asked for at once, so that the answer is there before its deadline."""
    if isinstance(address, ModbusRtuTcpAddress):
        return register_map.reads.max_span  # how fast the wire behind it is nobody says
    characters = LONGEST_ANSWER_S * address.baud / _CHARACTER_BITS
    longest = max((text.words for text in register_map.texts), default=0)
    return max(_LEAST_SPAN, longest, int(characters - _FRAME_CHARACTERS) // 2)


def _host_port(address: ModbusTcpAddress | ModbusTlsAddress | ModbusRtuTcpAddress) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"
