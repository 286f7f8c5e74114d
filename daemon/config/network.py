"""What a configuration makes the daemon connect to, for the people who write firewall rules."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from urllib.parse import urlsplit

from daemon.config.settings import Config
from drivers.address import ModbusRtuTcpAddress, ModbusTcpAddress, ModbusTlsAddress

_PROTOCOLS = {
    ModbusTcpAddress: "modbus",
    ModbusTlsAddress: "modbuss",
    ModbusRtuTcpAddress: "modbus+rtu-tcp",
}


@dataclass(frozen=True, slots=True, order=True)
class Destination:
    """An address; `purpose` = `listen` is one that others connect to."""

    purpose: str
    protocol: str
    host: str
    port: int


def destinations(config: Config) -> list[Destination]:
    """Every address once: the local interface, the broker, the exchange, then the devices."""
    mqtt = config.mqtt
    found = [
        Destination("listen", "http", config.http_listen.host, config.http_listen.port),
        Destination("broker", "mqtts" if mqtt.tls else "mqtt", mqtt.host, mqtt.port),
    ]
    if config.settlement is not None:
        url = urlsplit(config.settlement.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        found.append(Destination("exchange", url.scheme, url.hostname or "", port))
    devices = {
        Destination("device", _PROTOCOLS[type(address)], address.host, address.port): None
        for address in (device.address for device in config.devices)
        if isinstance(address, ModbusTcpAddress | ModbusTlsAddress | ModbusRtuTcpAddress)
    }
    return [*found, *devices]


def unit_lines(found: Iterable[Destination]) -> list[str]:
    """A drop-in for the unit that lets the service reach these and nothing else.

    Names cannot stand there: each gets a line that says so.
    """
    v4: set[IPv4Network] = set()
    v6: set[IPv6Network] = set()
    names: dict[str, None] = {}
    for destination in found:
        try:
            address = ip_address(destination.host)
        except ValueError:
            if destination.host != "localhost":
                names[destination.host] = None
            continue
        if address.is_loopback or address.is_unspecified:
            continue
        net = ip_network(address)
        if isinstance(net, IPv4Network):
            v4.add(net)
        else:
            v6.add(net)
    nets = [*collapse_addresses(v4), *collapse_addresses(v6)]
    lines = ["[Service]", "IPAddressDeny=any", "IPAddressAllow=localhost"]
    lines += [f"IPAddressAllow={net}" for net in nets]
    lines += [
        f"# {name} is a name: add IPAddressAllow= for its addresses and its name server's" for name in names
    ]
    return lines
