"""Look at one device once: what it is, and every point of its profile with its raw words."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from drivers.address import ModbusAddress
from drivers.errors import RetryLaterError
from drivers.modbus.codec import combined, decode_text, decode_words
from drivers.modbus.errors import AnswerError, DeviceExceptionError
from drivers.modbus.frames import Buffer
from drivers.modbus.identity import text_problem, value_problem
from drivers.modbus.lines import MakeLine, end_of, lines, profile_over
from drivers.modbus.planning import Block, fitted, plan_reads
from drivers.modbus.requests import Request
from drivers.modbus.sunspec import SunSpecWalk, located, location_problem
from drivers.profile import ModbusMap, Pacing, Profile, RegisterPoint, TextPoint
from drivers.tls import TlsFiles

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


async def inspect(
    address: ModbusAddress, profile: Profile, *, timeout_s: float = 1.0, tls: TlsFiles | None = None
) -> Inspection:
    """Read everything that the profile names, at the pace that the device wants.

    Raises:
        RetryLaterError: nobody answers there.
        AddressError: it is reached over TLS, and there is no `tls`.
        TlsFileError: a file of `tls` cannot be used.
    """
    register_map = profile_over(profile, address).map
    assert isinstance(register_map, ModbusMap)
    session = _Session(address, register_map.pacing, timeout_s, lines(tls))
    await session.open()
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


async def _walk(session: "_Session") -> SunSpecWalk:
    walk = SunSpecWalk()
    while not walk.take((await session.read(walk.want)).words or None):
        pass
    return walk


class _Session:
    """Asks one thing at a time over a line; implements `LineUser`."""

    def __init__(self, address: ModbusAddress, pacing: Pacing, timeout_s: float, make_line: MakeLine) -> None:
        self._address, self._pacing, self._timeout_s = address, pacing, timeout_s
        self._line = make_line(address, self)
        self._is_open = asyncio.Event()
        self._answer: asyncio.Future[tuple[int, ...]] | None = None
        self._lost: str | None = None
        self._asked = self._answered = False

    async def open(self) -> None:
        """Connect.

        Raises:
            RetryLaterError: it cannot be done.
        """
        self._lost = None
        self._is_open.clear()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._line.open()
                await self._is_open.wait()
        except OSError as error:  # a TimeoutError is one
            self._line.close()
            raise RetryLaterError(
                f"cannot connect to {end_of(self._address)}: {str(error) or 'no answer'}"
            ) from None
        await asyncio.sleep(self._pacing.pause_after_connect_s)

    async def read(self, block: Block) -> _Answer:
        """The registers of a block.

        Raises:
            RetryLaterError: nothing has answered yet, or the connection is gone.
        """
        loop = asyncio.get_running_loop()
        if self._asked:
            await asyncio.sleep(self._pacing.pause_between_requests_s)
        self._asked = True
        started = loop.time()
        try:
            words = await self._ask(block)
        except TimeoutError:
            if not self._answered:
                raise NoAnswerError(self._where("does not answer")) from None
            await asyncio.sleep(0)
            if self._lost is not None:  # a line that could not tell a late answer from the next
                await self.open()
            return _Answer(problem="no answer in time")
        except DeviceExceptionError as error:
            if error.off_line:
                raise RetryLaterError(self._where(f"is off line ({error})")) from None
            return _Answer(latency_s=loop.time() - started, problem=str(error))
        except AnswerError as error:
            return _Answer(latency_s=loop.time() - started, problem=str(error))
        return _Answer(words, loop.time() - started)

    def close(self) -> None:
        """End the connection."""
        self._line.close()

    # --- what the line tells ---------------------------------------------------------------------

    def opened(self) -> None:
        self._is_open.set()

    def answered(self, request: Request, data: Buffer, start: int, end: int) -> None:
        del request
        self._answered = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(tuple(data[i] << 8 | data[i + 1] for i in range(start, end, 2)))

    def failed(self, request: Request, error: Exception) -> None:
        del request
        self._answered = True
        self._end(error)

    def closed(self, why: str, *, desync: bool) -> None:
        del desync
        self._lost = why
        self._end(RetryLaterError(self._where(why)))

    def _end(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # --- one request -----------------------------------------------------------------------------

    async def _ask(self, block: Block) -> tuple[int, ...]:
        if self._lost is not None:
            raise RetryLaterError(self._where(self._lost))
        request = Request.read(self._address.unit, block)
        self._answer = asyncio.get_running_loop().create_future()
        self._line.ask(request)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._answer
        except TimeoutError:
            self._line.abandon(request)
            raise

    def _where(self, what: str) -> str:
        return f"{end_of(self._address)} unit {self._address.unit} {what}"


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
