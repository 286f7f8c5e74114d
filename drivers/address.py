"""Where a device is reached, as written in the configuration."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from drivers.errors import AddressError
from drivers.profile import ModbusMap, MqttMap, Profile

MODBUS_PORT = 502
MODBUS_TLS_PORT = 802
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
"""What serial lines run at."""
_FORMS = "modbus://HOST:PORT/UNIT or mqtt:TOPIC-PREFIX"
_SERIAL_FORM = "modbus+rtu:///dev/ttyUSB0?baud=9600/UNIT"
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_SERIAL = re.compile(r"modbus\+rtu://(?P<path>/[^?#]+)\?(?P<settings>[^/#]*)/(?P<unit>[^/]*)")


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


class Parity(StrEnum):
    """What a character on a serial line is checked by."""

    NONE = "N"
    EVEN = "E"
    ODD = "O"


@dataclass(frozen=True, slots=True)
class ModbusRtuAddress:
    """A unit on a serial line."""

    path: str
    baud: int
    unit: int
    parity: Parity = Parity.NONE
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class ModbusRtuTcpAddress:
    """A unit on a serial line behind a gateway that passes bytes on, and speaks no Modbus TCP itself."""

    host: str
    port: int
    unit: int


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """A device on the site's broker."""

    prefix: str


ModbusAddress = ModbusTcpAddress | ModbusTlsAddress | ModbusRtuAddress | ModbusRtuTcpAddress
Address = ModbusAddress | MqttAddress


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
        case "modbus+rtu-tcp":
            return _rtu_over_tcp(text)
        case "mqtt":
            return MqttAddress(_prefix(text, rest))
        case _:
            raise AddressError(f"{text!r}: unknown scheme {scheme!r}; write {_FORMS}")


def address_problem(profile: Profile, address: Address) -> str | None:
    """Why a device of that profile cannot be reached there; `None` = it can."""
    if isinstance(address, MqttAddress):
        if not isinstance(profile.map, MqttMap):
            return f"the profile {profile.name} speaks Modbus; write modbus://HOST:PORT/UNIT"
    elif not isinstance(profile.map, ModbusMap):
        return f"the profile {profile.name} speaks MQTT; write mqtt:TOPIC-PREFIX"
    return None


def _host_port_unit(text: str, default_port: int | None) -> tuple[str, int, int]:
    scheme = text.partition(":")[0]
    right = f"write {scheme}://HOST:PORT/UNIT"
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
    if port is None:
        port = default_port
    if port is None:
        raise AddressError(f"{text!r} has no port, and there is no usual one; {right}")
    return host, port, _unit(text, parts.path.removeprefix("/"), right)


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
    right = f"write {_SERIAL_FORM}"
    match = _SERIAL.fullmatch(text)
    if match is None:
        raise AddressError(f"{text!r} is not a serial line; {right}")
    settings: dict[str, str] = {}
    for setting in match["settings"].split("&"):
        name, _, value = setting.partition("=")
        if name not in {"baud", "parity", "stop"} or name in settings:
            problem = "is there twice" if name in settings else "is none of baud, parity and stop"
            raise AddressError(f"{text!r}: {name!r} {problem}; {right}")
        settings[name] = value
    unit = _wire_unit(text, _unit(text, match["unit"], right))
    return ModbusRtuAddress(match["path"], _baud(text, settings, right), unit, *_character(text, settings))


def _baud(text: str, settings: Mapping[str, str], right: str) -> int:
    if "baud" not in settings:
        raise AddressError(f"{text!r} does not say how fast the line is; {right}")
    bauds = {str(baud): baud for baud in BAUDS}
    if settings["baud"] not in bauds:
        known = ", ".join(bauds)
        raise AddressError(
            f"{text!r}: {settings['baud']!r} is no speed of a serial line; write one of {known}"
        )
    return bauds[settings["baud"]]


def _character(text: str, settings: Mapping[str, str]) -> tuple[Parity, int]:
    parity, stop = settings.get("parity", Parity.NONE), settings.get("stop", "1")
    if parity not in set(Parity):
        raise AddressError(f"{text!r}: parity {parity!r} is not possible; write N, E or O")
    if stop not in {"1", "2"}:
        raise AddressError(f"{text!r}: {stop!r} stop bits are not possible; write 1 or 2")
    return Parity(parity), int(stop)


def _rtu_over_tcp(text: str) -> ModbusRtuTcpAddress:
    host, port, unit = _host_port_unit(text, None)
    return ModbusRtuTcpAddress(host, port, _wire_unit(text, unit))


def _wire_unit(text: str, unit: int) -> int:
    if not 1 <= unit <= 247:
        # 0 speaks to all of them, and nobody answers.
        raise AddressError(f"{text!r}: unit {unit} is not possible on a serial line; 1 to 247 are")
    return unit


def _prefix(text: str, prefix: str) -> str:
    right = "write mqtt:TOPIC-PREFIX, as mqtt:site/rack-1"
    if not prefix or prefix.startswith("/") or prefix.endswith("/"):
        raise AddressError(f"{text!r}: the topic prefix is empty or begins or ends with a slash; {right}")
    if any(character in prefix for character in "#+\0") or any(c.isspace() for c in prefix):
        raise AddressError(f"{text!r}: a topic prefix has no wildcard and no space; {right}")
    return prefix
