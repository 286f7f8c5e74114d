"""The port between a link, which knows what to ask, and the line, which carries it.

Two lines stand behind it: `tcp_line` (Modbus TCP, our own) and `pymodbus_line` (serial RTU, RTU over TCP,
Modbus/TCP Security). Both are driven through the same tests.
"""

from typing import Protocol

from drivers.modbus.frames import Buffer
from drivers.modbus.planning import Block


class LineUser(Protocol):
    """Who asks over a line. Called on the event loop; must not block or raise."""

    def opened(self) -> None:
        """Requests may go out."""

    def answered(self, data: Buffer, start: int, end: int) -> None:
        """The request in flight was answered, and the answer is checked.

        Args:
            data: valid during the call only.
            start: where the registers of a read begin; of a write, `end`.
            end: where they end; a read gives exactly the registers that were asked for.
        """

    def failed(self, error: Exception) -> None:
        """The request in flight was answered wrongly: an `AnswerError` or a `DeviceExceptionError`.

        The line goes on.
        """

    def closed(self, why: str, *, desync: bool) -> None:
        """The connection is gone, not by `Line.close`. `desync` = what came was no Modbus."""


class Line(Protocol):
    """A connection to one end: a Modbus TCP server, or a serial line. One request is in flight at a time."""

    async def open(self) -> None:
        """Try once to connect; then `LineUser.opened` has been called.

        Raises:
            OSError: what is there does not take us; a `TimeoutError` if it does not answer.
        """

    def read(self, unit: int, block: Block) -> None:
        """Ask for registers. The outcome comes through the user; never from within this call."""

    def write(self, unit: int, address: int, words: tuple[int, ...]) -> None:
        """Write registers: function 6 for one, 16 for more."""

    def abandon(self) -> None:
        """The request in flight took too long: its answer, should it come, is to be thrown away."""

    def close(self) -> None:
        """End the connection; the user hears no more of it."""
