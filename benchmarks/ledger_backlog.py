"""`python -m benchmarks.ledger_backlog`: 30 days without an exchange, delivered over loopback.

A ledger of a site and 20 circuits at 5 minutes is filled once (`build/bench/backlog.db`); then the daemon's
own uplink delivers it from a process of its own to the reference exchange in another, which verifies and
stores every record.
"""

import argparse
import asyncio
import logging
import multiprocessing
import resource
import shutil
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2
import structlog
import uvloop

from benchmarks.figures import FOLDER, Figure, Finding, below, tell
from daemon.clock import SystemClock, SystemEntropy
from daemon.config.settings import ExchangeKey, Settlement
from daemon.ledger import Ledger
from daemon.signing import PrivateKey
from daemon.store import Store
from daemon.timestamps import format_utc
from daemon.uplink import Uplink
from sim_devices.exchange import Exchange

SITE = "lhe-01"
KEY = PrivateKey.from_seed(b"\x05" * 32)
POINTS = ("poi", *(f"feeder-{number}" for number in range(1, 21)))
INTERVAL_S = 300
BEGIN_S = 1_780_012_800
"""2026-05-29T00:00:00Z."""
DAYS = 30


def _interval(point: str, start: int, number: int) -> dict[str, object]:
    wh = 75_000 + number % 977
    site = point == POINTS[0]
    return {
        "kind": "interval",
        "point": point,
        "meter_sn": "SN-20231107",
        "start": format_utc(start),
        "dur_s": INTERVAL_S,
        "reg_start_wh": 5_000_000 + number * 75_000,
        "reg_end_wh": 5_000_000 + number * 75_000 + wh,
        "wh": wh,
        "max_w": 903_112,
        "samples": 300,
        "coverage_s": 300,
        "quality": 17,
        "time_status": "S",
        "limit_wh": 83_333 if site else None,
        "limit_ref": None,
        "floor_w": 61_000 if site else None,
        "over_s": 0 if site else None,
        "over_wh": 0 if site else None,
        "settle_s": 0 if site else None,
        "state_s": {"init": 0, "controlled": 0, "limited": 300, "failsafe": 0} if site else None,
        "output": {"hashes_th": 12_345_678, "gpu_s": 27_000} if site else None,
    }


async def _open(path: Path) -> tuple[Store, Ledger]:
    store = await Store.open(path)
    ledger = await Ledger.open(
        store, site=SITE, key=KEY, fw="quotawatt", clock=SystemClock(), interval_s=INTERVAL_S, points=POINTS
    )
    return store, ledger


async def fill(path: Path, days: int) -> None:
    """A ledger of `days` without a receipt."""
    store, ledger = await _open(path)
    per_day = 86_400 // INTERVAL_S
    for day in range(days):
        bodies: list[dict[str, object]] = []
        for number in range(day * per_day, (day + 1) * per_day):
            bodies += [_interval(point, BEGIN_S + number * INTERVAL_S, number) for point in POINTS]
        bodies.append({"kind": "day_close", "day": format_utc(BEGIN_S + day * 86_400)[:10]})
        await ledger.append(bodies)
    await store.close()


def exchange(told: Connection, folder: Path) -> None:
    """The reference exchange, until its process is ended."""

    async def serve() -> None:
        endpoint = Exchange(path=folder / "book.db")
        endpoint.register_site(SITE, KEY.public_jwk(), KEY.kid)
        await endpoint.start()
        told.send((endpoint.url, endpoint.kid, endpoint.public_jwk))
        await asyncio.Event().wait()

    uvloop.run(serve())


def deliver(told: Connection, path: Path, url: str, key: ExchangeKey) -> None:
    """The daemon's uplink, until all has its receipt; tells seconds, CPU seconds and its size in MB."""

    async def work() -> None:
        store, ledger = await _open(path)
        backlog, begun_s = ledger.position.backlog, time.monotonic()
        settings = Settlement(url, (key,), None, None, None, "exchange")
        async with httpx2.AsyncClient(timeout=30.0) as http:
            uplink = Uplink(ledger, http, settings, SystemClock(), SystemEntropy())
            task = asyncio.create_task(uplink.run())
            while ledger.position.backlog:  # noqa: ASYNC110 - a state without an event
                await asyncio.sleep(0.05)
            took_s = time.monotonic() - begun_s
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await store.close()
        used = resource.getrusage(resource.RUSAGE_SELF)
        told.send((backlog, took_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024))

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    uvloop.run(work())


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS)
    days = parser.parse_args().days
    FOLDER.mkdir(parents=True, exist_ok=True)
    full = FOLDER / f"backlog-{days}.db"
    if not full.exists():
        asyncio.run(fill(full, days))
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        shutil.copy(full, folder / "site.db")
        hear, tell_us = spawn.Pipe(duplex=False)
        server = spawn.Process(target=exchange, args=(tell_us, folder))
        server.start()
        try:
            url, kid, jwk = hear.recv()
            client = spawn.Process(
                target=deliver, args=(tell_us, folder / "site.db", url, ExchangeKey(kid, jwk))
            )
            client.start()
            records, took_s, cpu_s, size_mb = hear.recv()
            client.join()
        finally:
            server.kill()
            server.join()
    figures = [
        Figure("records delivered", records, ""),
        Figure("time until the last receipt", took_s, "s", below(60.0)),
        Figure("CPU of the daemon's side", cpu_s, "s"),
        Figure("largest size of the daemon's side", size_mb, "MB", below(200.0)),
    ]
    tell(Finding("ledger-backlog", f"{days} days of 21 points at 5 min, without an exchange", figures))


if __name__ == "__main__":
    main()
