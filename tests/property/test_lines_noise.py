"""A line over pymodbus that is fed anything in any pieces neither crashes nor takes a wrong answer."""

import asyncio
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.pymodbus_line import PymodbusLine
from tests.world.line_bench import Hearing, check_sum, read, values
from tests.world.loop import VirtualLoop, run_virtual

PDUS = st.one_of(
    st.binary(max_size=12),
    st.sampled_from((3, 4, 6, 16, 0x83, 0x84)).flatmap(
        lambda function: st.binary(max_size=12).map(lambda data: bytes((function,)) + data)
    ),
    st.integers(0, 10).flatmap(
        lambda said: st.binary(min_size=6, max_size=10).map(lambda data: bytes((3, said)) + data)
    ),
)
UNITS = st.integers(0, 2)
RTU = st.builds(lambda unit, pdu: bytes((unit,)) + pdu, UNITS, PDUS).map(lambda body: body + check_sum(body))
STREAM = st.builds(
    lambda transaction, protocol, more, unit, pdu: (
        struct.pack(">HHHB", transaction, protocol, max(0, len(pdu) + 1 + more), unit) + pdu
    ),
    st.integers(0, 6),
    st.sampled_from((0, 0, 0, 0, 1)),
    st.sampled_from((0, 0, 0, -1, 1, 300)),
    UNITS,
    PDUS,
)
NOISE = st.lists(st.one_of(st.binary(max_size=40), RTU, STREAM), max_size=6).map(b"".join)


class Noisy(asyncio.Protocol):
    """Answers every request with the next noise, and from then on rightly."""

    def __init__(self, noise: list[bytes], piece: int, *, rtu: bool) -> None:
        self.noise, self.piece, self.rtu = noise, piece, rtu
        self.sent = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        answer = self.noise.pop(0) if self.noise else right(data, rtu=self.rtu)
        self.sent += answer
        for start in range(0, len(answer), self.piece):
            self.transport.write(answer[start : start + self.piece])


def right(request: bytes, *, rtu: bool) -> bytes:
    """The answer to a read of four registers at 16."""
    unit = request[0] if rtu else request[6]
    body = struct.pack(">BBB4H", unit, 3, 8, 16, 17, 18, 19)
    return body + check_sum(body) if rtu else request[:4] + b"\x00\x0b" + body


def is_somewhere(words: tuple[int, ...], sent: bytes, *, rtu: bool) -> bool:
    body = struct.pack(">BBB4H", 1, 3, 8, *words)
    return (body + check_sum(body) if rtu else b"\x00\x00\x00\x0b" + body) in sent


async def listen(rtu: bool, noise: list[bytes], piece: int) -> None:  # noqa: FBT001  hypothesis gives it
    peers: list[Noisy] = []

    def peer() -> Noisy:
        peers.append(Noisy(noise, piece, rtu=rtu))
        return peers[-1]

    server = await asyncio.get_running_loop().create_server(peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user = Hearing()
    line = (PymodbusLine.rtu_over_tcp if rtu else PymodbusLine.tcp)("127.0.0.1", port, user)
    for _ in range(4 * len(noise) + 4):
        if user.opened_times == 0 or line._connection is None:
            await line.open()
        request = read(1, 16, 4)
        line.ask(request)
        await asyncio.sleep(2)
        line.abandon(request)
        await asyncio.sleep(2)
        while not user.heard.empty():
            heard, outcome = user.heard.get_nowait()
            if outcome.what != "answered":
                continue
            assert heard is request
            assert any(is_somewhere(outcome.words, peer.sent, rtu=rtu) for peer in peers)
            if not noise and outcome.words == values(request):
                line.close()
                return
    raise AssertionError("it never read the truth again")


@settings(max_examples=200)
@given(st.booleans(), st.lists(NOISE, min_size=1, max_size=3), st.integers(1, 50))
def test_noise(rtu: bool, noise: list[bytes], piece: int) -> None:  # noqa: FBT001
    async def main(_: VirtualLoop) -> None:
        await listen(rtu, list(noise), piece)

    run_virtual(main)
