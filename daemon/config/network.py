"""What a configuration makes the daemon connect to, for the people who write firewall rules."""

from dataclasses import dataclass
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
