"""A site and the reference exchange that knows its first key, joined without a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from sim_devices.exchange import Book, ExchangeKey, create_app
from tests.world.settling_site import SettlingSite, receipt_of


@dataclass
class SettlementBench:
    site: SettlingSite
    book: Book
    key: ExchangeKey
    client: httpx2.AsyncClient

    async def put(self, first: int, last: int, **how: Any) -> httpx2.Response:
        return await self.client.send(self.site.put(first, last, **how))

    async def get(self, path: str, **how: Any) -> httpx2.Response:
        return await self.client.send(self.site.get(path, **how))

    async def head(self, query: str = "") -> Any:
        answer = await self.get("ledger/head" + query)
        assert answer.status_code == 200
        return answer.json()

    def receipt(self, answer: httpx2.Response) -> dict[str, Any]:
        return receipt_of(answer, self.key.public_jwk)


@asynccontextmanager
async def settlement_bench() -> AsyncIterator[SettlementBench]:
    site, book, key = SettlingSite(), Book(), ExchangeKey.generate("exchange-1")
    book.register_site(site.site, site.key.jwk, site.key.kid)
    app = create_app(book, key=key, clock=lambda: float(site.now_s))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
        yield SettlementBench(site, book, key, client)
    book.close()
