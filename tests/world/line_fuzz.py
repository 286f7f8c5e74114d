"""Feeds two connections what broken devices send, and compares what is taken with a strict reader."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from drivers.modbus.errors import DeviceExceptionError
from drivers.modbus.frames import Buffer
from drivers.modbus.planning import Block
from drivers.modbus.requests import Request
from drivers.modbus.tcp_line import TcpLine
from tests.world.mutated_answers import Ask, Case, Outcome, StrictReader, mutated, pieces

WHOLE = 100
"""Every so many answers one is left as it is, and must be taken."""
_MOST_STALE = 4


@dataclass
class FuzzError(AssertionError):
    """What a seed led to."""

    seed: int
    case: int
    what: str

    def __str__(self) -> str:
        return f"seed {self.seed}, case {self.case}: {self.what}"


class _Sent(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.frames.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        del protocol


class _Loop(asyncio.SelectorEventLoop):
    """Connects everyone to nobody at once."""

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], *_args: Any, **_kwargs: Any
    ) -> tuple[_Sent, asyncio.BaseProtocol]:
        transport, protocol = _Sent(), protocol_factory()
        protocol.connection_made(transport)
        return transport, protocol


@dataclass
class _Heard:
    """A line's user: what it was told, in the reader's words."""

    transactions: dict[Request, int] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    lost: bool = False

    def opened(self) -> None: ...

    def answered(self, request: Request, data: Buffer, start: int, end: int) -> None:
        self.outcomes.append(Outcome(self.transactions.pop(request), "answered", bytes(data[start:end])))

    def failed(self, request: Request, error: Exception) -> None:
        transaction = self.transactions.pop(request)
        if isinstance(error, DeviceExceptionError):
            self.outcomes.append(Outcome(transaction, "exception", bytes((error.code,))))
        else:
            self.outcomes.append(Outcome(transaction, "wrong", b""))

    def closed(self, why: str, *, desync: bool) -> None:
        assert desync, why
        self.lost = True


class FuzzedLine:
    """One connection, its user, and the strict reader beside them."""

    def __init__(self, requests: list[Request]) -> None:
        self.requests = requests
        self.heard = _Heard()
        self.line = TcpLine("fuzzed", 502, self.heard)
        self.reader = StrictReader()
        self.stale: list[bytes] = []

    async def reopen(self) -> None:
        """A new connection, as after the last was lost or given up."""
        self.line.close()
        self.heard.lost = False
        self.heard.transactions.clear()
        self.reader = StrictReader()
        await self.line.open()

    def ask(self, request: Request) -> Ask:
        """Have the line send a request; what went out."""
        sent = self.line._transport
        assert isinstance(sent, _Sent)
        self.line.ask(request)
        ask = Ask.of(sent.frames.pop())
        self.heard.transactions[request] = ask.transaction
        self.reader.asked[ask.transaction] = ask
        return ask

    def give_up(self, request: Request, ask: Ask) -> None:
        """Its deadline is over."""
        self.line.abandon(request)
        self.heard.transactions.pop(request, None)
        self.reader.asked.pop(ask.transaction, None)

    def deliver(self, data: bytes) -> tuple[list[Outcome], list[Outcome]]:
        """Bytes from the network; what the line made of them, and what was right."""
        right = self.reader.take(data)
        while data and not self.heard.lost:
            buffer = memoryview(self.line.get_buffer(len(data)))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            self.line.buffer_updated(count)
            data = data[count:]
        made, self.heard.outcomes = self.heard.outcomes, []
        return made, right


class Fuzz:
    """A run of cases; the same seed gives the same run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.case = 0
        self.tally: Counter[str] = Counter()
        self._rng = Random(seed)
        self._fuzzed, self._well = FuzzedLine(_requests()), FuzzedLine(_requests())

    async def run(self, cases: int) -> None:
        """Run so many cases more.

        Raises:
            FuzzError: with what replays it.
        """
        for line in (self._fuzzed, self._well):
            await line.reopen()
        for _ in range(cases):
            self.case += 1
            try:
                await self._one()
            except FuzzError:
                raise
            except Exception as error:
                raise FuzzError(self.seed, self.case, f"{type(error).__name__}: {error}") from error

    async def _one(self) -> None:
        rng, line, whole = self._rng, self._fuzzed, self.case % WHOLE == 0
        # A frame that was cut takes the next answer with it; in the field that ends with a new connection.
        if line.heard.lost or (line.reader.rest and (whole or rng.random() < 0.5)):
            await line.reopen()
        asked = {request: line.ask(request) for request in rng.sample(line.requests, self._in_flight())}
        request, ask = next(iter(asked.items()))
        right = ask.answer(rng.randbytes(0 if ask.echo else 2 * ask.registers))
        data = right if whole else mutated(Case(rng, ask, right, line.stale))
        for piece in pieces(rng, data):
            self._compare(line, piece)
            if rng.random() < 0.1:
                self._neighbour()
            if line.heard.lost:
                break
        if whole and request in line.heard.transactions:
            self._fail(f"not taken: {data.hex()} in answer to {ask}")
        self._judge_neighbour()
        for other, its in asked.items():
            if other in line.heard.transactions and not line.heard.lost:
                line.give_up(other, its)
                line.stale = [*line.stale, right][-_MOST_STALE:] if other is request else line.stale

    def _in_flight(self) -> int:
        return self._rng.choice((1, 1, 1, 2, 5))

    def _compare(self, line: FuzzedLine, piece: bytes) -> None:
        made, right = line.deliver(piece)
        if made != right:
            self._fail(f"{made} is made of {piece.hex()}, right is {right}")
        if line.heard.lost != line.reader.lost:
            self._fail(f"the connection is lost: {line.heard.lost}, right is {line.reader.lost}")
        self.tally.update(outcome.what for outcome in made)
        self.tally["lost"] += line.heard.lost

    def _neighbour(self) -> None:
        """Another connection has an exchange of its own in the middle of all this."""
        line, rng = self._well, self._rng
        request = rng.choice(line.requests)
        ask = line.ask(request)
        data = rng.randbytes(0 if ask.echo else 2 * ask.registers)
        for piece in pieces(rng, ask.answer(data)):
            self._compare(line, piece)
        if request in line.heard.transactions:
            self._fail(f"a neighbour's answer was not taken: {ask}")

    def _judge_neighbour(self) -> None:
        if self._well.heard.lost:
            self._fail("a neighbour lost its connection")

    def _fail(self, what: str) -> None:
        raise FuzzError(self.seed, self.case, what)


def _requests() -> list[Request]:
    """One of each kind that profiles ask for."""
    reads = [
        Request.read(unit, Block(function, address, count))
        for unit, function, address, count in (
            (1, 3, 0, 1),
            (1, 3, 0, 20),
            (2, 3, 3059, 2),
            (1, 4, 52, 10),
            (255, 4, 0xFF83, 125),
            (0, 3, 40_000, 64),
            (247, 3, 768, 3),
        )
    ]
    writes = [Request.write(1, 16, (3500,)), Request.write(2, 7, (1, 2)), Request.write(9, 0, (0xFFFF,) * 4)]
    return reads + writes


def fuzz(seed: int, cases: int) -> Counter[str]:
    """Run; how often what was made of an answer.

    Raises:
        FuzzError: something was made of an answer that is not right.
    """
    run = Fuzz(seed)
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(run.run(cases))
    return run.tally
