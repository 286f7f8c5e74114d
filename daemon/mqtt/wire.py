"""The bytes of a connection to a broker, cut into packets."""

import asyncio
from collections.abc import Callable
from typing import cast

from daemon.mqtt.packets import NotMqttError, Version, frame_at, is_plain_publish, read_plain_publish

MOST_BYTES = 262_144
"""Of a packet that is looked at; a longer one is let go by without being kept."""

Heard = Callable[[bytes, bytes, bool], None]
"""Takes topic, payload, retained."""
Told = Callable[[int, bytes], None]
"""Takes the packet's first byte and its body."""


class Wire(asyncio.Protocol):
    """Hands over what a broker sends.

    Args:
        version: which MQTT is spoken.
        heard: takes every PUBLISH; the one thing here that is called thousands of times a second.
        told: takes every other packet.
    """

    def __init__(self, version: Version, heard: Heard, told: Told) -> None:
        self._version, self._heard, self._told = version, heard, told
        self._v5 = version is Version.V5
        self._rest = b""
        self._passing = 0
        """Bytes of a packet that is too long which are still to come."""
        self.transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        """Why the connection ended; `None` = the broker closed it. Raises what nobody foresaw."""
        self.too_long = 0
        """Packets that were let go by."""
        self.chunks = 0
        """Times that anything came."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is a transport, and no instance of the class.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed.done():
            return
        if exc is None or isinstance(exc, OSError | NotMqttError):
            self.closed.set_result(exc)
        else:
            self.closed.set_exception(exc)

    def end(self, why: Exception) -> None:
        """Close at once: the connection is of no use any more."""
        if not self.closed.done():
            self.closed.set_result(why)
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.chunks += 1
        if self.closed.done():
            return
        if self._passing:
            passed = min(self._passing, len(data))
            self._passing -= passed
            data = data[passed:]
        if self._rest:
            data = self._rest + data
        try:
            used = self._take(data)
        except NotMqttError as error:
            self.end(error)
            return
        self._rest = data[used:] if used < len(data) else b""

    def _take(self, data: bytes) -> int:
        """Hand over the whole packets; how many bytes they were."""
        at, end = 0, len(data)
        while True:
            body, stop = frame_at(data, at)
            if not body:
                return at
            if stop > end:
                if stop - body <= MOST_BYTES:
                    return at
                self.too_long += 1
                self._passing = stop - end
                return end
            head = data[at]
            if is_plain_publish(head):
                self._heard(*read_plain_publish(data, head, body, stop, has_properties=self._v5))
            else:
                self._told(head, data[body:stop])
            at = stop
