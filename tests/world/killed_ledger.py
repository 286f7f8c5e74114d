"""A ledger with its recorder and uplink, killed again and again: `python -m … FOLDER --cycles N [--seed N]`.

Each life is a process of its own (forked, so that it starts in milliseconds) with a real file, real fsync
and real HTTP to an exchange that fails in every way it can; only the site's time is simulated. The life tells
what it is about through shared memory, so that whoever kills it with SIGKILL knows in what it died. Prints a
histogram of that, and what an auditor finds afterwards, as JSON.
"""

import argparse
import asyncio
import json
import mmap
import os
import random
import signal
import socket
import sqlite3
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import httpx2
import structlog

from daemon.config.settings import ExchangeKey, Settlement
from daemon.ledger import IntervalBuilder, Ledger, Recorder, event
from daemon.ledger.chain import payload_of, verify_run
from daemon.store import Store
from daemon.store.database import Connection, Cursor, connect_file
from daemon.uplink import Uplink, uplink
from sim_devices.exchange import Exchange
from sim_devices.exchange.faults import WrongReceipt
from tests.world.metered_site import MIDNIGHT, MeteredSite, audit
from tests.world.settling_process import INTERVAL_S, KEY, POINTS, SiteClock, open_ledger, site_at

SITE = "lhe-01"
START_S = float(MIDNIGHT + 86_370)
LIFE_S = 1.5
"""A life that has not died of its own phase by then dies of old age."""


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


WANTED = (Phase.INSIDE, Phase.COMMITTED, Phase.SENT, Phase.RECEIPT)


class Board:
    """Memory that a life shares with whoever kills it: its phase, and the second that it has got to."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)
        self.now_s = START_S

    @property
    def bits(self) -> int:
        return self._memory[0]

    @bits.setter
    def bits(self, bits: int) -> None:
        self._memory[0] = bits

    @property
    def now_s(self) -> float:
        return float(struct.unpack_from("d", self._memory, 8)[0])

    @now_s.setter
    def now_s(self, now_s: float) -> None:
        struct.pack_into("d", self._memory, 8, now_s)


# --- a life ---


class TellingConnection:
    """A connection that tells the board of its transactions."""

    def __init__(self, inner: Connection, board: Board) -> None:
        self._inner = inner
        self._board = board

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Cursor:
        board = self._board
        if sql.startswith("INSERT INTO records"):
            board.bits |= Phase.INSIDE
        cursor = await self._inner.execute(sql, parameters)
        if sql == "COMMIT":
            if board.bits & Phase.INSIDE:
                board.bits |= Phase.COMMITTED
            else:
                board.bits &= ~Phase.RECEIPT
            board.bits &= ~Phase.INSIDE
        elif sql == "ROLLBACK":
            board.bits &= ~Phase.INSIDE
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
        board.bits = (board.bits | Phase.SENT) & ~Phase.COMMITTED
        try:
            response = await self._inner.handle_async_request(request)
            body = await response.aread()
            if response.status_code in {200, 201}:
                board.bits |= Phase.RECEIPT
            return httpx2.Response(response.status_code, headers=_plain(response.headers), content=body)
        finally:
            board.bits &= ~Phase.SENT


def _plain(headers: httpx2.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "content-encoding"}


class Entropy:
    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def uuid(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def uniform(self, low: float, high: float) -> float:
        return self._rng.uniform(low, high)


@dataclass(frozen=True)
class Rig:
    """What all lives share."""

    path: Path
    board: Board
    url: str
    keys: tuple[ExchangeKey, ...]


def _soon(failures: int, retry_after_s: float | None, entropy: object) -> float:
    del retry_after_s, entropy
    return min(0.002 * failures, 0.02)


async def live(rig: Rig, seed: int, until_s: float | None) -> None:
    """Settle and deliver until killed, or until all that was measured until `until_s` has its receipt."""
    board, rng = rig.board, random.Random(seed)
    site = site_at(board.now_s)

    async def connect(path: Path) -> TellingConnection:
        return TellingConnection(await connect_file(path), board)

    store = await Store.open(rig.path, connect)
    ledger = await open_ledger(store, site)
    recorder = Recorder(ledger, IntervalBuilder(INTERVAL_S, POINTS, await ledger.baselines()))
    settings = Settlement(rig.url, rig.keys, None, None, None, "exchange")
    uplink.delay_s = _soon  # type: ignore[attr-defined] # an hour's back-offs within a second
    async with httpx2.AsyncClient(transport=TellingTransport(board)) as http:
        delivering = Uplink(ledger, http, settings, KEY, SiteClock(site), Entropy(seed))
        tasks = [
            asyncio.create_task(delivering.run(), name="uplink"),
            asyncio.create_task(recorder.run(), name="recorder"),
        ]
        while until_s is None or site.true_s < until_s:
            await _second(site, recorder, ledger, rng)
            board.now_s = site.true_s
        while not (await recorder.flush() and ledger.position.backlog == 0):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await store.close()


async def _second(site: MeteredSite, recorder: Recorder, ledger: Ledger, rng: random.Random) -> None:
    recorder.observe(site.observation())
    if rng.random() < 0.15:
        await ledger.append([event(site.wall_s, "note", {"n": rng.randrange(1000)})])
    await asyncio.sleep(rng.choice([0.0, 0.001, 0.004]))
    site.run(1)


# --- the exchange ---


async def exchange(path: Path, board: Board, told: int, seed: int) -> None:
    """Settle for the site, and fail all the time, until killed."""
    rng = random.Random(seed)
    endpoint = Exchange(path=path, clock=lambda: board.now_s)
    endpoint.register_site(SITE, KEY.public_jwk(), KEY.kid)
    await endpoint.start()
    os.write(told, json.dumps([endpoint.url, endpoint.kid, endpoint.public_jwk]).encode() + b"\n")
    faults = endpoint.faults
    troubles: list[Callable[[], None]] = [
        faults.drop_before_commit,
        faults.drop_after_commit,
        lambda: faults.refuse(503, times=rng.randint(1, 3)),
        lambda: faults.refuse(429, retry_after_s=1, times=1),
        lambda: faults.falsify(rng.choice(list(WrongReceipt))),
        lambda: faults.delay(rng.uniform(0, 0.02), times=3),
    ]
    while True:
        await asyncio.sleep(rng.uniform(0.0, 0.15))
        rng.choice(troubles)()


# --- who kills ---


def forked(work: Callable[[], None]) -> int:
    """Do something in a process of its own; returns its id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def ended(child: int) -> bool:
    """Whether it ended by itself; its mistakes are ours."""
    done, status = os.waitpid(child, os.WNOHANG)
    if done and status:
        raise RuntimeError(f"a life ended by itself with status {status}")
    return bool(done)


def kill_in(child: int, board: Board, phase: Phase, occurrence: int) -> Phase:
    """Kill it at the n-th time that it is seen in `phase`; returns what it died in."""
    deadline_s = time.monotonic() + LIFE_S  # noqa: TID251 - real processes die in real time
    seen, before = 0, Phase.IDLE
    while seen < occurrence and time.monotonic() < deadline_s:  # noqa: TID251 - likewise
        now = Phase.of(board.bits)
        seen += now is phase and before is not phase
        before = now
        if seen < occurrence:
            time.sleep(0.00005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return Phase.of(board.bits)


def campaign(folder: Path, cycles: int, seed: int) -> dict[str, Any]:
    """Kill `cycles` lives, the rarest phase first; then live once to the end, and audit."""
    rng, board, died = random.Random(seed), Board(), Counter[Phase]()
    ledger_path, book_path = folder / "site.db", folder / "book.db"
    hear, tell = os.pipe()
    server = forked(lambda: asyncio.run(exchange(book_path, board, tell, seed)))
    try:
        url, kid, jwk = json.loads(os.read(hear, 4096))
        rig = Rig(ledger_path, board, url, (ExchangeKey(kid, jwk),))
        for life in range(cycles):
            board.bits = 0
            phase = min(WANTED, key=lambda each: died[each])
            child = forked(lambda: asyncio.run(live(rig, seed * 100_003 + life, None)))  # noqa: B023 - used now
            died[kill_in(child, board, phase, rng.randint(1, 8))] += 1
            # The next life begins no earlier than a second that the last one may have got to.
            board.now_s += rng.choice([1.0, 2.0, 7.0, 23.0])
        last = forked(lambda: asyncio.run(live(rig, seed, board.now_s + 3 * INTERVAL_S)))
        while not ended(last):
            time.sleep(0.01)
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    found = asyncio.run(audited(ledger_path, book_path, board.now_s))
    return {"cycles": cycles, "died": {phase.name.lower(): died[phase] for phase in Phase}, **found}


async def audited(ledger_path: Path, book_path: Path, now_s: float) -> dict[str, Any]:
    """Hold the site's file, the exchange's book and the plant's register against each other."""
    store = await Store.open(ledger_path)
    try:
        ledger = await open_ledger(store, site_at(now_s))
        baselines = await ledger.baselines()
        records = [each for state in ledger.epochs for each in await ledger.records(state.epoch, 1, 10**7)]
        epochs, damage = len(ledger.epochs), ledger.damage
    finally:
        await store.close()
    verify_run(records, SITE, KEY.public())
    with sqlite3.connect(book_path) as book:
        theirs = [row[0] for row in book.execute("SELECT jws FROM records ORDER BY epoch, seq")]
    ours = [record.jws.encode("ascii") for record in records]
    common = {"v", "site", "epoch", "seq", "prev", "fw"}
    bodies = [
        {name: value for name, value in payload_of(record.jws).items() if name not in common}
        for record in records
    ]
    energy = {}
    for point in POINTS:
        measured = [each for each in bodies if each.get("point") == point and each["wh"] is not None]
        base = baselines[point]
        assert base.register_at is not None
        # Read 0.4 s before the boundary: the plant's true register then.
        true_wh = int(site_at(base.register_at - 0.4).energy_wh)
        energy[point] = {
            "counted_wh": audit(bodies, INTERVAL_S, point),
            "true_wh": true_wh - measured[0]["reg_start_wh"],
        }
    return {
        "records": len(ours),
        "kinds": Counter(record.kind for record in records),
        "epochs": epochs,
        "damage": damage,
        "same_at_exchange": ours == theirs,
        "doubled_at_exchange": len(theirs) - len(set(theirs)),
        "missing_at_exchange": len(set(ours) - set(theirs)),
        "energy": energy,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    structlog.configure(processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])
    arguments.folder.mkdir(parents=True, exist_ok=True)
    socket.setdefaulttimeout(10)
    sys.stdout.write(json.dumps(campaign(arguments.folder, arguments.cycles, arguments.seed)) + "\n")


if __name__ == "__main__":
    main()
