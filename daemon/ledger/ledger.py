"""The site's interval ledger on disk: append-only, hash-chained, signed."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from daemon.clock import Clock
from daemon.errors import LedgerDamagedError
from daemon.ledger.beginning import Beginning, begin
from daemon.ledger.chain import Head, StoredRecord
from daemon.ledger.epochs import requested
from daemon.ledger.guard import Guard
from daemon.ledger.integrity import Layout
from daemon.ledger.records import EpochReason, RecordError, check_body
from daemon.ledger.register import Baseline
from daemon.ledger.retention import prune
from daemon.ledger.scribe import Scribe
from daemon.ledger.site_keys import (
    KeyChanges,
    SiteKeys,
    check_keys,
    check_owner,
    exchange_knows,
    keep_changes,
    owes_change,
    read_changes,
)
from daemon.ledger.tables import (
    EpochState,
    defer_bodies,
    insert_receipt,
    read_baselines,
    read_epochs,
    read_head,
    read_records,
    replace_baselines,
)
from daemon.signing import PrivateKey, PublicKey
from daemon.store import Store, Transaction

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the ledger stands: for `state`, metrics and the local HTTP interface."""

    epoch: int
    seq: int
    acked_seq: int
    """Of the newest epoch."""
    backlog: int
    """Records of all epochs that wait for a receipt."""


class Ledger:
    """Records, receipts and baselines of one site. The only writer of their tables.

    The head is read inside every transaction, so no identity `(site, epoch, seq)` is ever given twice,
    whatever became of an earlier attempt.
    """

    def __init__(self, store: Store, scribe: Scribe) -> None:
        """Use `Ledger.open`."""
        self._store = store
        self._scribe = scribe
        self._changes = KeyChanges()
        self._epochs: tuple[EpochState, ...] = ()
        self._newest: Head | None = None
        """The newest record that was ever seen committed."""
        self._guard = Guard(store, scribe.site, lambda: self.keys)
        self.changed = asyncio.Event()
        """Set when records were appended; whoever delivers them clears it."""

    @classmethod
    async def open(
        cls,
        store: Store,
        *,
        site: str,
        key: PrivateKey,
        previous_key: PrivateKey | None = None,
        fw: str,
        clock: Clock,
        interval_s: int,
        points: Sequence[str],
    ) -> "Ledger":
        """Open the site's ledger, verify its tail, and open an epoch where one is needed.

        Args:
            store: the open database.
            site: the site's id.
            key: the site's key; every record is signed by it.
            previous_key: the key that it replaces, which signs that it does; needed until that is receipted.
            fw: the running version, for the member `fw`.
            clock: for the numbers of epochs.
            interval_s: settlement interval.
            points: device ids of the metered points, the site meter first.

        Raises:
            ConfigurationError: the ledger belongs to another site or key.
            StoreError: it cannot be read or written.
        """
        ledger = cls(
            store, Scribe(site, fw, SiteKeys(key, previous_key), clock, Layout(interval_s, tuple(points)))
        )
        await ledger.refresh()
        if not ledger.epochs:
            await ledger.open_epoch(Beginning(EpochReason.NEW))
            return ledger
        await ledger._inspect()
        await ledger.heed_operator()
        return ledger

    async def _inspect(self) -> None:
        """Look at what an earlier run left."""
        newest, keys = self.epochs[-1], self._scribe.keys
        check_keys(keys, self._changes)
        tail = await self.records(newest.epoch, newest.last_seq, 1)
        signer = check_owner(tail, self._store.path, self.site, keys, self._changes)
        owed = owes_change(keys, signer)
        if owed and self._changes.signer is None:
            async with self._store.transaction() as tx:
                await keep_changes(tx, KeyChanges(signer=self.keys[1].kid))
        layout = await self._guard.inspect(newest)
        if layout is None:
            return
        if owed:
            await self._change_key()
        if layout != (wanted := self._scribe.layout):
            changed = layout.interval_s != wanted.interval_s
            reason = EpochReason.INTERVAL_CHANGE if changed else EpochReason.OPERATOR
            await self.open_epoch(Beginning(reason))

    async def _change_key(self) -> None:
        async with self._store.transaction() as tx:
            head = await read_head(tx)
            assert head is not None
            await self._scribe.change_key(tx, head)
        self.changed.set()
        await self.refresh()
        _log.info("another key signs from now on", kid=self._scribe.keys.current.kid)

    # --- is it what was signed? ---

    @property
    def damage(self) -> str | None:
        """Which record is not what was signed, if one is.

        The ledger is not extended until an operator opens a new epoch; what is appended meanwhile is kept
        unsigned and follows in that epoch.
        """
        return self._guard.damage

    async def audit(self) -> bool:
        """Verify the next records of the whole ledger, some milliseconds' worth; `False` if it is through.

        Raises:
            StoreError: it cannot be read.
        """
        return await self._guard.audit(self._epochs)

    async def prune(self) -> bool:
        """Delete some receipted records of more than 400 days ago; `True` if there may be more.

        Raises:
            StoreError: the disk refused.
        """
        return self.damage is None and await prune(self._store, self._epochs)

    async def heed_operator(self) -> None:
        """Open a new epoch if an operator has asked for one.

        Raises:
            StoreError: the disk refused; the request waits.
        """
        request = await requested(self._store)
        if request is not None:
            damaged = self.damage is not None
            await self.open_epoch(Beginning(EpochReason.OPERATOR, supersede=damaged, note=request.reason))

    # --- what is there ---

    @property
    def site(self) -> str:
        """The site's id."""
        return self._scribe.site

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The site's keys that may have signed a record, the present one first."""
        return (*self._scribe.keys.public(), *self._changes.former)

    @property
    def known_key(self) -> PrivateKey:
        """The key that the exchange is sure to know, if it knows any of this site's."""
        keys, changes = self._scribe.keys, self._changes
        if keys.previous is None:
            return keys.current
        unknown = changes.signer == keys.previous.kid or changes.owed(self._epochs)
        return keys.previous if unknown else keys.current

    async def exchange_knows_key(self) -> None:
        """The exchange has shown a record that the present key has signed.

        Raises:
            StoreError: the disk refused.
        """
        if self._changes.told is not None:
            async with self._store.transaction() as tx:
                await exchange_knows(tx)
            await self.refresh()

    @property
    def epochs(self) -> tuple[EpochState, ...]:
        """All epochs, oldest first, as of the last change through this object or `refresh`."""
        return self._epochs

    @property
    def position(self) -> Position:
        """Where the ledger stands, as of the last change through this object or `refresh`."""
        newest = self._epochs[-1] if self._epochs else EpochState(0, 0, 0, retired=False)
        backlog = sum(max(0, epoch.sendable_seq - epoch.acked_seq) for epoch in self._epochs)
        return Position(newest.epoch, newest.last_seq, newest.acked_seq, backlog)

    async def refresh(self) -> None:
        """Read `epochs` and `position` anew: records may come in other people's transactions."""
        head = await read_head(self._store)
        self._changes = await read_changes(self._store)
        self._epochs = await read_epochs(self._store)
        if head is not None and (self._newest is None or _order(head) > _order(self._newest)):
            self._newest = head

    async def baselines(self) -> dict[str, Baseline]:
        """Where every point continues, by point; empty at the first start."""
        return await read_baselines(self._store)

    async def records(self, epoch: int, first_seq: int, count: int) -> list[StoredRecord]:
        """Up to `count` records of an epoch from `first_seq` on."""
        return await read_records(self._store, epoch, first_seq, count)

    async def hash_of(self, epoch: int, seq: int) -> str | None:
        """The hash of a record; `None` if there is none."""
        found = await self.records(epoch, seq, 1)
        return found[0].hash if found and found[0].seq == seq else None

    # --- writing ---

    async def append(
        self,
        bodies: Sequence[Mapping[str, Any]],
        *,
        tx: Transaction | None = None,
        baselines: Sequence[Baseline] = (),
    ) -> None:
        """Append records, and keep where the points continue, all or nothing.

        Giving the same `baselines` twice appends nothing the second time: a commit whose outcome was not
        seen can be tried again.

        Args:
            bodies: records without the members that all have; a `day_close` has only `kind` and `day`.
            tx: somebody's transaction that they belong to; `None` = one of their own.
            baselines: with the records of finished intervals, where every point continues.

        Raises:
            RecordError: a body must not be signed; nothing is written.
            StoreError: the disk refused; nothing is written.
        """
        async with self._within(tx) as inner:
            await self._guard.look_again(inner)
            if baselines and not await replace_baselines(inner, baselines):
                return
            if self.damage is not None:
                await self._defer(inner, bodies)
            else:
                await self._extend(inner, bodies)
        self.changed.set()
        if tx is None:
            await self.refresh()

    async def _defer(self, tx: Transaction, bodies: Sequence[Mapping[str, Any]]) -> None:
        for body in bodies:
            if body["kind"] != "day_close":
                check_body(body)
        await defer_bodies(tx, bodies)

    @asynccontextmanager
    async def _within(self, tx: Transaction | None) -> AsyncIterator[Transaction]:
        if tx is not None:
            yield tx
            return
        async with self._store.transaction() as own:
            yield own

    async def _extend(self, tx: Transaction, bodies: Sequence[Mapping[str, Any]]) -> None:
        head = await read_head(tx)
        if head is None:
            raise RecordError("the ledger has no epoch")
        if self._newest is not None and _order(head) < _order(self._newest):
            lost = Beginning(EpochReason.STORAGE_LOSS, before=self._newest, lost=self._newest)
            head = await self._begin(tx, lost)
        await self._scribe.add_all(tx, bodies, head)

    # --- epochs ---

    async def open_epoch(self, beginning: Beginning) -> int:
        """Begin a new epoch; returns its number.

        Raises:
            LedgerDamagedError: the ledger is damaged, and no operator has said to go past it.
            StoreError: the disk refused; nothing has changed.
        """
        if self.damage is not None and beginning.note is None:
            raise LedgerDamagedError(self.damage)
        async with self._store.transaction() as tx:
            head = await self._begin(tx, beginning)
        self._guard.damage = None
        self.changed.set()
        await self.refresh()
        return head.epoch

    async def _begin(self, tx: Transaction, beginning: Beginning) -> Head:
        return await begin(
            tx, self._scribe, beginning, keys=self.keys, newest=self._newest, damage=self.damage
        )

    # --- receipts ---

    async def store_receipt(self, epoch: int, through_seq: int, jws: str) -> None:
        """Keep a receipt that was verified: it retires the epoch's records up to `through_seq`."""
        async with self._store.transaction() as tx:
            await insert_receipt(tx, epoch, through_seq, jws)
        await self.refresh()

    async def receipts(self) -> list[str]:
        """All receipts, oldest first."""
        rows = await self._store.fetch_all("SELECT jws FROM receipts ORDER BY epoch, through_seq")
        return [str(row[0]) for row in rows]


def _order(head: Head) -> tuple[int, int]:
    return head.epoch, head.seq
