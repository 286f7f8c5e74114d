"""The end of the log torn off, zeroed or spoilt: what is left is a prefix; the exchange knows the rest."""

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from daemon.config.settings import ExchangeKey, Settlement
from daemon.ledger import Ledger, event
from daemon.ledger.chain import StoredRecord, payload_of, verify_run
from daemon.signing import PrivateKey
from daemon.store import Store
from daemon.uplink import Uplink
from sim_devices.exchange import Exchange
from tests.world.hand_clock import HandClock
from tests.world.metered_site import MIDNIGHT, MeteredSite
from tests.world.virtual_site import SeededEntropy

KEY = PrivateKey.from_seed(b"\x07" * 32)
NOW_S = float(MIDNIGHT + 90_000)
VARIANTS = int(os.environ.get("TORN_LOGS", "30"))
"""`make crash` takes 300."""


@dataclass
class Settled:
    """A ledger that is delivered whole, its file as it was without being closed, and the exchange."""

    folder: Path
    records: list[StoredRecord]
    exchange: Exchange


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Ledger]:
    store = await Store.open(path)
    try:
        yield await Ledger.open(
            store, site="lhe-01", key=KEY, fw="1", clock=HandClock(NOW_S), interval_s=300, points=["poi"]
        )
    finally:
        await store.close()


@asynccontextmanager
async def delivering(ledger: Ledger, exchange: Exchange) -> AsyncIterator[Uplink]:
    keys = (ExchangeKey(exchange.kid, exchange.public_jwk),)
    settings = Settlement("https://exchange.test/", keys, None, None, None, "exchange")
    http = httpx2.AsyncClient(transport=exchange.transport())
    uplink = Uplink(ledger, http, settings, HandClock(NOW_S), SeededEntropy(1))
    task = asyncio.create_task(uplink.run(), name="uplink")
    try:
        yield uplink
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - states of many objects
            await asyncio.sleep(0.002)


@pytest.fixture
async def settled(tmp_path: Path) -> AsyncIterator[Settled]:
    exchange = Exchange(clock=lambda: NOW_S)
    exchange.register_site("lhe-01", KEY.public_jwk(), KEY.kid)
    async with opened(tmp_path / "site.db") as ledger:
        site = MeteredSite()
        async with delivering(ledger, exchange):
            for _ in range(20):
                before = len(site.bodies)
                site.run(300, cycle_s=10)
                await ledger.append(site.bodies[before:], baselines=list(site.saved.values()))
                await until(lambda: ledger.position.backlog == 0)
        records = await ledger.records(ledger.position.epoch, 1, 1000)
        kept = tmp_path / "kept"
        kept.mkdir()
        for ending in ("", "-wal"):
            shutil.copy(tmp_path / f"site.db{ending}", kept / f"site.db{ending}")
    yield Settled(kept, records, exchange)
    exchange.close()


def spoil(log: Path, rng: random.Random) -> None:
    """As a power cut on a disk that lies about its cache leaves it."""
    data = bytearray(log.read_bytes())
    at = rng.randrange(32, len(data))
    match rng.choice(["torn", "zeroed", "spoilt", "holed"]):
        case "torn":
            del data[at:]
        case "zeroed":
            data[at:] = bytes(len(data) - at)
        case "spoilt":
            data[at] ^= 1 << rng.randrange(8)
        case _:
            end = min(len(data), at + 512)
            data[at:end] = bytes(end - at)
    log.write_bytes(data)


@pytest.mark.timeout(0)
async def test_what_is_left_is_a_prefix_and_the_exchange_tells_the_loss(
    settled: Settled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.uplink.uplink.delay_s", lambda *_: 0.0)
    rng, lost = random.Random(5), 0
    for variant in range(VARIANTS):
        folder = tmp_path / f"variant-{variant}"
        shutil.copytree(settled.folder, folder)
        spoil(folder / "site.db-wal", rng)
        lost += await _one(settled, folder / "site.db")
        shutil.rmtree(folder)
    assert lost > VARIANTS // 2


async def _one(settled: Settled, path: Path) -> bool:
    """Whether records were lost."""
    async with opened(path) as ledger:
        assert ledger.damage is None
        left = await ledger.records(ledger.epochs[0].epoch, 1, 1000)
        verify_run(left, "lhe-01", KEY.public())
        fresh = ledger.epochs[0].epoch != settled.records[0].epoch or left[0].hash != settled.records[0].hash
        if not fresh:
            assert left == settled.records[: len(left)]
        measured = [payload_of(each.jws) for each in left if each.kind == "interval"]
        base = (await ledger.baselines()).get("poi")
        # Records and baselines are of the same moment.
        if measured:
            assert base is not None
            assert (base.register_wh, base.next_start) == (measured[-1]["reg_end_wh"], base.register_at)
        whole = left == settled.records
        # The exchange of this variant holds all that was delivered, and what is told to it now comes on top.
        before = settled.exchange.book.head("lhe-01")
        assert before is not None
        async with delivering(ledger, settled.exchange):
            await until(lambda: len(ledger.epochs) > 1 or (whole and ledger.position.backlog == 0))
            await ledger.append([event(NOW_S, "after", {})])
            await until(lambda: ledger.position.backlog == 0)
        settled.exchange.book.restore("lhe-01", (before.epoch, before.seq))
        if whole:
            return False
        newest = ledger.epochs[-1]
        assert newest.epoch > before.epoch
        told = [payload_of(each.jws) for each in await ledger.records(newest.epoch, 1, 1000)]
        losses = [
            each["detail"] for each in told if each["kind"] == "event" and each["what"] == "storage-loss"
        ]
        assert [(each["epoch"], each["seq"]) for each in losses] == [(before.epoch, before.seq)]
        # No identity was given twice: what the exchange has of the old epoch is what was signed first.
        assert {each.hash for each in settled.records} >= {each.hash for each in left} or fresh
        return True
