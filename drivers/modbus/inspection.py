"""Look at one device once: what it is, and every point of its profile with its raw words."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from drivers.address import ModbusTcpAddress
from drivers.errors import DesyncError, DriverError, RetryLaterError
from drivers.modbus.codec import combined, decode_text, decode_words
from drivers.modbus.errors import DeviceExceptionError
from drivers.modbus.frames import (
    HEADER,
    MAX_FRAME,
    check_read_answer,
    frame_end,
    read_request,
    transaction_of,
)
from drivers.modbus.identity import text_problem, value_problem
from drivers.modbus.planning import Block, fitted, plan_reads
from drivers.modbus.sunspec import SunSpecWalk, located, location_problem
from drivers.profile import ModbusMap, Profile, RegisterPoint, TextPoint

CONNECT_TIMEOUT_S = 3.0
NOT_AVAILABLE = "not available"


class NoAnswerError(RetryLaterError):
    """The device let the deadline of a request pass."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A point as it was read."""

    name: str
    function: int
    address: int
    words: tuple[int, ...]
    """In wire order; empty if they were not read."""
    value: float | str | None
    """`None` = absent, for the reason in `problem`."""
    unit: str
    latency_s: float | None
    """Of the request that brought it."""
    problem: str | None

    @property
    def was_read(self) -> bool:
        """Whether the device answered, even if it said "not available"."""
        return bool(self.words)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found."""

    identity_problems: tuple[str, ...]
    """Why the device is not what its profile says; empty = it is, or nothing identifies it."""
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    words: tuple[int, ...] = ()
    latency_s: float | None = None
    problem: str | None = None


async def inspect(address: ModbusTcpAddress, profile: Profile, *, timeout_s: float = 1.0) -> Inspection:
    """Read everything that the profile names, at the pace that the device wants.

    Raises:
        RetryLaterError: nobody answers there.
    """
    register_map = profile.map
    assert isinstance(register_map, ModbusMap)
    session = await _connect(address, register_map, timeout_s)
    try:
        if register_map.sunspec_model is not None:
            found = await _walk(session)
            problem = location_problem(register_map, found)
            if problem is not None:
                return Inspection((problem,), ())
            register_map = located(register_map, found)
        answers: dict[str, _Answer] = {}
        for block, members in _blocks(register_map):
            answers.update(await _read_block(session, block, members, register_map))
    finally:
        session.close()
    readings = _combined(
        register_map, tuple(_reading(point, answers[point.name]) for point in _all(register_map))
    )
    return Inspection(tuple(_identity_problems(register_map, readings)), readings)


async def _connect(address: ModbusTcpAddress, register_map: ModbusMap, timeout_s: float) -> "_Session":
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address.host, address.port)
    except OSError as error:  # a TimeoutError is one
        reason = str(error) or "no answer"
        raise RetryLaterError(f"cannot connect to {address.host}:{address.port}: {reason}") from None
    await asyncio.sleep(register_map.pacing.pause_after_connect_s)
    return _Session(reader, writer, address, register_map.pacing.pause_between_requests_s, timeout_s)


async def _walk(session: "_Session") -> SunSpecWalk:
    walk = SunSpecWalk()
    while not walk.take((await session.read(walk.want)).words or None):
        pass
    return walk


class _Session:
    """A connection that asks one thing at a time."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: ModbusTcpAddress,
        pause_s: float,
        timeout_s: float,
    ) -> None:
        self._reader, self._writer, self._address = reader, writer, address
        self._pause_s, self._timeout_s = pause_s, timeout_s
        self._transaction = 0
        self._answered = False

    async def read(self, block: Block) -> _Answer:
        """The registers of a block.

        Raises:
            RetryLaterError: nothing has answered yet, or the connection is gone.
        """
        loop = asyncio.get_running_loop()
        if self._transaction:
            await asyncio.sleep(self._pause_s)
        self._transaction += 1
        started = loop.time()
        try:
            async with asyncio.timeout(self._timeout_s):
                words = await self._ask(block)
        except TimeoutError:
            if not self._answered:
                raise NoAnswerError(self._where("does not answer")) from None
            return _Answer(problem="no answer in time")
        except (DesyncError, OSError, EOFError) as error:
            raise RetryLaterError(self._where(f"the connection is lost: {error}")) from None
        except DeviceExceptionError as error:
            if error.off_line:
                raise RetryLaterError(self._where(f"is off line ({error})")) from None
            return _Answer(latency_s=loop.time() - started, problem=str(error))
        except DriverError as error:
            return _Answer(latency_s=loop.time() - started, problem=str(error))
        return _Answer(words, loop.time() - started)

    def close(self) -> None:
        """End the connection."""
        self._writer.close()

    def _where(self, what: str) -> str:
        return f"{self._address.host}:{self._address.port} unit {self._address.unit} {what}"

    async def _ask(self, block: Block) -> tuple[int, ...]:
        unit = self._address.unit
        self._writer.write(read_request(self._transaction, unit, block.function, block.address, block.length))
        while True:
            frame = await self._frame()
            if transaction_of(frame, 0) == self._transaction:
                break  # else it is late, after we gave up
        self._answered = True
        at = check_read_answer(frame, 0, len(frame), unit, block.function, block.length)
        return tuple(frame[i] << 8 | frame[i + 1] for i in range(at, len(frame), 2))

    async def _frame(self) -> bytes:
        head = await self._reader.readexactly(HEADER)
        length = head[4] << 8 | head[5]
        frame_end(head, 0, HEADER)  # refuses what is no header
        return head + await self._reader.readexactly(min(length, MAX_FRAME))


def _all(register_map: ModbusMap) -> tuple[RegisterPoint | TextPoint, ...]:
    return (*register_map.points, *register_map.texts)


def _blocks(register_map: ModbusMap) -> Iterator[tuple[Block, Sequence[RegisterPoint | TextPoint]]]:
    """Every request, and the points that it is to bring; those of the identity check first."""
    checked = {check.point for check in register_map.identity}
    for wanted in (True, False):
        points = [point for point in register_map.points if (point.name in checked) is wanted]
        for block in plan_reads(points, register_map.reads):
            yield block, [point for point in points if block.holds(point)]
        for text in register_map.texts:
            if (text.name in checked) is wanted:
                yield _own_block(text, register_map), [text]


def _own_block(point: RegisterPoint | TextPoint, register_map: ModbusMap) -> Block:
    place = fitted(point.address, point.address + _count(point), register_map.reads)
    assert place is not None  # checked when the profile was read
    return Block(point.function, *place)


def _count(point: RegisterPoint | TextPoint) -> int:
    return point.words if isinstance(point, TextPoint) else point.type.words


async def _read_block(
    session: _Session,
    block: Block,
    members: Sequence[RegisterPoint | TextPoint],
    register_map: ModbusMap,
) -> dict[str, _Answer]:
    answer = await session.read(block)
    if not answer.words and answer.latency_s is not None and len(members) > 1:
        # One register that this model does not have must not hide the others.
        return {each.name: await _read_alone(session, each, register_map) for each in members}
    return {each.name: _part(answer, block, each) for each in members}


async def _read_alone(
    session: _Session, point: RegisterPoint | TextPoint, register_map: ModbusMap
) -> _Answer:
    block = _own_block(point, register_map)
    return _part(await session.read(block), block, point)


def _part(answer: _Answer, block: Block, point: RegisterPoint | TextPoint) -> _Answer:
    start = point.address - block.address
    return replace(answer, words=answer.words[start : start + _count(point)])


def _reading(point: RegisterPoint | TextPoint, answer: _Answer) -> Reading:
    value: float | str | None = None
    unit = ""
    if isinstance(point, RegisterPoint):
        unit = point.unit
        value = decode_words(point, answer.words) if answer.words else None
    elif answer.words:
        value = decode_text(answer.words)
    problem = answer.problem if not answer.words else NOT_AVAILABLE if value is None else None
    return Reading(
        point.name, point.function, point.address, answer.words, value, unit, answer.latency_s, problem
    )


def _combined(register_map: ModbusMap, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """The readings after the points that others depend on."""
    points = {point.name: point for point in register_map.points if point.others}
    values = {each.name: each.value for each in readings if not isinstance(each.value, str)}
    return tuple(
        _after(each, points[each.name], values) if each.name in points else each for each in readings
    )


def _after(reading: Reading, point: RegisterPoint, values: Mapping[str, float | None]) -> Reading:
    value = combined(point, values[reading.name], values)
    return replace(
        reading, value=value, problem=reading.problem or (NOT_AVAILABLE if value is None else None)
    )


def _identity_problems(register_map: ModbusMap, readings: tuple[Reading, ...]) -> Iterator[str]:
    found = {each.name: each for each in readings}
    for check in register_map.identity:
        value = found[check.point].value
        if not found[check.point].was_read:
            yield f"{check.point} could not be read: {found[check.point].problem}"
        elif check.texts:
            problem = text_problem(check, value if isinstance(value, str) else None)
            if problem is not None:
                yield problem
        else:
            problem = value_problem(check, None if isinstance(value, str) else value)
            if problem is not None:
                yield problem
