"""A line of any kind over a real connection, and a peer that answers what a test wants."""

import asyncio
import contextlib
import os
import ssl
import struct
import tempfile
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from drivers.modbus.frames import Buffer
from drivers.modbus.line import Line, LineUser
from drivers.modbus.planning import Block
from drivers.modbus.pymodbus_line import PymodbusLine
from drivers.modbus.requests import Request
from drivers.modbus.tcp_line import TcpLine
from tests.world.certificates import Authority
from tests.world.modbus_peer import Asked, ScriptedPeer

PATIENCE_S = 3.0
"""For what must come."""
SILENCE_S = 0.2
"""For what must not."""


class Kind(StrEnum):
    TCP = "own-tcp"
    PYMODBUS_TCP = "pymodbus-tcp"
    PYMODBUS_TLS = "pymodbus-tls"
    PYMODBUS_RTU_TCP = "pymodbus-rtu-tcp"
    PYMODBUS_SERIAL = "pymodbus-serial"

    @property
    def is_rtu(self) -> bool:
        return self in {Kind.PYMODBUS_RTU_TCP, Kind.PYMODBUS_SERIAL}


STREAMS = [kind for kind in Kind if not kind.is_rtu]


class Outcome(NamedTuple):
    """What the user of a line heard of a request."""

    what: str
    """answered, failed, closed or silence."""
    words: tuple[int, ...] = ()
    error: Exception | None = None
    why: str = ""
    desync: bool = False


@dataclass
class Hearing:
    """Implements `LineUser`."""

    heard: asyncio.Queue[tuple[Request | None, Outcome]] = field(default_factory=asyncio.Queue)
    opened_times: int = 0
    on_answer: Callable[[], None] | None = None

    def opened(self) -> None:
        self.opened_times += 1

    def answered(self, request: Request, data: Buffer, start: int, end: int) -> None:
        words = struct.unpack(f">{(end - start) // 2}H", bytes(data[start:end]))
        self.heard.put_nowait((request, Outcome("answered", words)))
        if self.on_answer is not None:
            self.on_answer()

    def failed(self, request: Request, error: Exception) -> None:
        self.heard.put_nowait((request, Outcome("failed", error=error)))

    def closed(self, why: str, *, desync: bool) -> None:
        self.heard.put_nowait((None, Outcome("closed", why=why, desync=desync)))


@dataclass
class Far:
    """The far end, below the peer."""

    write: Callable[[bytes], None]
    """Bytes as they are."""
    hang_up: Callable[[], None]
    refuse: Callable[[], None]
    """Listen no more."""
    framed: Callable[[bytes], bytes] = bytes
    """A frame of Modbus TCP as it goes over this connection."""


@dataclass
class LineBench:
    """A line that is open, and who stands at its ends."""

    line: Line
    user: Hearing
    peer: ScriptedPeer
    far: Far

    async def trickle(self, frame: bytes, pause_s: float) -> None:
        """Send an answer byte by byte."""
        for byte in self.far.framed(frame):
            self.far.write(bytes((byte,)))
            await asyncio.sleep(pause_s)

    async def hear(self, within_s: float = PATIENCE_S) -> tuple[Request | None, Outcome]:
        try:
            async with asyncio.timeout(within_s):
                return await self.user.heard.get()
        except TimeoutError:
            return None, Outcome("silence")

    async def ask(self, request: Request, within_s: float = PATIENCE_S) -> Outcome:
        """Ask and wait; given up if nothing is heard."""
        self.line.ask(request)
        heard, outcome = await self.hear(within_s)
        if outcome.what in {"answered", "failed"}:
            assert heard is request
        elif outcome.what == "silence":
            self.line.abandon(request)
        return outcome

    async def open(self) -> None:
        times = self.user.opened_times
        await self.line.open()
        async with asyncio.timeout(2):
            while self.user.opened_times == times:  # noqa: ASYNC110  as with a fleet, nothing signals it
                await asyncio.sleep(0.001)


def read(unit: int = 1, address: int = 16, count: int = 4, function: int = 3) -> Request:
    return Request.read(unit, Block(function, address, count))


def values(request: Request) -> tuple[int, ...]:
    """What an unspoilt peer holds there: every register its own address."""
    return tuple(range(request.address, request.address + request.count))


@contextlib.asynccontextmanager
async def bench(kind: Kind) -> AsyncIterator[LineBench]:
    """A line of that kind, open."""
    peer, user = ScriptedPeer(), Hearing()
    async with contextlib.AsyncExitStack() as stack:
        line, far = await stack.enter_async_context(_line_to(kind, peer, user))
        made = LineBench(line, user, peer, far)
        await made.open()
        try:
            yield made
        finally:
            line.close()
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def _line_to(kind: Kind, peer: ScriptedPeer, user: LineUser) -> AsyncIterator[tuple[Line, Far]]:
    match kind:
        case Kind.PYMODBUS_SERIAL:
            async with serial_peer(peer) as (path, far):
                yield PymodbusLine.serial(path, 115200, "N", 1, user), far
        case Kind.PYMODBUS_RTU_TCP:
            async with rtu_peer(peer) as (port, far):
                yield PymodbusLine.rtu_over_tcp("127.0.0.1", port, user), far
        case Kind.PYMODBUS_TLS:
            with Authority.temporary() as authority:
                async with serving(peer, authority.server_context()) as (port, far):
                    yield PymodbusLine.tls("127.0.0.1", port, authority.client_context(), user), far
        case Kind.PYMODBUS_TCP:
            async with serving(peer) as (port, far):
                yield PymodbusLine.tcp("127.0.0.1", port, user), far
        case Kind.TCP:
            async with serving(peer) as (port, far):
                yield TcpLine("127.0.0.1", port, user), far


@contextlib.asynccontextmanager
async def serving(
    peer: ScriptedPeer, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, Far]]:
    """Modbus TCP, with TLS if there is a context: its port and far end."""
    server, port = await peer.listen(context=context)

    def write(data: bytes) -> None:
        peer.open[-1].send(data)

    def hang_up() -> None:
        for connection in list(peer.open):
            connection.drop()

    try:
        yield port, Far(write, hang_up, server.close)
    finally:
        server.close()
        hang_up()
        await asyncio.sleep(0.01)


# --- RTU: what the peer says on Modbus TCP is put into frames with a check sum -------------------------


def check_sum(frame: bytes) -> bytes:
    """Written after the standard's text, not after a library."""
    register = 0xFFFF
    for byte in frame:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register.to_bytes(2, "little")


def rtu(answer: bytes) -> bytes:
    """The frames of Modbus TCP as RTU frames."""
    if not answer:
        return b""
    size = 6 + int.from_bytes(answer[4:6], "big")
    return answer[6:size] + check_sum(answer[6:size]) + rtu(answer[size:])


class RtuEnd:
    """The far end of a line that carries RTU frames."""

    def __init__(self, peer: ScriptedPeer, write: Callable[[bytes], object]) -> None:
        self._peer, self._write = peer, write
        self._got = b""

    def take(self, data: bytes) -> None:
        self._got += data
        while len(self._got) >= 8:
            size = 9 + self._got[6] if self._got[1] == 16 else 8
            if len(self._got) < size:
                return
            request, self._got = self._got[:size], self._got[size:]
            assert check_sum(request[:-2]) == request[-2:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        unit, function, address, length = struct.unpack_from(">BBHH", request)
        loop = asyncio.get_running_loop()
        asked = Asked(loop.time(), 7, unit, function, address, length, request[7:-2])
        self._peer.asked.append(asked)
        answer = (self._peer.answer or self._peer.right)(asked)
        if answer is not None and self._peer.delay_s:
            loop.call_later(self._peer.delay_s, self._write, rtu(answer))
        elif answer is not None:
            self._write(rtu(answer))


@contextlib.asynccontextmanager
async def rtu_peer(peer: ScriptedPeer) -> AsyncIterator[tuple[int, Far]]:
    """RTU over TCP: its port and far end."""
    connections: list[asyncio.StreamWriter] = []

    def write(data: bytes) -> None:
        if not connections[-1].is_closing():
            connections[-1].write(data)

    def hang_up() -> None:
        for connection in connections:
            connection.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        peer.connections += 1
        end = RtuEnd(peer, write)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(512):
                end.take(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1]), Far(write, hang_up, server.close, rtu)
    finally:
        server.close()
        hang_up()
        await asyncio.sleep(0.01)


class _Node:
    """A name of its own for a pseudo-terminal, gone with the plug.

    The kernel gives the number of one that was closed to the next: who still tries the old path would open,
    and lock, the port of another test.
    """

    def __init__(self, near: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name, "ttyUSB0")
        path.symlink_to(os.ttyname(near))
        self.path = str(path)

    def remove(self) -> None:
        """The plug is pulled."""
        self._folder.cleanup()


@contextlib.asynccontextmanager
async def serial_peer(peer: ScriptedPeer) -> AsyncIterator[tuple[str, Far]]:
    """A pseudo-terminal with the peer at its far end: the path of the near one, and the far end."""
    far, near = os.openpty()
    tty.setraw(near)
    os.set_blocking(far, False)
    loop = asyncio.get_running_loop()
    open_ends = [far, near]
    node = _Node(near)

    def write(data: bytes) -> None:
        if open_ends:
            os.write(far, data)

    def unplug() -> None:
        loop.remove_reader(far)
        node.remove()
        while open_ends:
            os.close(open_ends.pop())

    end = RtuEnd(peer, write)
    loop.add_reader(far, lambda: end.take(os.read(far, 512)))
    try:
        yield node.path, Far(write, unplug, unplug, rtu)
    finally:
        unplug()


@contextlib.contextmanager
def null_modem() -> Iterator[tuple[str, str]]:
    """A wire between two serial ports: their paths."""
    one, other = os.openpty(), os.openpty()
    loop = asyncio.get_running_loop()
    for far, near in (one, other):
        tty.setraw(near)
        os.set_blocking(far, False)
    loop.add_reader(one[0], lambda: os.write(other[0], os.read(one[0], 512)))
    loop.add_reader(other[0], lambda: os.write(one[0], os.read(other[0], 512)))
    nodes = _Node(one[1]), _Node(other[1])
    try:
        yield nodes[0].path, nodes[1].path
    finally:
        for node in nodes:
            node.remove()
        for far, near in (one, other):
            loop.remove_reader(far)
            os.close(far)
            os.close(near)
