"""What only an operator may decide: to go on in a new epoch. Asked of the daemon through its store."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import QuotawattError
from daemon.ledger.tables import Rows
from daemon.store import Store, Transaction

LONGEST_REASON = 200

_REQUEST = "new_epoch_request"


class NewEpochError(QuotawattError):
    """There is no ledger to open an epoch in, or the reason is no reason."""


@dataclass(frozen=True, slots=True)
class NewEpochRequest:
    """An operator's word."""

    reason: str
    """Why, for the ledger: one line."""


async def request_new_epoch(path: Path, reason: str) -> None:
    """Have the daemon that works with `path` open a new epoch: within seconds if it runs, else at its start.

    Only the daemon signs, so nothing but the request is written here. A request that still waits is replaced.

    Args:
        path: the ledger's file, `site.db` in the state folder.
        reason: for the ledger, 1 to 200 characters.

    Raises:
        NewEpochError: there is no such file, or no such reason.
        StoreError: the file cannot be written.
    """
    reason = " ".join(reason.split())
    if not 1 <= len(reason) <= LONGEST_REASON:
        raise NewEpochError(f"a reason has 1 to {LONGEST_REASON} characters, not {len(reason)}")
    if not await asyncio.to_thread(path.is_file):
        raise NewEpochError(f"{path}: there is no ledger here; is this the site.state_dir?")
    store = await Store.open(path)
    try:
        async with store.transaction() as tx:
            await keep(tx, _REQUEST, json.dumps({"reason": reason}))
    finally:
        await store.close()


async def requested(rows: Rows) -> NewEpochRequest | None:
    """The request that waits, if one does."""
    text = await kept(rows, _REQUEST)
    return None if text is None else NewEpochRequest(json.loads(text)["reason"])


async def answered(tx: Transaction) -> None:
    """The request that waited is answered."""
    await keep(tx, _REQUEST, None)


async def kept(rows: Rows, name: str) -> str | None:
    """What is kept under a name."""
    row = await rows.fetch_one("SELECT value FROM kept WHERE name = ?", (name,))
    return None if row is None else str(row[0])


async def keep(tx: Transaction, name: str, value: str | None) -> None:
    """Keep a value under a name; `None` = nothing any more."""
    await tx.execute("DELETE FROM kept WHERE name = ?", (name,))
    if value is not None:
        await tx.execute("INSERT INTO kept (name, value) VALUES (?, ?)", (name, value))
