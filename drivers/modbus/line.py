"""The port between a link, which knows what to ask, and the line, which carries it.

Two lines stand behind it: `tcp_line` (Modbus TCP, our own) and `pymodbus_line` (serial RTU, RTU over TCP,
Modbus/TCP Security). Both are driven through the same tests.
"""

from typing import Protocol

from drivers.modbus.frames import Buffer
from drivers.modbus.requests import Request


class LineUser(Protocol):
    """Who asks over a line. Called on the event loop; must not block or raise."""

    def opened(self) -> None:
        """Requests may go out."""

    def answered(self, request: Request, data: Buffer, start: int, end: int) -> None:
        """A request in flight was answered, and the answer is checked.

        The line no longer holds the request: another one may be asked from within this call.

        Args:
            request: the very one that was asked.
            data: valid during the call only.
            start: where the registers of a read begin; of a write, `end`.
            end: where they end; a read gives exactly the registers that were asked for, big-endian.
        """

    def failed(self, request: Request, error: Exception) -> None:
        """A request in flight was answered wrongly: an `AnswerError` or a `DeviceExceptionError`.

        The line goes on; another request may be asked from within this call.
        """

    def closed(self, why: str, *, desync: bool) -> None:
        """The connection is gone, not by `Line.close`, and with it what was in flight.

        Args:
            why: for the log.
            desync: what came was no Modbus.
        """


class Line(Protocol):
    """A connection to one end: a Modbus TCP server, or a serial line. It can be opened again and again."""

    @property
    def most_in_flight(self) -> int:
        """Requests that it can carry at a time; a link asks no more of it, and never the same one twice."""

    async def open(self) -> None:
        """Try once to connect; when it succeeds `LineUser.opened` is called, before or after it returns.

        Raises:
            OSError: what is there does not take us; a `TimeoutError` if it does not answer.
        """

    def ask(self, request: Request) -> None:
        """Send a request. The outcome comes through the user, never from within this call."""

    def abandon(self, request: Request) -> None:
        """The request in flight took too long: its answer, should it come, is to be thrown away."""

    def close(self) -> None:
        """End the connection, or the attempt to open it; the user hears no more of it."""
