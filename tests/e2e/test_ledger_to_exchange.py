"""Records over a real socket: real HTTP, a real outage, a real restart of the delivering side."""

import asyncio
from pathlib import Path

import httpx2

from daemon.clock import SystemClock, SystemEntropy
from daemon.config.settings import ExchangeKey, Settlement
from daemon.ledger import Ledger, event
from daemon.signing import PrivateKey
from daemon.store import Store
from daemon.uplink import Uplink
from sim_devices.exchange import Exchange


async def _drained(ledger: Ledger) -> None:
    async with asyncio.timeout(20):
        while ledger.position.backlog > 0:  # noqa: ASYNC110 - a state without an event
            await asyncio.sleep(0.02)


async def test_the_backlog_of_an_outage_drains_over_http(tmp_path: Path) -> None:
    key, clock, entropy = PrivateKey.generate(), SystemClock(), SystemEntropy()
    store = await Store.open(tmp_path / "site.sqlite")
    exchange = Exchange()
    exchange.register_site("lhe-01", key.public_jwk(), key.kid)
    try:
        await exchange.start()
        url, keys = exchange.url, (ExchangeKey(exchange.kid, exchange.public_jwk),)
        await exchange.stop()
        ledger = await Ledger.open(
            store, site="lhe-01", key=key, fw="1", clock=clock, interval_s=10, points=["poi"]
        )
        settings = Settlement(url, keys, None, None, None, "exchange")
        async with httpx2.AsyncClient() as http:
            task = asyncio.create_task(Uplink(ledger, http, settings, clock, entropy).run())
            await ledger.append([event(clock.wall(), "note", {"n": number}) for number in range(1200)])
            await asyncio.sleep(0.5)
            assert ledger.position.acked_seq == 0
            await exchange.start()
            await _drained(ledger)
            exchange.faults.drop_after_commit()
            await ledger.append([event(clock.wall(), "note", {})])
            await _drained(ledger)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        head = exchange.book.head("lhe-01")
        assert head is not None
        assert (head.seq, head.hash) == (1202, await ledger.hash_of(ledger.position.epoch, 1202))
    finally:
        await exchange.stop()
        exchange.close()
        await store.close()
