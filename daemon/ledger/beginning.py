"""How an epoch begins: its opening, and what of older ones is told again in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daemon.ledger.chain import Head, StoredRecord
from daemon.ledger.epochs import answered
from daemon.ledger.integrity import known_damage, pass_damage, sound
from daemon.ledger.records import EpochReason, event, storage_loss
from daemon.ledger.reissue import receipted, reissue, reissue_damaged
from daemon.ledger.scribe import Scribe, readables
from daemon.ledger.site_keys import read_changes
from daemon.ledger.tables import (
    EpochState,
    insert_epoch,
    read_baselines,
    read_epochs,
    read_receipted,
    read_records,
    retire_epoch,
    take_deferred,
)
from daemon.signing import PublicKey
from daemon.store import Transaction
from daemon.timestamps import format_utc

_RECEIPTED_LOOKED_AT = 512
"""Last receipted records of an epoch in which every point has shown its register, unless it shows none."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Why an epoch begins, and after what."""

    reason: EpochReason
    newest_known: int = 0
    """An epoch of this site that the exchange knows; the new one is above it."""
    before: Head | None = None
    """The chain's end that it follows; `None` = ours."""
    supersede: bool = False
    """Unreceipted records will never be taken: they stay for audit only, and gaps come in their place."""
    lost: Head | None = None
    """A record of this site that was there and is not in this store; told as an event."""
    note: str | None = None
    """An operator's reason; goes past a damage."""


async def begin(
    tx: Transaction,
    scribe: Scribe,
    beginning: Beginning,
    *,
    keys: Sequence[PublicKey],
    newest: Head | None,
    damage: str | None,
) -> Head:
    """Begin an epoch; returns its head.

    Args:
        tx: what it belongs to.
        scribe: writes it.
        beginning: why, and after what.
        keys: what older records are signed by.
        newest: the newest record that was ever seen committed.
        damage: which record is not what was signed, if one is.
    """
    epochs = await read_epochs(tx)
    known = [beginning.newest_known, *(state.epoch for state in epochs)]
    if newest is not None:
        known.append(newest.epoch)
    now_s = scribe.clock.wall()
    head = Head(max(int(now_s), max(known) + 1), 0, None)
    before = beginning.before or await _end(tx, epochs, receipted=beginning.supersede)
    again: list[dict[str, Any]] = []
    if beginning.supersede:
        again = await _superseded(tx, scribe, epochs, keys, damaged=damage is not None)
    await insert_epoch(tx, head.epoch)
    opening = _opening(scribe, beginning.reason, now_s, before)
    if await _previous_signs(tx, scribe, epochs, supersede=beginning.supersede):
        head = await scribe.change_key(tx, head, opening)
    else:
        head = await scribe.add(tx, opening, head)
    head = await scribe.add_all(tx, again, head)
    lost = beginning.lost
    if lost is not None:
        head = await scribe.add(tx, storage_loss(now_s, lost.epoch, lost.seq, lost.hash), head)
    if beginning.note is not None:
        await pass_damage(tx, head.epoch)
        await answered(tx)
        told = event(now_s, "new-epoch", {"reason": beginning.note, "damage": damage})
        head = await scribe.add_all(tx, [told, *await take_deferred(tx)], head)
    return head


def _opening(scribe: Scribe, reason: EpochReason, at_s: float, before: Head | None) -> dict[str, Any]:
    return {
        "kind": "epoch_open",
        "at": format_utc(at_s),
        "reason": reason.value,
        "interval_s": scribe.layout.interval_s,
        "points": list(scribe.layout.points),
        "before": None
        if before is None
        else {"epoch": before.epoch, "seq": before.seq, "head_hash": before.hash},
    }


async def _previous_signs(
    tx: Transaction, scribe: Scribe, epochs: Sequence[EpochState], *, supersede: bool
) -> bool:
    """Whether whoever reads the new epoch knows no other key than the previous one."""
    previous, changes = scribe.keys.previous, await read_changes(tx)
    if previous is None:
        return False
    return changes.signer == previous.kid or (supersede and changes.owed(epochs))


async def _end(tx: Transaction, epochs: Sequence[EpochState], *, receipted: bool) -> Head | None:
    """The newest record, or the newest receipted one."""
    for state in reversed(epochs):
        seq = state.acked_seq if receipted or state.retired else state.last_seq
        for record in await read_records(tx, state.epoch, seq, 1) if seq else ():
            return Head(record.epoch, record.seq, record.hash)
    return None


async def _superseded(
    tx: Transaction,
    scribe: Scribe,
    epochs: Sequence[EpochState],
    keys: Sequence[PublicKey],
    *,
    damaged: bool,
) -> list[dict[str, Any]]:
    """Retire every epoch with unreceipted records; returns the bodies that stand for these."""
    tail: list[StoredRecord] = []
    for state in epochs:
        if not state.retired and state.acked_seq < state.last_seq:
            tail += await read_records(tx, state.epoch, state.acked_seq + 1)
            await retire_epoch(tx, state.epoch)
    if not damaged:
        return reissue(readables(tail))

    def believed(records: Sequence[StoredRecord]) -> list[tuple[int, dict[str, Any]]]:
        return [(record.seq, members) for record, members in sound(records, scribe.site, keys)]

    damage, layout = await known_damage(tx), scribe.layout
    # Bodies that wait unsigned cover what came after the damage was found.
    baselines = await read_baselines(tx) if damage is None else damage.baselines
    left, known = believed(tail), None
    for state in epochs:
        if state.acked_seq:
            before = believed(await read_receipted(tx, state, _RECEIPTED_LOOKED_AT))
            known = receipted(before, left, state.acked_seq, layout) or known
    if known is None:
        known = receipted([], left, 0, layout)
    return reissue_damaged([members for _, members in left], known, baselines, layout)
