"""A life of the daemon that tells what its ledger is in the middle of, to whoever wants to kill it then."""

import mmap
import os
import select
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import Any

import httpx2

from daemon.cli import run as program
from daemon.clock import SystemClock
from daemon.store.database import Connection, Cursor, connect_file
from daemon.uplink import uplink


class Phase(IntEnum):
    """What a ledger can be in the middle of; of several the highest counts."""

    IDLE = 0
    COMMITTED = 1
    """Records are committed and not sent."""
    SENT = 2
    """Records are sent, and there is no receipt."""
    RECEIPT = 4
    """A receipt has come, and has not retired its records."""
    INSIDE = 8
    """A transaction with records has begun and is not committed."""

    @classmethod
    def of(cls, bits: int) -> "Phase":
        return next((phase for phase in reversed(cls) if bits & phase), cls.IDLE)


class Board:
    """Memory that a life shares with whoever kills it, and a bell that rings when it changes.

    Args:
        clock_error_s: how far all clocks of the site and of the exchange are from the machine's.
    """

    def __init__(self, clock_error_s: float = 0.0) -> None:
        self.clock_error_s = clock_error_s
        self._memory = mmap.mmap(-1, 4096)
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        self._poll = select.poll()
        self._poll.register(self._ear, select.POLLIN)

    @property
    def phase(self) -> Phase:
        """What it is in the middle of, or was when it died."""
        return Phase.of(self._memory[0])

    def begin(self, phase: Phase) -> None:
        """It is in the middle of something from now on."""
        self._tell(self._memory[0] | phase)

    def end(self, phase: Phase) -> None:
        """It is no longer."""
        self._tell(self._memory[0] & ~phase)

    def _tell(self, bits: int) -> None:
        if bits != self._memory[0]:
            self._memory[0] = bits
            os.write(self._bell, bytes([Phase.of(bits)]))

    def heard(self, within_s: float) -> list[Phase]:
        """The phases that it went through since the last call, waited for if there were none."""
        self._poll.poll(within_s * 1000)
        try:
            return [Phase(byte) for byte in os.read(self._ear, 4096)]
        except BlockingIOError:
            return []

    def forget(self) -> None:
        """Be ready for another life."""
        self._memory[0] = 0
        while self.heard(0):
            pass


class ErringClock(SystemClock):
    """The machine's clocks, but the time of day is another."""

    def __init__(self, error_s: float) -> None:
        self._error_s = error_s

    def wall(self) -> float:
        return super().wall() + self._error_s


class TellingConnection:
    """A connection that tells the board of its transactions."""

    def __init__(self, inner: Connection, board: Board) -> None:
        self._inner = inner
        self._board = board
        self._retires = False

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Cursor:
        board = self._board
        if sql.startswith("INSERT INTO records"):
            board.begin(Phase.INSIDE)
        self._retires |= sql.startswith("INSERT OR IGNORE INTO receipts")
        inside = board.phase is Phase.INSIDE
        cursor = await self._inner.execute(sql, parameters)
        if sql in {"COMMIT", "ROLLBACK"}:
            if sql == "COMMIT" and inside:
                board.begin(Phase.COMMITTED)
            board.end(Phase.INSIDE)
            if self._retires:
                board.end(Phase.RECEIPT)
            self._retires = False
        return cursor

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Cursor:
        return await self._inner.executemany(sql, parameters)

    async def executescript(self, sql_script: str) -> Cursor:
        return await self._inner.executescript(sql_script)

    async def close(self) -> None:
        await self._inner.close()


class TellingTransport(httpx2.AsyncBaseTransport):
    """A transport that tells the board of its deliveries."""

    def __init__(self, board: Board) -> None:
        self._inner = httpx2.AsyncHTTPTransport()
        self._board = board

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "PUT":
            return await self._inner.handle_async_request(request)
        board = self._board
        # What came before was no receipt.
        board.end(Phase.RECEIPT)
        board.begin(Phase.SENT)
        board.end(Phase.COMMITTED)
        # A request without an answer leaves its records sent; nobody knows whether they were taken.
        response = await self._inner.handle_async_request(request)
        body = await response.aread()
        if response.status_code in {200, 201}:
            board.begin(Phase.RECEIPT)
        board.end(Phase.SENT)
        return httpx2.Response(response.status_code, headers=_plain(response.headers), content=body)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _plain(headers: httpx2.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "content-encoding"}


def live(config: Path, board: Board) -> None:
    """Be `quotawatt run`, until killed. Its time of day is another, and its back-offs are short."""

    async def connect(path: Path) -> Connection:
        connection = await connect_file(path)
        return TellingConnection(connection, board) if path.name == "site.db" else connection

    def http_client(_config: object) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=TellingTransport(board), timeout=30.0, trust_env=False)

    # In a process of its own, so nobody puts it back.
    program.__dict__.update(
        connect_file=connect,
        _http_client=http_client,
        SystemClock=lambda: ErringClock(board.clock_error_s),
    )
    uplink.__dict__.update(delay_s=_soon)  # an hour's back-offs within a second
    program.run(config)


def _soon(failures: int, retry_after_s: float | None, entropy: object) -> float:
    del retry_after_s, entropy
    return min(0.01 * failures, 0.1)
