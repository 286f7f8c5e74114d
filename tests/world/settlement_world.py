"""A ledger, its uplink and the reference exchange in virtual time, and what can go wrong in between.

The files are real SQLite; a kill leaves them as they were, and both sides can be put back to an older copy.
"""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from daemon.config.settings import ExchangeKey as TrustedKey
from daemon.config.settings import Settlement
from daemon.ledger import Beginning, EpochReason, IntervalBuilder, Ledger, event
from daemon.ledger.chain import payload_of, verify_run
from daemon.signing import PrivateKey
from daemon.store import Store
from daemon.timestamps import parse_utc
from daemon.uplink import Uplink
from daemon.uplink.uplink import COMPARE_EVERY_S
from sim_devices.exchange import Exchange
from sim_devices.exchange.receipts import ExchangeKey
from sim_devices.exchange.settlement import Settlement as Rules
from tests.world.inline_store import InlineConnection, connect_inline
from tests.world.loop import VirtualClock, VirtualLoop
from tests.world.metered_site import MIDNIGHT, MeteredSite
from tests.world.settling_site import hash_text, receipt_claims, utc
from tests.world.virtual_site import SeededEntropy

SITE = "lhe-01"
KEY = PrivateKey.from_seed(b"\x09" * 32)
POINTS = ("poi", "feeder")
INTERVAL_S = 60
SLICE_S = 20
POWER_W = 900_000.0
BEGIN_S = MIDNIGHT + 86_400 - 1_200
"""Twenty minutes before a midnight."""


@dataclass
class SettlementWorld:
    """Time passes in `run` alone, for the meter, the site and the exchange alike."""

    folder: Path
    seed: int = 1
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    copies: list[Path] = field(default_factory=list)
    _lives: int = 0
    _copied: int = 0

    def __post_init__(self) -> None:
        """Start exchange and site."""
        self.clock = VirtualClock(self.loop, float(BEGIN_S))
        self.metered = MeteredSite(interval_s=INTERVAL_S, points=POINTS, power_w=POWER_W)
        self.exchange_key = ExchangeKey.generate("exchange-1")
        self.exchange = self._open_exchange()
        self.exchange.register_site(SITE, KEY.public_jwk(), KEY.kid)
        self.do(self._start)

    # --- what passes, and what goes wrong ---

    def do(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine function in virtual time."""
        return self.loop.run_until_complete(work())

    def run(self, seconds: float) -> None:
        """The site meters, records and delivers."""

        async def pass_time() -> None:
            end_s = self.clock.wall() + seconds
            while self.clock.wall() < end_s:
                await asyncio.sleep(SLICE_S)
                await self._observe()

        self.do(pass_time)

    def note(self) -> None:
        """Something worth a record happens."""
        self.do(lambda: self.ledger.append([event(self.clock.wall(), "note", {})]))

    def new_epoch(self) -> None:
        """An operator begins anew."""
        self.do(lambda: self.ledger.open_epoch(Beginning(EpochReason.OPERATOR)))

    def down(self, seconds: float) -> None:
        """The daemon dies, and is started again later."""

        async def die_and_live() -> None:
            await self._kill()
            await asyncio.sleep(seconds)
            await self._start()

        self.do(die_and_live)

    def copy_store(self) -> None:
        """Somebody makes a backup of the disk."""
        self._copied += 1
        folder = self.folder / f"copy-{self._copied}"
        folder.mkdir()
        for file in self.folder.glob("site.db*"):
            shutil.copy(file, folder)
        self.copies.append(folder)

    def put_back(self, copy: Path) -> None:
        """The disk is replaced by that backup while the daemon is away."""

        self.do(self._kill)
        for file in self.folder.glob("site.db*"):
            file.unlink()
        for file in copy.iterdir():
            shutil.copy(file, self.folder)
        self.do(self._start)

    def restart_exchange(self) -> None:
        """It comes back with the same book, and no fault is left on."""
        self.exchange.close()
        self.exchange = self._open_exchange()

    def settle(self) -> None:
        """Nothing goes wrong any more: two whole intervals pass, and then as long as it takes.

        Raises:
            TimeoutError: it never comes to rest.
        """
        self.exchange.faults.clear()
        self.run(2 * INTERVAL_S)

        async def rest() -> None:
            await asyncio.sleep(COMPARE_EVERY_S + 60)
            async with asyncio.timeout(3 * 3600):
                while self.ledger.position.backlog or self.uplink.alarms:  # noqa: ASYNC110 - of many states
                    await asyncio.sleep(5)
            await self.ledger.refresh()

        self.do(rest)

    def close(self) -> None:
        """End everything."""
        self.do(self._kill)
        self.exchange.close()
        self.loop.close()

    # --- what must be so ---

    def check(self) -> None:
        """Everything once and in order, on both sides, and the energy is the register's difference."""
        lines = self._lines_at_exchange()
        self._chains_hold(lines)
        self.do(lambda: self._both_hold_the_same(lines))
        members = [payload_of(lines[key]) for key in sorted(lines)]
        measured = [each for each in members if each["kind"] in {"interval", "gap"}]
        last_s = max(each["start"] for each in measured)
        first_wh = self.register_at(BEGIN_S)
        ends = [each["reg_end_wh"] for each in measured if each["start"] == last_s and each["point"] == "poi"]
        starts = {each["start"] for each in measured}
        first_s = BEGIN_S
        count = (parse_utc(last_s) - first_s) // INTERVAL_S + 1
        assert starts == {utc(first_s + number * INTERVAL_S) for number in range(count)}
        stated = [self._statement(day) for day in sorted({start[:10] for start in starts})]
        assert sum(each.count for each in stated) == count * len(POINTS), "each interval of a point once"
        assert ends[-1] == self.register_at(parse_utc(last_s) + INTERVAL_S)
        assert sum(each.wh for each in stated) == ends[-1] - first_wh

    def register_at(self, unix_s: float) -> int:
        """What the meters showed when they were read for a boundary."""
        return int(self._energy_wh(unix_s - 0.4))

    # --- inside ---

    def _energy_wh(self, unix_s: float) -> float:
        return 5_000_000.4 + POWER_W * (unix_s - MIDNIGHT) / 3600.0

    def _open_exchange(self) -> Exchange:
        return Exchange(path=self.folder / "book.db", key=self.exchange_key, clock=self.clock.wall)

    async def _start(self) -> None:
        self._lives += 1
        self.store = await Store.open(self.folder / "site.db", self._connect)
        self.ledger = await Ledger.open(
            self.store, site=SITE, key=KEY, fw="1", clock=self.clock, interval_s=INTERVAL_S, points=POINTS
        )
        self._builder = IntervalBuilder(INTERVAL_S, POINTS, await self.ledger.baselines())
        settings = Settlement(
            "https://exchange.test/",
            (TrustedKey(self.exchange.kid, self.exchange.public_jwk),),
            None,
            None,
            None,
            "exchange",
        )
        http = httpx2.AsyncClient(transport=_Wire(self))
        entropy = SeededEntropy(self.seed * 1_000 + self._lives)
        self.uplink = Uplink(self.ledger, http, settings, self.clock, entropy)
        self._task = asyncio.create_task(self.uplink.run(), name="uplink")
        await self._observe()

    async def _connect(self, path: Path) -> InlineConnection:
        self._connection = await connect_inline(path)
        return self._connection

    async def _kill(self) -> None:
        self._connection.kill()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _observe(self) -> None:
        self.metered.true_s = self.clock.wall()
        self.metered.energy_wh = self._energy_wh(self.metered.true_s)
        finished = self._builder.observe(self.metered.observation())
        if finished:
            await self.ledger.append(finished.bodies, baselines=finished.baselines)

    def _lines_at_exchange(self) -> dict[tuple[int, int], bytes]:
        book, lines = self.exchange.book, {}
        for epoch in book.openings(SITE):
            head = book.head(SITE, epoch)
            assert head is not None
            known = book.known(SITE, epoch, 1, head.seq)
            lines.update({(epoch, seq): bytes(jws) for seq, jws in known.items()})
        return lines

    def _chains_hold(self, lines: dict[tuple[int, int], bytes]) -> None:
        for epoch in {epoch for epoch, _ in lines}:
            chain = [lines[key] for key in sorted(lines) if key[0] == epoch]
            claims = [payload_of(jws) for jws in chain]
            assert [each["seq"] for each in claims] == list(range(1, len(chain) + 1))
            assert [each["prev"] for each in claims] == [None, *map(hash_text, chain[:-1])]

    async def _both_hold_the_same(self, lines: dict[tuple[int, int], bytes]) -> None:
        for state in self.ledger.epochs:
            records = await self.ledger.records(state.epoch, 1, 10**6)
            verify_run(records, SITE, KEY.public())
            assert state.acked_seq == state.sendable_seq
            for record in records[: state.acked_seq]:
                assert lines[record.epoch, record.seq] == record.jws.encode("ascii")

        for text in await self.ledger.receipts():
            claims = receipt_claims(text.encode("ascii"), self.exchange.public_jwk)
            ours = await self.ledger.hash_of(claims["epoch"], claims["through_seq"])
            assert (claims["site"], claims["head_hash"]) == (SITE, ours)

    def _statement(self, day: str) -> Any:
        told = Rules(self.exchange.book, self.exchange.key, self.clock.wall).statement(SITE, day)
        assert told is not None
        return told


class _Wire(httpx2.AsyncBaseTransport):
    """To whichever exchange is there now."""

    def __init__(self, world: SettlementWorld) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._world.exchange.transport().handle_async_request(request)
