"""What the system is asked to do for a connection."""

import asyncio
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


def set_options(transport: asyncio.BaseTransport) -> None:
    """Notice a peer that is gone; a serial line, or a connection in memory, has no socket."""
    connection = transport.get_extra_info("socket")
    if connection is None:
        return
    for level, option, value in _OPTIONS:
        if hasattr(socket, option):
            connection.setsockopt(getattr(socket, level), getattr(socket, option), value)
