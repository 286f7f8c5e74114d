"""Answers as broken devices send them, and what a strict reader makes of any bytes.

Nothing of the driver's own is used here: the reader is written after the standard (Modbus Messaging on TCP/IP
1.0b, Modbus Application Protocol 1.1b3), to be judged against.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

LONGEST = 254
"""Most bytes that may follow the length: 260 of a whole frame less the 6 before it."""
SHORTEST = 3
"""Unit, function and at least one byte."""


class Ask(NamedTuple):
    """A request in flight."""

    transaction: int
    unit: int
    function: int
    address: int
    registers: int
    echo: bytes
    """What the answer to a write repeats; empty = a read."""

    @classmethod
    def of(cls, frame: bytes) -> "Ask":
        """The request in a frame that was sent."""
        function = frame[7]
        registers = 1 if function == 6 else _number(frame, 10)
        echo = b"" if function in {3, 4} else frame[8:12]
        return cls(_number(frame, 0), frame[6], function, _number(frame, 8), registers, echo)

    def answer(self, data: bytes) -> bytes:
        """The right answer; `data` are the registers of a read."""
        body = self.echo or bytes((len(data),)) + data
        return framed(self.transaction, self.unit, bytes((self.function,)) + body)


class Outcome(NamedTuple):
    """What became of a request."""

    transaction: int
    what: str
    """answered, wrong or exception."""
    data: bytes
    """The registers of a read that was answered, the code of an exception."""


@dataclass
class StrictReader:
    """Reads what comes over one connection."""

    asked: dict[int, Ask] = field(default_factory=dict)
    """In flight, by transaction."""
    rest: bytes = b""
    """The beginning of a frame that is not whole."""
    lost: bool = False
    """What came is no Modbus: where a frame begins nobody knows any more."""

    def take(self, data: bytes) -> list[Outcome]:
        """What the bytes decide."""
        outcomes: list[Outcome] = []
        self.rest += data
        while not self.lost and len(self.rest) >= 6:
            size = _number(self.rest, 4)
            if self.rest[2:4] != b"\0\0" or not SHORTEST <= size <= LONGEST:
                self.lost = True
                break
            if len(self.rest) < 6 + size:
                break
            frame, self.rest = self.rest[: 6 + size], self.rest[6 + size :]
            ask = self.asked.pop(_number(frame, 0), None)
            if ask is not None:
                outcomes.append(_judged(ask, frame))
        return outcomes


def _judged(ask: Ask, frame: bytes) -> Outcome:
    """A frame that carries the transaction of a request."""
    unit, function, body = frame[6], frame[7], frame[8:]
    if unit == ask.unit and function == ask.function + 0x80 and len(body) == 1:
        return Outcome(ask.transaction, "exception", body)
    if unit == ask.unit and function == ask.function:
        if ask.echo and body == ask.echo:
            return Outcome(ask.transaction, "answered", b"")
        if not ask.echo and body[0] == 2 * ask.registers == len(body) - 1:
            return Outcome(ask.transaction, "answered", body[1:])
    return Outcome(ask.transaction, "wrong", b"")


def framed(transaction: int, unit: int, pdu: bytes, *, protocol: int = 0, size: int | None = None) -> bytes:
    """A frame, its length as it should be unless told otherwise."""
    length = 1 + len(pdu) if size is None else size
    head = transaction.to_bytes(2, "big") + protocol.to_bytes(2, "big") + length.to_bytes(2, "big")
    return head + bytes((unit,)) + pdu


def _number(frame: bytes, at: int) -> int:
    return frame[at] << 8 | frame[at + 1]


# --- what broken devices do ---------------------------------------------------------------------------


class Case(NamedTuple):
    """A right answer that is about to be spoilt."""

    rng: Random
    ask: Ask
    right: bytes
    stale: list[bytes]
    """Answers to earlier requests that never came."""


Mutation = Callable[[Case], bytes]


def mutated(case: Case) -> bytes:
    """The answer, spoilt once, twice or three times."""
    data = case.right
    for _ in range(case.rng.choice((1, 1, 1, 1, 2, 2, 3))):
        data = case.rng.choice(MUTATIONS)(case._replace(right=data))
    return data


def pieces(rng: Random, data: bytes) -> list[bytes]:
    """The same bytes as a network may deliver them."""
    kind = rng.random()
    if kind < 0.5 or len(data) < 2:
        return [data] if data else []
    if kind < 0.6:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(rng.randrange(1, len(data)) for _ in range(rng.randint(1, 4)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


def _bits(case: Case) -> bytes:
    data = bytearray(case.right)
    for _ in range(case.rng.randint(1, 3)):
        if data:
            data[case.rng.randrange(len(data))] ^= 1 << case.rng.randrange(8)
    return bytes(data)


def _head_bits(case: Case) -> bytes:
    data = bytearray(case.right)
    if data:
        data[case.rng.randrange(min(9, len(data)))] ^= 1 << case.rng.randrange(8)
    return bytes(data)


def _truncated(case: Case) -> bytes:
    return case.right[: case.rng.randint(0, len(case.right))]


def _extended(case: Case) -> bytes:
    more = case.rng.choice((bytes(case.rng.randint(1, 9)), case.rng.randbytes(case.rng.randint(1, 300))))
    return case.right + more


def _noise_in_front(case: Case) -> bytes:
    return case.rng.randbytes(case.rng.randint(1, 12)) + case.right


def _cut_out(case: Case) -> bytes:
    start = case.rng.randint(0, len(case.right))
    return case.right[:start] + case.right[start + case.rng.randint(1, 8) :]


def _put_in(case: Case) -> bytes:
    at = case.rng.randint(0, len(case.right))
    return case.right[:at] + case.rng.randbytes(case.rng.randint(1, 8)) + case.right[at:]


def _changed(at: int, size: int, values: Callable[[Case, int], int]) -> Mutation:
    """Another number in the head; `values` gives it from what is there."""

    def change(case: Case) -> bytes:
        data = bytearray(case.right)
        if len(data) < at + size:
            return bytes(data)
        now = int.from_bytes(data[at : at + size], "big")
        data[at : at + size] = (values(case, now) % (1 << 8 * size)).to_bytes(size, "big")
        return bytes(data)

    return change


def _near(case: Case, now: int) -> int:
    return case.rng.choice(
        (0, now + 1, now - 1, now + 2, now - 2, 1, 255, 256, 0xFFFF, case.rng.getrandbits(16))
    )


def _length(case: Case, now: int) -> int:
    return case.rng.choice((_near(case, now), now + case.rng.randint(1, 20), 2, 3, 253, 254, 255, 260))


def _function(case: Case, now: int) -> int:
    return case.rng.choice((3, 4, 6, 16, now | 0x80, now ^ 7, case.rng.getrandbits(8)))


def _other_size(case: Case) -> bytes:
    """A well-formed answer with more or fewer registers than were asked for."""
    ask = case.ask
    words = max(0, min(126, ask.registers + case.rng.choice((-2, -1, 1, 2, 30, -ask.registers))))
    body = bytes((ask.function, 2 * words)) + case.rng.randbytes(2 * words)
    return framed(ask.transaction, ask.unit, body)


def _byte_count_lies(case: Case) -> bytes:
    ask = case.ask
    data = case.rng.randbytes(2 * ask.registers + case.rng.choice((-1, 0, 1)))
    return framed(ask.transaction, ask.unit, bytes((ask.function, case.rng.getrandbits(8))) + data)


def _exception(case: Case) -> bytes:
    ask, code = case.ask, case.rng.choice((1, 2, 3, 4, 5, 6, 8, 10, 11, case.rng.getrandbits(8)))
    return framed(ask.transaction, ask.unit, bytes((ask.function | 0x80, code)))


def _long_exception(case: Case) -> bytes:
    ask = case.ask
    return framed(
        ask.transaction, ask.unit, bytes((ask.function | 0x80,)) + case.rng.randbytes(case.rng.randint(0, 4))
    )


def _another_frame(case: Case) -> bytes:
    """Something well-formed about something else."""
    rng, ask = case.rng, case.ask
    transaction = rng.choice(
        (0, ask.transaction, ask.transaction - 1, ask.transaction + 1, rng.getrandbits(16))
    )
    words = rng.randint(0, 20)
    body = bytes((rng.choice((3, 4, 6, 16)), 2 * words)) + rng.randbytes(2 * words)
    return framed(transaction & 0xFFFF, rng.choice((ask.unit, 0, 1, 2, 255)), body)


def _other_first(case: Case) -> bytes:
    return _another_frame(case) + case.right


def _other_behind(case: Case) -> bytes:
    return case.right + _another_frame(case)


def _stale_first(case: Case) -> bytes:
    return b"".join(case.stale[-2:]) + case.right


def _stale_instead(case: Case) -> bytes:
    return case.stale[-1] if case.stale else b""


def _stale_cut(case: Case) -> bytes:
    """The tail of an answer that was given up, then the right one."""
    return (case.stale[-1][case.rng.randint(1, 12) :] if case.stale else b"") + case.right


def _twice(case: Case) -> bytes:
    return case.right + case.right


def _turned(case: Case) -> bytes:
    at = case.rng.randint(0, len(case.right))
    return case.right[at:] + case.right[:at]


def _swapped_bytes(case: Case) -> bytes:
    data = bytearray(case.right)
    if len(data) >= 2:
        at = case.rng.randrange(len(data) - 1)
        data[at], data[at + 1] = data[at + 1], data[at]
    return bytes(data)


def _noise(case: Case) -> bytes:
    return case.rng.randbytes(case.rng.randint(0, 300))


def _silence(_case: Case) -> bytes:
    return b""


MUTATIONS: tuple[Mutation, ...] = (
    _bits,
    _head_bits,
    _head_bits,
    _truncated,
    _extended,
    _noise_in_front,
    _cut_out,
    _put_in,
    _changed(0, 2, _near),
    _changed(2, 2, _near),
    _changed(4, 2, _length),
    _changed(6, 1, _near),
    _changed(7, 1, _function),
    _changed(8, 1, _near),
    _changed(8, 2, _near),
    _changed(10, 2, _near),
    _other_size,
    _byte_count_lies,
    _exception,
    _long_exception,
    _another_frame,
    _other_first,
    _other_behind,
    _stale_first,
    _stale_instead,
    _stale_cut,
    _twice,
    _turned,
    _swapped_bytes,
    _noise,
    _silence,
)
