"""The MQTT client behind the connection: aiomqtt's, made to cost less for every message."""

import asyncio
import contextlib
import socket
import ssl
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.client import MQTTMessage

from drivers.ports import TopicHandler

_PIECE = 4096
"""Bytes: some five orders. What is read at once is handed on at once; nobody else has a turn meanwhile."""
_MOST = 65_536
"""Bytes that are read at once of a long packet."""


class ClosedError(aiomqtt.MqttError):
    """The broker closed the connection instead of answering."""


class Client(aiomqtt.Client):
    """Hands messages on as they come, and notices a connection that is closed before CONNACK.

    aiomqtt 2.5 would queue messages, at 60 µs and more for each, and wait its whole time-out.
    """

    def __init__(self, deliver: TopicHandler, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deliver = deliver

    async def ended(self) -> None:
        """Wait for the end of the connection.

        Raises:
            MqttError: how it ended.
        """
        await asyncio.shield(self._disconnected)
        raise ClosedError("the connection ended")

    def _on_message(self, _client: object, _userdata: object, message: MQTTMessage) -> None:
        with contextlib.suppress(UnicodeDecodeError):  # a topic that is no text is nobody's
            self._deliver(message.topic, bytes(message.payload), message.retain)

    def _on_disconnect(self, *args: Any, **kwargs: Any) -> None:
        if not self._connected.done():
            self._connected.set_exception(ClosedError("the broker closed the connection"))
        super()._on_disconnect(*args, **kwargs)

    def _on_socket_open(self, client: paho.Client, userdata: object, sock: Any) -> None:
        # An answer of two small packets must not wait 40 ms for the acknowledgement of the first.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super()._on_socket_open(client, userdata, sock)
        client._sock = PiecewiseSocket(sock)  # noqa: SLF001  paho has no other way in


class PiecewiseSocket:
    """A socket that is read in pieces, where paho asks for a byte, a byte, and the rest of every packet.

    `pending` tells aiomqtt to go on without waiting for the socket. There is one piece at a time, and the
    next one not before everybody else has had a turn: so a sender who never pauses does not keep the loop.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._piece, self._at = b"", 0
        self._next_piece = True

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; none = the other end has closed.

        Raises:
            OSError: as the socket's; BlockingIOError and SSLWantReadError = nothing is there now.
        """
        if self._at == len(self._piece):
            if not self._next_piece:
                raise BlockingIOError
            self._piece, self._at = self._sock.recv(min(max(size, _PIECE), _MOST)), 0
            self._next_piece = False
        found = self._piece[self._at : self._at + size]
        self._at += len(found)
        return found

    def pending(self) -> int:
        """Bytes that are there although the socket may not be readable; asked for between two packets."""
        own = len(self._piece) - self._at
        if own:
            return own
        self._next_piece = True
        # Of one TLS record: what it holds has been taken from the socket.
        return self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
