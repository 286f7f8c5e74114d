"""A connection that is made again and again: its state, its pauses, and what is in flight on it."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import StrEnum

from drivers.modbus.backoff import Backoff
from drivers.modbus.frames import Buffer
from drivers.modbus.line import Line, LineUser
from drivers.modbus.pace import Pace
from drivers.modbus.requests import Request
from drivers.modbus.shared import NEVER, Shared
from drivers.ports import Absence

CONNECT_TIMEOUT_S = 3.0
_ROUNDING_S = 1e-6
"""A timer may fire this much early, by the rounding of its time."""
_log = logging.getLogger(__name__)


class LinkState(StrEnum):
    """How far the connection is."""

    DOWN = "down"
    CONNECTING = "connecting"
    UP = "up"
    RESTING = "resting"
    """Closed after a sweep, as a device wants it; opened again when there is something to ask."""


class Connection(ABC):
    """Knows the line, and nothing of what is asked over it.

    Args:
        name: for the log.
        index: its place among the fleet's links.
        shared: with the other links of the fleet.
        make_line: what carries its requests.
    """

    __slots__ = (
        "_backoff",
        "_closed",
        "_current",
        "_deadlines",
        "_index",
        "_line",
        "_not_before",
        "_others",
        "_pace",
        "_pausing",
        "_shared",
        "_timeouts",
        "name",
        "retry_at",
        "state",
    )

    def __init__(self, name: str, index: int, shared: Shared, make_line: Callable[[LineUser], Line]) -> None:
        self.name = name
        # Not down: it has not been tried yet, and what is asked may wait for that.
        self.state = LinkState.CONNECTING
        self.retry_at = 0.0
        self._index, self._shared, self._deadlines = index, shared, shared.deadlines
        self._line = make_line(self)
        self._backoff = Backoff(shared.rng)
        self._closed = False
        """For good."""
        self._pace: Pace | None = None
        """Known from the first connection on."""
        self._current: Request | None = None
        """In flight; of several the last."""
        self._others: list[Request] = []
        """Also in flight, in the order in which they went out."""
        self._timeouts = 0
        """One after the other."""
        self._not_before = 0.0
        """No request goes out earlier, if there are pauses."""
        self._pausing = False

    # --- what a link makes of it -----------------------------------------------------------------

    @abstractmethod
    def _pace_for(self, most_in_flight: int) -> Pace:
        """How much haste may be made."""

    @abstractmethod
    def _longest_pause_s(self) -> float:
        """Between two attempts to connect, at most."""

    @abstractmethod
    def _next(self, now: float) -> None:
        """Requests may go out."""

    @abstractmethod
    def _lost(self, in_flight: Sequence[Request], absence: Absence, now: float) -> None:
        """The connection is down, and these were in flight."""

    @abstractmethod
    def answered(self, request: Request, data: Buffer, start: int, end: int) -> None:
        """As in `LineUser`."""

    @abstractmethod
    def failed(self, request: Request, error: Exception) -> None:
        """As in `LineUser`."""

    # --- making and ending it --------------------------------------------------------------------

    @property
    def index(self) -> int:
        """Its place among the fleet's links."""
        return self._index

    async def connect(self) -> None:
        """Try once to connect; the outcome shows in `state`."""
        if self._closed:
            return
        self.state = LinkState.CONNECTING
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._line.open()
        except OSError as error:  # a TimeoutError is one
            self._down(f"cannot connect: {str(error) or 'no answer'}", Absence.NOT_CONNECTED)

    def close(self) -> None:
        """End the connection for good."""
        self._closed = True
        self._down("closed", Absence.NOT_CONNECTED)

    def look_anew(self) -> None:
        """The fleet has another number of links, or there are other units behind this one."""
        self._deadlines = self._shared.deadlines
        if self._pace is not None:
            self._pace = self._pace_for(self._line.most_in_flight)

    def opened(self) -> None:
        if self._closed:
            self._line.close()
            return
        now = self._shared.now()
        if self._pace is None:
            self._pace = self._pace_for(self._line.most_in_flight)
        self.state = LinkState.UP
        self._timeouts = 0
        self._not_before = now + self._pace.pause_after_connect_s
        _log.debug("%s connected", self.name)
        self._next(now)

    def closed(self, why: str, *, desync: bool) -> None:
        self._down(why, Absence.INVALID if desync else Absence.NOT_CONNECTED)

    def _down(self, why: str, absence: Absence) -> None:
        """Close, and set a time for the next attempt."""
        if self.state is LinkState.DOWN:
            return
        self.state = LinkState.DOWN
        self._line.close()
        _log.debug("%s: %s", self.name, why)
        now = self._shared.now()
        if self._shared.loop is not None and not self._closed:
            self.retry_at = now + self._backoff.next_s(self._longest_pause_s())
            self._shared.went_down(self._index)
        in_flight = self._in_flight()
        self._current, self._others = None, []
        self._deadlines[self._index] = NEVER
        self._lost(in_flight, absence, now)

    def _rest(self) -> None:
        """Close until there is something to ask."""
        self.state = LinkState.RESTING
        self._line.close()

    def _wake(self, now: float) -> None:
        self.state, self.retry_at = LinkState.CONNECTING, now
        self._shared.went_down(self._index)

    # --- what is in flight -----------------------------------------------------------------------

    def _may_send(self, now: float) -> bool:
        """Whether a request may go out now; after a pause `_next` is called."""
        pace = self._pace
        if self.state is not LinkState.UP or pace is None:
            return False
        if self._current is not None and len(self._others) + 1 >= pace.in_flight:
            return False
        if now + _ROUNDING_S >= self._not_before:
            return True
        if not self._pausing and self._shared.loop is not None:
            self._pausing = True
            self._shared.loop.call_at(self._not_before, self._resume)
        return False

    def _resume(self) -> None:
        self._pausing = False
        self._next(self._shared.now())

    def _send(self, request: Request, now: float, within_s: float) -> None:
        if self._current is not None:
            self._others.append(self._current)
        self._current = request
        request.deadline = now + within_s
        self._deadlines[self._index] = (self._others[0] if self._others else request).deadline
        self._line.ask(request)

    def _in_flight(self) -> list[Request]:
        return self._others if self._current is None else [*self._others, self._current]

    def _heard(self, request: Request) -> float:
        """An answer came, good or not: the connection is well. The time."""
        now = self._shared.now()
        self._timeouts = 0
        self._backoff.reset()
        self._arrived(request, now)
        return now

    def _arrived(self, request: Request, now: float) -> None:
        """It is no longer in flight."""
        if request is self._current:
            self._current = self._others.pop() if self._others else None
        else:
            self._others.remove(request)
        first = self._others[0] if self._others else self._current
        self._deadlines[self._index] = NEVER if first is None else first.deadline
        if self._pace is not None and self._pace.pause_between_requests_s:
            self._not_before = now + self._pace.pause_between_requests_s
