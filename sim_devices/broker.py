"""An MQTT broker that comes with pip, for the demo and for tests.

iotcore was chosen over amqtt: it speaks MQTT 5 as well as 3.1.1, keeps QoS 1 messages for a
persistent session, and runs in a process of its own. On MQTT 5 it delivers a stored message
without its retain flag.
"""

import asyncio
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import iotcore

START_TRIES = 5
_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v4.1]
name = "v311"
listen = "127.0.0.1:{v311}"
next_connection_delay_ms = 1
{connections_v4}
[v5.1]
name = "v5"
listen = "127.0.0.1:{v5}"
next_connection_delay_ms = 1
{connections_v5}"""
_CONNECTIONS = """\
[{listener}.connections]
connection_timeout_ms = 60000
max_payload_size = 524288
max_inflight_count = 100
dynamic_filters = true
"""


class EmbeddedBroker:
    """A broker in a child process that listens on loopback: MQTT 3.1.1 and MQTT 5 on a port each.

    The child ends with `stop`, and by itself if this process goes away.

    Args:
        v311_port, v5_port: 0 = any that is free.
    """

    def __init__(self, *, v311_port: int = 0, v5_port: int = 0) -> None:
        self._wanted = (v311_port, v5_port)
        self._ports = (0, 0)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._broker: iotcore.Broker | None = None

    @property
    def url_v311(self) -> str:
        """Where it speaks MQTT 3.1.1."""
        return f"mqtt://127.0.0.1:{self._ports[0]}"

    @property
    def url_v5(self) -> str:
        """Where it speaks MQTT 5."""
        return f"mqtt://127.0.0.1:{self._ports[1]}"

    def start(self) -> None:
        """Start the child and wait until it listens, about 0.3 s.

        Raises:
            OSError: a wanted port is in use.
            RuntimeError: the child does not come up.
        """
        for left in reversed(range(START_TRIES)):
            self._ports = (self._wanted[0] or _free_port(), self._wanted[1] or _free_port())
            try:
                self._start()
            except (OSError, RuntimeError):
                self.stop()
                # Somebody else took the free port first.
                if all(self._wanted) or not left:
                    raise
            else:
                return

    def stop(self) -> None:
        """End the child. Safe to call twice."""
        if self._broker is not None:
            self._broker.stop()
            self._broker = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="quotawatt-broker-")
        config = Path(self._folder.name) / "broker.toml"
        v311, v5 = self._ports
        config.write_text(
            _CONFIG.format(
                v311=v311,
                v5=v5,
                connections_v4=_CONNECTIONS.format(listener="v4.1"),
                connections_v5=_CONNECTIONS.format(listener="v5.1"),
            ),
            encoding="ascii",
        )
        self._broker = iotcore.Broker(config_path=str(config))
        self._broker.start()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
