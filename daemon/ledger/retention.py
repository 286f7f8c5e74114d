"""How long records are kept: 400 days, and only what a verified receipt has retired is ever deleted."""

from collections.abc import Sequence
from datetime import date, timedelta

from daemon.ledger.tables import EpochState
from daemon.store import Store

KEEP_DAYS = 400
"""Counted back from the newest recorded day: a wrong clock deletes nothing."""

AT_ONCE = 500
"""Records deleted in one transaction."""

_LEAVE = 512
"""The newest records of an epoch stay however old they are: whoever opens it verifies them."""


async def prune(store: Store, epochs: Sequence[EpochState]) -> bool:
    """Delete some records that are old enough; `True` if there may be more.

    The record that opens an epoch stays, and so does the newest receipt.

    Raises:
        StoreError: the disk refused; nothing of this call is deleted.
    """
    row = await store.fetch_one("SELECT max(day) FROM records WHERE day IS NOT NULL")
    if row is None or row[0] is None:
        return False
    before = (date.fromisoformat(row[0]) - timedelta(days=KEEP_DAYS)).isoformat()
    for state in epochs:
        through = min(state.acked_seq, state.last_seq - _LEAVE)
        found = await store.fetch_one(
            "SELECT min(seq), max(CASE WHEN day < ? THEN seq END) FROM records "
            "WHERE epoch = ? AND seq > 1 AND seq <= ?",
            (before, state.epoch, through),
        )
        if found is None or found[1] is None:
            continue
        last = min(found[0] + AT_ONCE - 1, found[1])
        async with store.transaction() as tx:
            await tx.execute(
                "DELETE FROM records WHERE epoch = ? AND seq > 1 AND seq <= ?", (state.epoch, last)
            )
            await tx.execute(
                "DELETE FROM receipts WHERE epoch = ? AND through_seq <= ? AND through_seq < ?",
                (state.epoch, last, state.acked_seq),
            )
        return True
    return False
