"""What the system is asked to do for a connection."""

import asyncio
import contextlib
import socket

SILENT_MS = 10_000
"""What was sent and is not acknowledged for so long ends the connection."""
KEEPALIVE_S = 10
"""An idle connection is tried after so long, three times 5 s apart."""
_OPTIONS = (
    ("IPPROTO_TCP", "TCP_NODELAY", 1),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", SILENT_MS),
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", KEEPALIVE_S),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 5),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 3),
)
_FOUND = tuple(
    (getattr(socket, level), getattr(socket, option), value)
    for level, option, value in _OPTIONS
    if hasattr(socket, option)
)


def set_options(transport: asyncio.BaseTransport) -> None:
    """Notice a peer that is gone; a serial line, or a connection in memory, has no socket."""
    held = transport.get_extra_info("socket")
    if held is None:
        return
    # Once for all options: uvloop's own makes a socket of it for each.
    connection = socket.socket(fileno=held.fileno())
    try:
        with contextlib.suppress(OSError):  # it is gone already, and will say so
            for level, option, value in _FOUND:
                connection.setsockopt(level, option, value)
    finally:
        connection.detach()
