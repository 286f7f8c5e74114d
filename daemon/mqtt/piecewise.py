"""A socket between a broker and paho: read in pieces; what floods consist of never gets as far as paho."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

from daemon.mqtt.packets import NotMqttError, frame_at, is_plain_publish, read_plain_publish
from daemon.mqtt.wire import Heard

_PIECE = 4096
"""Bytes: some five orders. What is read at once is handed on at once; nobody else has a turn meanwhile."""
_MOST = 65_536
"""Bytes that are read at once of a long packet."""

Taker = Callable[[bytes, int], tuple[int, int]]
"""Takes what is not for paho from where a packet begins; says where paho goes on, and the bytes of the packet
there, which may be more than have come; 0 bytes = what has come of that packet is to be kept."""


class PiecewiseSocket:
    """A socket that is read in pieces, where paho asks for a byte, a byte, and the rest of every packet.

    `pending` tells aiomqtt to go on without waiting for the socket. There is one piece at a time, and the
    next one not before everybody else has had a turn: so a sender who never pauses does not keep the loop.
    """

    def __init__(self, sock: socket.socket, take: Taker) -> None:
        self._sock, self._take = sock, take
        self._piece, self._at = b"", 0
        self._rest = b""
        """The beginning of a packet that is not for paho, or of which too little has come to tell."""
        self._for_paho = 0
        """Bytes of the packet that paho has begun to read."""
        self._next_piece = True

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; none = the other end has closed.

        Raises:
            OSError: as the socket's; BlockingIOError and SSLWantReadError = nothing is there now.
        """
        if self._at == len(self._piece):
            if not self._next_piece:
                raise BlockingIOError
            came = self._sock.recv(min(max(size, _PIECE), _MOST))
            if not came:
                return came
            self._piece, self._at = self._rest + came, 0
            self._rest = b""
            self._next_piece = False
        if not self._for_paho:
            self._at, self._for_paho = self._take(self._piece, self._at)
            if not self._for_paho:
                self._rest, self._at = self._piece[self._at :], len(self._piece)
                raise BlockingIOError
        found = self._piece[self._at : self._at + min(size, self._for_paho)]
        self._at += len(found)
        self._for_paho -= len(found)
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


def taker(heard: Heard, *, has_properties: bool) -> Taker:
    """Hands every whole PUBLISH at QoS 0 to `heard`: paho takes 120 µs for one, and there is nothing to it.

    All else, and what is very long, is for paho. `has_properties` = MQTT 5 is spoken.
    """

    def take(data: bytes, at: int) -> tuple[int, int]:
        while True:
            try:
                body, stop = frame_at(data, at)
                if not body:
                    return at, 0
                if not is_plain_publish(data[at]) or stop - at > _MOST:
                    return at, stop - at
                if stop > len(data):
                    return at, 0
                message = read_plain_publish(data, data[at], body, stop, has_properties=has_properties)
            except NotMqttError as error:
                raise ConnectionError(f"the broker sent no MQTT: {error}") from error
            heard(*message)
            at = stop

    return take
