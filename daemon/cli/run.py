"""`quotawatt run`: the daemon."""

import asyncio
import signal
import ssl
from pathlib import Path
from typing import Annotated

import httpx2
import structlog
import typer
import uvloop

from daemon.clock import SystemClock, SystemEntropy
from daemon.config import Config, load_config
from daemon.config.open_files import OpenFiles, open_files_needed
from daemon.outside import Outside, lane_over_sockets, link_over_sockets
from daemon.service import Notifier, configure_logging
from daemon.service.garbage import spare_the_search
from daemon.service.open_files import raise_open_files
from daemon.standby import open_or_stand_by
from daemon.store import Store
from daemon.store.database import connect_file
from daemon.store.lock import FolderLock

_log = structlog.get_logger(__name__)


def run(
    config: Annotated[Path, typer.Option("--config", help="The site's TOML file.", show_default=False)],
) -> None:
    """Run the site controller until SIGTERM or Ctrl-C.

    Example: quotawatt run --config /etc/quotawatt/site.toml
    """
    spare_the_search()
    loaded = load_config(config)
    configure_logging()
    _look_at_open_files(loaded)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(loaded))


def _look_at_open_files(config: Config) -> None:
    files = OpenFiles(open_files_needed(config), raise_open_files())
    if not files.enough:
        _log.warning("too few open files for all devices", cure=files.cure)


def _read_again(path: Path) -> Config:
    config = load_config(path)
    _look_at_open_files(config)
    return config


async def _serve(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Not to be ended by one that comes before there is something to reload.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    entropy = SystemEntropy()
    folder = LockedFolder(config.site.state_dir)
    outside = Outside(
        clock=SystemClock(),
        entropy=entropy,
        open_store=folder.open_store,
        connect_samples=connect_file,
        link=link_over_sockets(entropy),
        lane=lane_over_sockets(entropy),
        http=_http_client,
        serve_http=True,
        notifier=Notifier.from_environment(),
        read_config=_read_again,
    )
    try:
        await _run_site(config, outside, stop)
    finally:
        folder.release()


async def _run_site(config: Config, outside: Outside, stop: asyncio.Event) -> None:
    daemon = await open_or_stand_by(config, outside, stop)
    if daemon is None:
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, daemon.reloader.ask)
    spare_the_search()
    await daemon.run(stop)


class LockedFolder:
    """A state folder that is this daemon's from the first time that it can be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: FolderLock | None = None

    async def open_store(self, _config: Config) -> Store:
        """The ledger's file.

        Raises:
            StoreTakenError: another daemon works here.
            StoreError: it cannot be opened now.
        """
        if self._lock is None:
            self._lock = FolderLock(self._folder)
        return await Store.open(self._folder / "site.db", connect_file)

    def release(self) -> None:
        """Let the next daemon in."""
        if self._lock is not None:
            self._lock.release()


def _http_client(config: Config) -> httpx2.AsyncClient:
    """A client for the exchange. Redirects are not followed: a signed batch goes to whom it is for."""
    settlement = config.settlement
    context = ssl.create_default_context(cafile=None if settlement is None else settlement.ca)
    if settlement is not None and settlement.cert is not None:
        context.load_cert_chain(settlement.cert, settlement.key)
    return httpx2.AsyncClient(verify=context, timeout=30.0, follow_redirects=False, trust_env=False)
