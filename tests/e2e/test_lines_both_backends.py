"""Whatever a peer answers: both backends say the same of it, over real connections.

The rows of the table of faults in the order of the table; RTU has no transaction id, no protocol id and no
length, so not every row exists there, and what cannot be a frame is noise on the wire.
"""

import asyncio
import struct
from collections.abc import Callable

import pytest
import uvloop

from drivers.modbus.errors import AnswerError, DeviceExceptionError
from drivers.modbus.requests import Request
from tests.world.line_bench import (
    PATIENCE_S,
    SILENCE_S,
    STREAMS,
    Kind,
    LineBench,
    Outcome,
    bench,
    read,
    values,
)
from tests.world.modbus_peer import Asked, answering, frame, good

every_kind = pytest.mark.parametrize("kind", list(Kind))
every_stream = pytest.mark.parametrize("kind", STREAMS)


def registers(asked: Asked, count: int, *, said: int | None = None, function: int | None = None) -> bytes:
    """Registers that hold their addresses, in an answer that may lie about them."""
    words = struct.pack(f">{count}H", *range(asked.address, asked.address + count))
    return struct.pack(">BB", function or asked.function, 2 * count if said is None else said) + words


def pdu(make: Callable[[Asked], bytes]) -> Callable[[Asked], bytes]:
    return lambda asked: frame(asked.transaction, asked.unit, make(asked))


async def asked_of(
    at: LineBench, answer: Callable[[Asked], bytes | None], request: Request, within_s: float = PATIENCE_S
) -> Outcome:
    """The outcome of a request that is answered like this, after which all is well again."""
    at.peer.answer = answer
    outcome = await at.ask(request, within_s)
    at.peer.answer = None
    return outcome


async def goes_on(at: LineBench) -> None:
    """The line is open, and the next request of another unit is answered rightly."""
    after = read(2, 40, 3)
    assert await at.ask(after) == Outcome("answered", values(after))


def is_wrong(outcome: Outcome) -> None:
    assert outcome.what == "failed"
    assert isinstance(outcome.error, AnswerError)


# --- the table of faults -------------------------------------------------------------------------------


@every_kind
async def test_fewer_registers_than_asked_for_are_refused(kind: Kind) -> None:
    async with bench(kind) as at:
        is_wrong(await asked_of(at, pdu(lambda asked: registers(asked, 3)), read(count=4)))
        await goes_on(at)


@every_kind
async def test_more_registers_than_asked_for_are_refused(kind: Kind) -> None:
    async with bench(kind) as at:
        is_wrong(await asked_of(at, pdu(lambda asked: registers(asked, 5)), read(count=4)))
        await goes_on(at)


@every_kind
async def test_another_function_code_is_refused(kind: Kind) -> None:
    async with bench(kind) as at:
        is_wrong(await asked_of(at, pdu(lambda asked: registers(asked, 4, function=4)), read(count=4)))
        await goes_on(at)


@every_stream
async def test_transaction_id_0_answers_nobody(kind: Kind) -> None:
    async with bench(kind) as at:
        outcome = await asked_of(at, lambda asked: good(asked._replace(transaction=0)), read(), SILENCE_S)
        assert outcome.what == "silence"
        await goes_on(at)


@every_stream
async def test_a_wrong_transaction_id_answers_nobody(kind: Kind) -> None:
    async with bench(kind) as at:
        outcome = await asked_of(
            at, lambda asked: good(asked._replace(transaction=asked.transaction + 1)), read(), SILENCE_S
        )
        assert outcome.what == "silence"
        await goes_on(at)


@every_kind
async def test_another_unit_does_not_answer_for_the_one_that_was_asked(kind: Kind) -> None:
    async with bench(kind) as at:
        within_s = SILENCE_S if kind.is_rtu else PATIENCE_S
        outcome = await asked_of(at, lambda asked: good(asked._replace(unit=9)), read(1), within_s)
        if kind.is_rtu:  # there it is most likely the late answer of that unit
            assert outcome.what == "silence"
        else:
            is_wrong(outcome)
        if kind is not Kind.PYMODBUS_RTU_TCP:
            await goes_on(at)


@every_stream
async def test_a_wrong_protocol_id_ends_the_connection_and_nothing_else(kind: Kind) -> None:
    async with bench(kind) as at:
        outcome = await asked_of(
            at, lambda asked: frame(asked.transaction, asked.unit, registers(asked, 4), protocol=1), read()
        )
        assert (outcome.what, outcome.desync) == ("closed", True)
        assert "protocol id 1" in outcome.why
        await at.open()
        await goes_on(at)


@every_stream
@pytest.mark.parametrize("length", [0, 1, 2, 255, 0xFFFF])
async def test_an_absurd_length_ends_the_connection_and_nothing_else(kind: Kind, length: int) -> None:
    async with bench(kind) as at:
        outcome = await asked_of(
            at, lambda asked: frame(asked.transaction, asked.unit, registers(asked, 4), length=length), read()
        )
        assert (outcome.what, outcome.desync) == ("closed", True)
        await at.open()
        await goes_on(at)


@every_kind
@pytest.mark.parametrize("said", [0, 6, 7, 9, 10, 255])
async def test_a_byte_count_that_lies_is_refused_and_drops_nobody(kind: Kind, said: int) -> None:
    async with bench(kind) as at:
        within_s = SILENCE_S if kind.is_rtu else PATIENCE_S
        lie = pdu(lambda asked: registers(asked, 4, said=said))
        outcome = await asked_of(at, lie, read(count=4), within_s)
        if kind.is_rtu:  # the check sum is not where it should be: noise
            assert outcome.what == "silence"
        else:
            is_wrong(outcome)
        if kind is not Kind.PYMODBUS_RTU_TCP:
            await goes_on(at)


@every_kind
async def test_half_a_register_more_is_refused(kind: Kind) -> None:
    async with bench(kind) as at:
        is_wrong(await asked_of(at, pdu(lambda asked: registers(asked, 4, said=9) + b"\x01"), read(count=4)))
        await goes_on(at)


@every_stream
async def test_bytes_after_the_registers_are_refused(kind: Kind) -> None:
    async with bench(kind) as at:
        is_wrong(await asked_of(at, pdu(lambda asked: registers(asked, 4) + b"\x00\x00"), read(count=4)))
        await goes_on(at)


@every_kind
@pytest.mark.parametrize("function", [2, 43, 65, 100])
async def test_an_unknown_function_code_is_refused_and_drops_nobody(kind: Kind, function: int) -> None:
    async with bench(kind) as at:
        within_s = SILENCE_S if kind.is_rtu else PATIENCE_S
        odd = pdu(lambda asked: registers(asked, 4, function=function))
        outcome = await asked_of(at, odd, read(), within_s)
        if kind.is_rtu:
            assert outcome.what == "silence"
        else:
            is_wrong(outcome)
        if kind is not Kind.PYMODBUS_RTU_TCP:
            await goes_on(at)


@every_kind
@pytest.mark.parametrize("request_", [read(), Request.write(1, 8, (1,)), Request.write(1, 8, (1, 2))])
async def test_an_exception_is_an_error_with_its_code(kind: Kind, request_: Request) -> None:
    async with bench(kind) as at:
        for code in (0x01, 0x02, 0x03, 0x04, 0x06, 0x0A, 0x0B, 0xFF):
            refusal = bytes((request_.function | 0x80, code))
            outcome = await asked_of(at, answering(refusal), request_)
            assert outcome.what == "failed"
            assert isinstance(outcome.error, DeviceExceptionError)
            assert outcome.error.code == code
        await goes_on(at)


@every_kind
async def test_an_exception_to_another_function_is_refused(kind: Kind) -> None:
    async with bench(kind) as at:
        is_wrong(await asked_of(at, pdu(lambda _: bytes((0x86, 2))), read()))
        await goes_on(at)


@every_kind
async def test_a_silent_peer_is_left_to_whoever_asked(kind: Kind) -> None:
    async with bench(kind) as at:
        assert (await asked_of(at, lambda _: None, read(), SILENCE_S)).what == "silence"
        if kind is Kind.PYMODBUS_RTU_TCP:
            # How late an answer may be nobody knows, and nothing would tell it from the next.
            assert (await at.hear())[1].what == "closed"
            await at.open()
        await goes_on(at)


# --- what is right -------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("function", [3, 4])
@pytest.mark.parametrize("count", [1, 2, 125])
async def test_reads(kind: Kind, function: int, count: int) -> None:
    async with bench(kind) as at:
        request = read(247, 1000, count, function)
        assert await at.ask(request, 2.0) == Outcome("answered", values(request))
        asked = at.peer.asked[-1]
        assert (asked.unit, asked.function, asked.address, asked.length) == (247, function, 1000, count)


@every_kind
@pytest.mark.parametrize("words", [(0xFFFF,), (1, 2), tuple(range(123))])
async def test_writes_and_reads_back(kind: Kind, words: tuple[int, ...]) -> None:
    async with bench(kind) as at:
        assert await at.ask(Request.write(5, 300, words), 2.0) == Outcome("answered")
        assert at.peer.asked[-1].function == (6 if len(words) == 1 else 16)
        assert await at.ask(read(5, 300, len(words)), 2.0) == Outcome("answered", words)


@every_kind
def test_reads_and_writes_on_the_loop_that_the_daemon_runs_on(kind: Kind) -> None:
    async def main() -> None:
        async with bench(kind) as at:
            assert await at.ask(Request.write(1, 300, (7, 8)), 2.0) == Outcome("answered")
            assert await at.ask(read(1, 300, 2), 2.0) == Outcome("answered", (7, 8))
            at.line.close()
            await at.open()
            await goes_on(at)

    uvloop.run(main())


@every_kind
@pytest.mark.parametrize(
    ("words", "echo"),
    [
        ((7,), (6, 8, 6)),
        ((7,), (6, 9, 7)),
        ((7,), (16, 8, 7)),
        ((7, 8), (16, 8, 1)),
        ((7, 8), (16, 9, 2)),
        ((7, 8), (6, 8, 2)),
    ],
)
async def test_a_write_that_is_not_echoed_is_refused(
    kind: Kind, words: tuple[int, ...], echo: tuple[int, int, int]
) -> None:
    async with bench(kind) as at:
        is_wrong(await asked_of(at, pdu(lambda _: struct.pack(">BHH", *echo)), Request.write(1, 8, words)))
        await goes_on(at)


@every_kind
async def test_an_answer_may_come_byte_by_byte(kind: Kind) -> None:
    async with bench(kind) as at:
        request = read(count=6)
        for pause_s in (0.0, 0.002):
            slow: list[asyncio.Task[None]] = []

            def answer(asked: Asked, pause_s: float = pause_s, slow: list[asyncio.Task[None]] = slow) -> None:
                slow.append(asyncio.create_task(at.trickle(good(asked), pause_s)))

            at.peer.answer = answer
            assert await at.ask(request, 3.0) == Outcome("answered", values(request))
            await slow[0]


@every_kind
async def test_an_answer_that_comes_twice_counts_once(kind: Kind) -> None:
    async with bench(kind) as at:
        first = read(1, 16, 4)
        assert await asked_of(at, lambda asked: 2 * good(asked), first) == Outcome("answered", values(first))
        assert (await at.hear(0.05))[1].what == "silence"
        await goes_on(at)


@every_kind
async def test_nothing_is_heard_of_a_request_from_within_asking(kind: Kind) -> None:
    async with bench(kind) as at:
        at.line.ask(read())
        assert at.user.heard.empty()
        assert (await at.hear())[1].what == "answered"


@every_kind
async def test_an_answer_may_be_followed_by_the_next_request_at_once(kind: Kind) -> None:
    async with bench(kind) as at:
        left = [read(1, address, 2) for address in range(20, 30)]
        at.user.on_answer = lambda: at.line.ask(left.pop(0)) if left else None
        at.line.ask(left.pop(0))
        heard = [(await at.hear())[1] for _ in range(10)]
        assert heard == [Outcome("answered", (address, address + 1)) for address in range(20, 30)]


# --- lateness, and the end of connections --------------------------------------------------------------


@every_stream
async def test_a_late_answer_is_not_taken_for_the_next(kind: Kind) -> None:
    async with bench(kind) as at:
        at.peer.delay_s = 0.1
        assert (await at.ask(read(1, 16, 4), 0.05)).what == "silence"
        at.peer.delay_s = 0.2
        after = read(1, 200, 4)
        assert await at.ask(after, 1.0) == Outcome("answered", values(after))


@every_stream
async def test_a_late_answer_may_be_half_there_when_the_next_request_goes_out(kind: Kind) -> None:
    async with bench(kind) as at:
        late: list[bytes] = []
        at.peer.answer = lambda asked: late.append(good(asked))
        assert (await at.ask(read(1, 16, 4), 0.05)).what == "silence"
        at.far.write(late[0][:9])
        await asyncio.sleep(0.02)
        at.peer.answer = lambda asked: late[0][9:] + good(asked)
        after = read(1, 200, 4)
        assert await at.ask(after) == Outcome("answered", values(after))


@every_stream
async def test_many_late_answers_may_come_at_once_with_the_right_one(kind: Kind) -> None:
    async with bench(kind) as at:
        late: list[bytes] = []
        at.peer.answer = lambda asked: late.append(good(asked))
        for _ in range(4):
            assert (await at.ask(read(1, 16, 125), 0.05)).what == "silence"
        at.peer.answer = lambda asked: b"".join(late) + good(asked)
        after = read(1, 200, 125)
        assert await at.ask(after) == Outcome("answered", values(after))
        await goes_on(at)


@every_kind
async def test_a_device_that_hangs_up_is_told_once_and_can_be_opened_again(kind: Kind) -> None:
    if kind is Kind.PYMODBUS_SERIAL:
        return  # a wire does not hang up; test_lines_serial pulls its plug
    async with bench(kind) as at:
        at.line.ask(read())
        await asyncio.sleep(0)
        at.far.hang_up()
        heard, outcome = await at.hear()
        while outcome.what == "answered":  # it may have been quicker
            heard, outcome = await at.hear()
        assert (heard, outcome.what, outcome.desync) == (None, "closed", False)
        assert "connection lost" in outcome.why
        assert (await at.hear(0.05))[1].what == "silence"
        await at.open()
        await goes_on(at)


@every_kind
async def test_after_closing_nothing_more_is_heard_and_it_can_be_opened_again(kind: Kind) -> None:
    async with bench(kind) as at:
        at.peer.delay_s = 0.05
        at.line.ask(read())
        at.line.close()
        assert (await at.hear(0.2))[1].what == "silence"
        at.peer.delay_s = 0.0
        await at.open()
        await goes_on(at)


@every_kind
async def test_an_attempt_that_is_given_up_opens_nothing(kind: Kind) -> None:
    async with bench(kind) as at:
        at.line.close()
        times = at.user.opened_times
        task = asyncio.create_task(at.line.open())
        await asyncio.sleep(0)
        at.line.close()
        await asyncio.wait([task])
        assert not task.cancelled()
        await asyncio.sleep(0.1)
        assert at.user.opened_times == times
        await at.open()
        await goes_on(at)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.PYMODBUS_SERIAL])
async def test_a_refused_connection_is_an_os_error(kind: Kind) -> None:
    async with bench(kind) as at:
        at.line.close()
        at.far.refuse()
        await asyncio.sleep(0.01)
        with pytest.raises(OSError, match=r"Connect call failed|Connection refused"):
            await at.line.open()
        assert (await at.hear(0.05))[1].what == "silence"
