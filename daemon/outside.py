"""What is outside the daemon, behind its ports: the real things, or a world in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import httpx2

from daemon.clock import Clock, Entropy
from daemon.config import Config, load_config
from daemon.mqtt.connection import LastWill, MqttConnection
from daemon.mqtt.lane import DeviceLane
from daemon.mqtt.port import BrokerLink, DeviceBus
from daemon.mqtt.topics import client_id, lane_client_id
from daemon.service import Notifier
from daemon.store import Store
from daemon.store.database import Connect

T = TypeVar("T")


class Aside(Protocol):
    """Does what takes long, while control goes on."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """What `work` returns or raises; it touches nothing that the event loop changes."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What is behind the daemon's ports: the real things, or a world in memory."""

    clock: Clock
    entropy: Entropy
    open_store: Callable[[Config], Awaitable[Store]]
    connect_samples: Connect
    link: Callable[[Config, Callable[[], LastWill]], BrokerLink]
    lane: Callable[[Config], DeviceBus]
    """The MQTT devices' own way to the broker; asked for only if there are any."""
    http: Callable[[Config], httpx2.AsyncClient]
    serve_http: bool
    notifier: Notifier
    read_config: Callable[[Path], Config] = load_config
    """For a reload; raises `ConfigurationError`, with a line for every mistake."""
    aside: Aside = asyncio.to_thread


def link_over_sockets(entropy: Entropy) -> Callable[[Config, Callable[[], LastWill]], BrokerLink]:
    """Connections to the configured broker."""

    def link(config: Config, will: Callable[[], LastWill]) -> BrokerLink:
        return MqttConnection(config.mqtt, client_id=client_id(config.site.id), entropy=entropy, will=will)

    return link


def lane_over_sockets(entropy: Entropy) -> Callable[[Config], DeviceBus]:
    """Connections for the devices of the configured broker."""

    def lane(config: Config) -> DeviceBus:
        return DeviceLane(config.mqtt, client_id=lane_client_id(config.site.id), entropy=entropy)

    return lane
