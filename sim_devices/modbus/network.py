"""Where the simulated Modbus TCP addresses listen."""

import asyncio
import socket
from collections.abc import Iterable

from sim_devices.modbus.connection import Connection
from sim_devices.modbus.endpoint import Endpoint

MOST_SOCKETS = 1000
"""More addresses than these share one listening socket: descriptors are few, and each connection is one."""
BACKLOG = 4096
PORT_TRIES = 20
LOOPBACK = "127."


class Network:
    """Endpoints on one port. Whoever refuses is not listening, or, on the shared socket, hangs up at once.

    Args:
        endpoints: each at another host of 127.0.0.0/8.
        share: all listen on one socket; by default if they are many.
    """

    def __init__(self, endpoints: Iterable[Endpoint], *, share: bool | None = None) -> None:
        self.port = 0
        self._endpoints = {endpoint.host: endpoint for endpoint in endpoints}
        self._share = len(self._endpoints) > MOST_SOCKETS if share is None else share
        self._servers: dict[str, asyncio.AbstractServer] = {}
        self._shared: asyncio.AbstractServer | None = None
        self._changed: set[Endpoint] = set()
        for endpoint in self._endpoints.values():
            if not endpoint.host.startswith(LOOPBACK):
                raise ValueError(f"{endpoint.host} is not on loopback")
            endpoint.watch(self._changed.add)

    @property
    def open_files(self) -> int:
        """Descriptors that are needed when every address has a connection."""
        return len(self._endpoints) + (1 if self._share else len(self._endpoints))

    def connections(self, host: str) -> frozenset[Connection]:
        """Those to an address that are open now."""
        return frozenset(self._endpoints[host].connections)

    async def open(self, port: int) -> int:
        """Listen; 0 takes a port that is free for all. Gives the port.

        Raises:
            OSError: somebody else listens there.
        """
        for left in reversed(range(PORT_TRIES)):
            self.port = port
            try:
                await self._open()
            except OSError:
                self.close()
                # Another address may have had its free port taken.
                if port or not left:
                    raise
            else:
                return self.port
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._shared is not None:
            self._shared.close()
            self._shared = None
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        for endpoint in self._endpoints.values():
            endpoint.cut()

    async def apply_faults(self) -> None:
        """Stop or resume listening as changed faults ask for."""
        changed, again = tuple(self._changed), set[Endpoint]()
        self._changed.clear()
        for endpoint in changed:
            listening = self._servers.get(endpoint.host)
            if endpoint.refuses:
                if listening is not None:
                    self._servers.pop(endpoint.host).close()
                endpoint.cut()
            elif listening is None and self._shared is None:
                try:
                    await self._listen(endpoint.host)
                except OSError:
                    # Somebody may have taken the port meanwhile; the next time may be better.
                    again.add(endpoint)
        self._changed |= again

    async def _open(self) -> None:
        if self._share:
            listener = _loopback_listener(self.port)
            self.port = int(listener.getsockname()[1])
            self._shared = await asyncio.get_running_loop().create_server(
                self._connection, sock=listener, backlog=BACKLOG
            )
            return
        for host in self._endpoints:
            await self._listen(host)

    async def _listen(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._connection, host, self.port)
        self._servers[host] = server
        self.port = self.port or int(server.sockets[0].getsockname()[1])

    def _connection(self) -> Connection:
        return Connection(self._endpoints.get)


def _loopback_listener(port: int) -> socket.socket:
    """A socket for every address of the loopback interface, and of no other.

    Raises:
        OSError: somebody else listens there.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        listener.bind(("0.0.0.0", port))  # noqa: S104 - of the loopback interface alone
        listener.setblocking(False)  # noqa: FBT003 - the library's signature
    except OSError:
        listener.close()
        raise
    return listener
