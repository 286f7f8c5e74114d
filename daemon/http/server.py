"""Serves the application in the daemon's own event loop, and waits for its port if it is taken."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import structlog
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.http.app import problem

_RETRY_S = 5.0
_GRACE_S = 2
"""Time that open requests have when the daemon stops."""

_log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """Signals are the daemon's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _interruptible(app: ASGIApp) -> ASGIApp:
    """`app` for a server that stops: a request not finished by then is answered, and is no failure."""

    async def interrupted(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, receive, noting)
        except asyncio.CancelledError:
            # uvicorn cancels requests for this reason alone, and reports whatever they end with.
            if not started:
                await problem(503, "stopping", "the daemon is being stopped")(scope, receive, send)

    return interrupted


class HttpServer:
    """A local HTTP server. A port in use is said once and tried again: control goes on without it."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self._port = port
        self.listening = asyncio.Event()
        """Set while requests are served."""

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def run(self) -> None:
        """Serve until cancelled; open requests then have a moment to end."""
        listener = await self._bind()
        config = uvicorn.Config(
            _interruptible(self._app),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http-serve")
        self.listening.set()
        _log.info("http-listening", url=self.url)
        try:
            await asyncio.shield(serving)
        finally:
            self.listening.clear()
            server.should_exit = True
            await asyncio.wait({serving}, timeout=_GRACE_S + 1)
            serving.cancel()
            await asyncio.wait({serving})
            listener.close()

    async def _bind(self) -> socket.socket:
        said = False
        while True:
            try:
                return self._listen()
            except OSError as error:
                if not said:
                    _log.warning("http-cannot-listen", url=self.url, error=str(error), retry_s=_RETRY_S)
                    said = True
            await asyncio.sleep(_RETRY_S)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=64)
        listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        return listener
