"""The exchange as one thing: book, key, faults and, where it is wanted, a socket."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx2
import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from sim_devices.exchange.app import create_app
from sim_devices.exchange.book import Book
from sim_devices.exchange.clock import wall_clock
from sim_devices.exchange.fault_words import controlled
from sim_devices.exchange.faults import Faults, FaultyApp, HungUpError, truncating
from sim_devices.exchange.receipts import ExchangeKey


class Exchange:
    """The reference settlement endpoint.

    `async with Exchange() as exchange:` listens at `exchange.url`; `start` and `stop` in between are
    an outage, after which it listens at the same port again. `transport()` reaches it without a
    socket, started or not. Close the book with `close` if the context manager is not used.

    With `tls` it speaks HTTPS, and asks for client certificates if the context does. With
    `fault_control` faults can be turned on over HTTP, too.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: Path | str = ":memory:",
        key: ExchangeKey | None = None,
        audience: str = "exchange",
        clock: Callable[[], float] = wall_clock,
        tls: ssl.SSLContext | None = None,
        fault_control: bool = False,
    ) -> None:
        self.key = key or ExchangeKey.generate("exchange-1")
        self.book = Book(path)
        self.faults = Faults()
        self._host = host
        self._port = port
        app = create_app(self.book, key=self.key, clock=clock, audience=audience)
        self._app = FaultyApp(app, self.faults, self.key)
        self._served: ASGIApp = self._app
        if fault_control:
            self._served = controlled(self._app, self.faults, self.book)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._state = ServerState()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()
        self.close()

    @property
    def url(self) -> str:
        """Where it listens, once started; `settlement.url` of a site's configuration."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self._host}:{self._port}/"

    @property
    def kid(self) -> str:
        """Name of the key that receipts are signed with."""
        return self.key.kid

    @property
    def public_jwk(self) -> dict[str, str]:
        """The key that receipts are signed with, for `settlement.keys`."""
        return self.key.public_jwk

    def register_site(self, site: str, jwk: Mapping[str, Any], kid: str | None = None) -> str:
        """Register a site's first key and return its `kid` (see `Book.register_site`)."""
        return self.book.register_site(site, jwk, kid)

    def transport(self) -> "InProcessTransport":
        """A transport for an `httpx2.AsyncClient`, without a socket."""
        return InProcessTransport(self._app)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be had.
        """
        config = uvicorn.Config(
            truncating(self._served),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            # Whoever cuts connections on purpose need not read about it.
            log_level="critical",
        )
        config.load()
        # uvicorn's own Server would take the process' signals and tick ten times a second, which
        # a loop with simulated time pays for.
        self._server = await asyncio.get_running_loop().create_server(
            lambda: config.http_protocol_class(config=config, server_state=self._state, app_state={}),  # type: ignore[call-arg] # a union of protocols that all take these
            self._host,
            self._port,
            ssl=self._tls,
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop what is connected; unanswered requests stay unanswered."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        # Connections first: a cancelled request would still be answered, with 500.
        for connection in list(self._state.connections):
            connection.transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()

    def close(self) -> None:
        """Let go of the book."""
        self.book.close()


class InProcessTransport(httpx2.AsyncBaseTransport):
    """The application behind an HTTP client, with a cut connection as the client would see it."""

    def __init__(self, app: FaultyApp) -> None:
        self._inner = httpx2.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._inner.handle_async_request(request)
        except HungUpError as error:
            raise httpx2.RemoteProtocolError(f"hung up {error}", request=request) from error
