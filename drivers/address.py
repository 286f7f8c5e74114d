"""Where a device is reached, as written in the configuration."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from drivers.errors import AddressError
from drivers.profile import ModbusMap, MqttMap, Profile

MODBUS_PORT = 502
MODBUS_TLS_PORT = 802
_FORMS = "modbus://HOST:PORT/UNIT or mqtt:TOPIC-PREFIX"
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_SERIAL = re.compile(r"modbus\+rtu://(?P<path>/[^?]+)\?baud=(?P<baud>[0-9]{3,7})/(?P<unit>[0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class ModbusTcpAddress:
    """A unit behind a Modbus TCP server."""

    host: str
    port: int
    unit: int


@dataclass(frozen=True, slots=True)
class ModbusTlsAddress:
    """A unit behind a Modbus/TCP Security server."""

    host: str
    port: int
    unit: int


@dataclass(frozen=True, slots=True)
class ModbusRtuAddress:
    """A unit on a serial line."""

    path: str
    baud: int
    unit: int


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """A device on the site's broker."""

    prefix: str


Address = ModbusTcpAddress | ModbusTlsAddress | ModbusRtuAddress | MqttAddress


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        AddressError: what is wrong, and what would be right.
    """
    scheme, separator, rest = text.partition(":")
    if not separator:
        raise AddressError(f"{text!r} has no scheme; write {_FORMS}")
    match scheme:
        case "modbus":
            return ModbusTcpAddress(*_host_port_unit(text, MODBUS_PORT))
        case "modbuss":
            return ModbusTlsAddress(*_host_port_unit(text, MODBUS_TLS_PORT))
        case "modbus+rtu":
            return _serial(text)
        case "mqtt":
            return MqttAddress(_prefix(text, rest))
        case _:
            raise AddressError(f"{text!r}: unknown scheme {scheme!r}; write {_FORMS}")


def address_problem(profile: Profile, address: Address) -> str | None:
    """Why a device of that profile cannot be reached there; `None` = it can."""
    match address:
        case ModbusTlsAddress():
            return "modbuss:// (Modbus over TLS) is not supported yet; use modbus://"
        case ModbusRtuAddress():
            return "modbus+rtu:// (a serial line) is not supported yet; use modbus:// to a serial gateway"
        case ModbusTcpAddress() if not isinstance(profile.map, ModbusMap):
            return f"the profile {profile.name} speaks MQTT; write mqtt:TOPIC-PREFIX"
        case MqttAddress() if not isinstance(profile.map, MqttMap):
            return f"the profile {profile.name} speaks Modbus; write modbus://HOST:PORT/UNIT"
        case _:
            return None


def _host_port_unit(text: str, default_port: int) -> tuple[str, int, int]:
    right = "write modbus://HOST:PORT/UNIT"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"{text!r}: {error}; {right}") from None
    if parts.username is not None or parts.query or parts.fragment:
        raise AddressError(f"{text!r}: only host, port and unit may be there; {right}")
    host = _host(text, parts, right)
    if port == 0:
        raise AddressError(f"{text!r}: port 0 cannot be connected to; {right}")
    return host, default_port if port is None else port, _unit(text, parts.path.removeprefix("/"), right)


def _host(text: str, parts: SplitResult, right: str) -> str:
    host = parts.hostname
    if not host:
        raise AddressError(f"{text!r} has no host; {right}")
    if not (_is_ipv6(host) if ":" in host else _HOST_NAME.fullmatch(host)):
        raise AddressError(f"{text!r}: {host!r} is no host name; {right}")
    return host


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _unit(text: str, unit: str, right: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,2}", unit):
        raise AddressError(f"{text!r}: the unit must be a number after the slash; {right}")
    number = int(unit)
    if number > 247 and number != 255:
        raise AddressError(f"{text!r}: unit {number} is not possible; 0 to 247 are, and 255")
    return number


def _serial(text: str) -> ModbusRtuAddress:
    right = "write modbus+rtu:///dev/ttyUSB0?baud=9600/UNIT"
    match = _SERIAL.fullmatch(text)
    if match is None:
        raise AddressError(f"{text!r} is not a serial line; {right}")
    return ModbusRtuAddress(match["path"], int(match["baud"]), _unit(text, match["unit"], right))


def _prefix(text: str, prefix: str) -> str:
    right = "write mqtt:TOPIC-PREFIX, as mqtt:site/rack-1"
    if not prefix or prefix.startswith("/") or prefix.endswith("/"):
        raise AddressError(f"{text!r}: the topic prefix is empty or begins or ends with a slash; {right}")
    if any(character in prefix for character in "#+\0") or any(c.isspace() for c in prefix):
        raise AddressError(f"{text!r}: a topic prefix has no wildcard and no space; {right}")
    return prefix
