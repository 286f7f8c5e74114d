"""Every broker that a site is tried with, and every version of MQTT that it speaks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt

from daemon.config.settings import MqttProtocol
from sim_devices.broker import EmbeddedBroker
from tests.world.mosquitto import mosquitto


@dataclass(frozen=True, slots=True)
class Reachable:
    """A running broker, for one version of MQTT."""

    url: str
    protocol: MqttProtocol
    devices_url: str
    """Where simulated devices connect, which speak MQTT 3.1.1."""

    @property
    def version(self) -> aiomqtt.ProtocolVersion:
        """What somebody else should speak with it."""
        v311 = self.protocol is MqttProtocol.V311
        return aiomqtt.ProtocolVersion.V311 if v311 else aiomqtt.ProtocolVersion.V5

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port


@dataclass(frozen=True, slots=True)
class BrokerKind:
    """A broker and the version that is spoken with it."""

    name: str
    protocol: MqttProtocol

    def __str__(self) -> str:
        return f"{self.name}-{self.protocol}"

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[Reachable]:
        """Start it, and end it with the block."""
        if self.name == "mosquitto":
            async with mosquitto(folder) as broker:
                yield Reachable(broker.url, self.protocol, broker.url)
            return
        async with EmbeddedBroker() as embedded:
            url = embedded.url_v5 if self.protocol is MqttProtocol.V5 else embedded.url_v311
            yield Reachable(url, self.protocol, embedded.url_v311)


BROKERS = tuple(
    BrokerKind(name, protocol)
    for name in ("mosquitto", "embedded")
    for protocol in (MqttProtocol.V5, MqttProtocol.V311)
)
