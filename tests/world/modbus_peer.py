"""A Modbus TCP server that answers exactly what a test wants, also wrongly."""

import asyncio
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, cast


class Asked(NamedTuple):
    """A request as it came."""

    at: float
    transaction: int
    unit: int
    function: int
    address: int
    length: int
    """Registers; of function 6 the value."""
    data: bytes


def frame(transaction: int, unit: int, pdu: bytes, *, protocol: int = 0, length: int | None = None) -> bytes:
    size = 1 + len(pdu) if length is None else length
    return struct.pack(">HHHB", transaction, protocol, size, unit) + pdu


Answerer = Callable[[Asked], bytes | None]


@dataclass
class ScriptedPeer:
    """Registers of any unit, all holding their own address unless written; `answer` may spoil it."""

    registers: dict[tuple[int, int], int] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    answer: Answerer | None = None
    """What to send instead of the right answer; `None` from it = silence."""
    delay_s: float = 0.0
    deaf: bool = False
    """Takes what comes for nothing at all."""
    open: "list[_Connection]" = field(default_factory=list)

    async def listen(
        self, host: str = "127.0.0.1", port: int = 0, *, context: ssl.SSLContext | None = None
    ) -> tuple[asyncio.AbstractServer, int]:
        loop = asyncio.get_running_loop()
        if context is None:  # a loop in virtual time knows nothing else
            server = await loop.create_server(lambda: _Connection(self), host, port)
        else:
            server = await loop.create_server(lambda: _Connection(self), host, port, ssl=context)
        return server, int(server.sockets[0].getsockname()[1])

    def right(self, asked: Asked) -> bytes:
        """What a good device answers, carrying out a write."""
        if asked.function in {3, 4}:
            held = [
                self.registers.get((asked.unit, asked.address + i), (asked.address + i) & 0xFFFF)
                for i in range(asked.length)
            ]
            body = struct.pack(f">BB{asked.length}H", asked.function, 2 * asked.length, *held)
        else:
            words = struct.unpack(f">{len(asked.data) // 2}H", asked.data) or (asked.length,)
            for offset, word in enumerate(words):
                self.registers[asked.unit, asked.address + offset] = word
            body = struct.pack(">BHH", asked.function, asked.address, asked.length)
        return frame(asked.transaction, asked.unit, body)


class _Connection(asyncio.Protocol):
    def __init__(self, peer: ScriptedPeer) -> None:
        self.peer = peer
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.peer.connections += 1
        self.peer.open.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self.peer.open.remove(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += b"" if self.peer.deaf else data
        while len(self.buffer) >= 12:
            head = struct.unpack_from(">HHHBBHH", self.buffer)
            transaction, _, length, unit, function, address, words = head
            data, self.buffer = self.buffer[13 : 6 + length], self.buffer[6 + length :]
            loop = asyncio.get_running_loop()
            asked = Asked(loop.time(), transaction, unit, function, address, words, data)
            self.peer.asked.append(asked)
            answer = (self.peer.answer or self.peer.right)(asked)
            if answer is not None and self.peer.delay_s:
                loop.call_later(self.peer.delay_s, self.send, answer)
            elif answer is not None:
                self.send(answer)

    def drop(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def send(self, answer: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(answer)


def good(asked: Asked) -> bytes:
    """What a good device answers to this."""
    return ScriptedPeer().right(asked)


def answering(pdu: bytes) -> Answerer:
    """Answers everything with this."""
    return lambda asked: frame(asked.transaction, asked.unit, pdu)
