"""Stores as released versions left them: `python -m tests.world.old_store` writes the newest schema's.

Run it once for each release that brings a migration; what is there already is never written anew.
"""

import asyncio
import sqlite3
import tempfile
from importlib import resources
from pathlib import Path

from daemon.ledger import Ledger
from daemon.signing import PrivateKey
from daemon.store import Store
from tests.world.hand_clock import HandClock
from tests.world.metered_site import MIDNIGHT, MeteredSite

KEY = PrivateKey.from_seed(b"\x07" * 32, "site-key")
SITE = "lhe-01"
FOLDER = Path(__file__).parents[1] / "stores"
INTERVALS = 3


def scripts() -> list[str]:
    """The migrations, the first first."""
    folder = resources.files("daemon.store.migrations")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name)
    return [file.read_text(encoding="utf-8") for file in files]


def dump_of(schema: int) -> Path:
    """The file of a schema."""
    return FOLDER / f"schema-{schema}.sql"


async def open_ledger(store: Store, clock: HandClock) -> Ledger:
    """The ledger in a store."""
    return await Ledger.open(
        store, site=SITE, key=KEY, fw="0.1.0", clock=clock, interval_s=300, points=("poi",)
    )


async def fill(path: Path) -> None:
    """A site that has run for some intervals, held a quota and answered a command."""
    store = await Store.open(path)
    try:
        ledger = await open_ledger(store, HandClock(MIDNIGHT))
        site = MeteredSite()
        site.run(300 * INTERVALS)
        await ledger.append(site.bodies, baselines=list(site.saved.values()))
        async with store.transaction() as tx:
            await tx.execute("INSERT INTO last_seqs VALUES ('desk', 'qw-cmd+jws', 7)")
            await tx.execute(
                "INSERT INTO commands VALUES ('desk', 'c-1', 'h', ?, 'hold', 1, 'a.b.c')", (MIDNIGHT + 900,)
            )
            await tx.execute("INSERT INTO answers VALUES ('desk', 'c-1', 1, 'd.e.f')")
    finally:
        await store.close()


def main() -> None:
    """Write the newest schema's file, if it is not there."""
    place = dump_of(len(scripts()))
    if place.exists():
        raise SystemExit(f"{place} is there: what a release has left does not change")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.db"
        asyncio.run(fill(path))
        with sqlite3.connect(path) as file:
            place.write_text("\n".join(file.iterdump()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
