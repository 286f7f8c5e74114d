"""The site's interval ledger on disk: append-only, hash-chained, signed."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from daemon.clock import Clock
from daemon.errors import ConfigurationError, LedgerDamagedError
from daemon.ledger.chain import Head, Sealer, StoredRecord, payload_of, verify_run
from daemon.ledger.merkle import day_root
from daemon.ledger.records import EpochReason, RecordError
from daemon.ledger.register import Baseline
from daemon.ledger.reissue import reissue
from daemon.ledger.tables import (
    EpochState,
    insert_epoch,
    insert_receipt,
    insert_record,
    read_baselines,
    read_day,
    read_epochs,
    read_head,
    read_records,
    replace_baselines,
    retire_epoch,
)
from daemon.signing import MalformedError, PrivateKey, SigningError, parse
from daemon.store import Store, Transaction
from daemon.timestamps import format_utc

TAIL = 256
"""Records of the newest epoch that are verified at a start."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the ledger stands: for `state`, metrics and the local HTTP interface."""

    epoch: int
    seq: int
    acked_seq: int
    """Of the newest epoch."""
    backlog: int
    """Records of all epochs that wait for a receipt."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What an epoch says about its intervals; another layout needs another epoch."""

    interval_s: int
    points: tuple[str, ...]
    """Metered points, the site meter first."""


class Ledger:
    """Records, receipts and baselines of one site. The only writer of their tables.

    The head is read inside every transaction, so no identity `(site, epoch, seq)` is ever given twice,
    whatever became of an earlier attempt.
    """

    def __init__(self, store: Store, sealer: Sealer, clock: Clock, layout: Layout) -> None:
        """Use `Ledger.open`."""
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._layout = layout
        self._epochs: tuple[EpochState, ...] = ()
        self.changed = asyncio.Event()
        """Set when records were appended; whoever delivers them clears it."""
        self.damage: str | None = None
        """What was found damaged at this start; a new epoch was opened, curtailment goes on."""

    @classmethod
    async def open(
        cls,
        store: Store,
        *,
        site: str,
        key: PrivateKey,
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
            fw: the running version, for the member `fw`.
            clock: for the numbers of epochs.
            interval_s: settlement interval.
            points: device ids of the metered points, the site meter first.

        Raises:
            ConfigurationError: the ledger belongs to another site or key.
            StoreError: it cannot be read or written.
        """
        layout = Layout(interval_s, tuple(points))
        ledger = cls(store, Sealer(site, fw, key), clock, layout)
        await ledger.refresh()
        if not ledger.epochs:
            await ledger.open_epoch(EpochReason.NEW)
            return ledger
        reason = await ledger._reason_for_new_epoch()
        if reason is not None:
            await ledger.open_epoch(reason, supersede=reason is EpochReason.STORAGE_LOSS)
        return ledger

    async def _reason_for_new_epoch(self) -> EpochReason | None:
        newest = self.epochs[-1]
        tail = await self.records(newest.epoch, max(1, newest.last_seq - TAIL + 1), TAIL)
        self._check_owner(tail)
        try:
            verify_run(tail, self._sealer.site, self._sealer.key.public())
            opening = await self.records(newest.epoch, 1, 1)
            members = payload_of(opening[0].jws)
            layout = Layout(members["interval_s"], tuple(members["points"]))
        except (LedgerDamagedError, MalformedError, LookupError) as error:
            self.damage = str(error)
            return EpochReason.STORAGE_LOSS
        if layout == self._layout:
            return None
        changed = layout.interval_s != self._layout.interval_s
        return EpochReason.INTERVAL_CHANGE if changed else EpochReason.OPERATOR

    def _check_owner(self, tail: Sequence[StoredRecord]) -> None:
        """Another site or key is a mistake of the configuration, no damage; nothing is written then."""
        for record in tail[-1:]:
            try:
                kid = parse(record.jws.encode("ascii")).header.kid
                site = payload_of(record.jws).get("site")
            except (SigningError, UnicodeEncodeError):
                return
            if (site, kid) != (self._sealer.site, self._sealer.key.kid):
                raise ConfigurationError([self._of_another(site, kid)])

    def _of_another(self, site: object, kid: str) -> str:
        return (
            f"{self._store.path}: holds the ledger of site {site} signed by key {kid}, not of "
            f"{self._sealer.site} by {self._sealer.key.kid}; another site.state_dir, or the site.id and "
            "keys.site of before, would be right"
        )

    # --- what is there ---

    @property
    def site(self) -> str:
        """The site's id."""
        return self._sealer.site

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
        self._epochs = await read_epochs(self._store)

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
            if baselines and not await replace_baselines(inner, baselines):
                return
            await self._extend(inner, bodies)
        self.changed.set()
        if tx is None:
            await self.refresh()

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
        for body in bodies:
            head = await self._add(tx, body, head)

    async def _add(self, tx: Transaction, body: Mapping[str, Any], head: Head) -> Head:
        full = await self._closed_day(tx, body["day"]) if body["kind"] == "day_close" else body
        record = self._sealer.seal(full, head)
        day = full["start"][:10] if full["kind"] in {"interval", "gap"} else None
        await insert_record(tx, record, day)
        return Head(record.epoch, record.seq, record.hash)

    async def _closed_day(self, tx: Transaction, day: str) -> dict[str, Any]:
        """Sum and root over the day's records that count."""
        records = await read_day(tx, day)
        site_meters = {epoch: await self._site_meter(tx, epoch) for epoch in {each.epoch for each in records}}
        wh = 0
        for record in records:
            members = _readable(record)
            if members is not None and members["point"] == site_meters[record.epoch]:
                wh += members["wh"] or 0
        root = day_root([record.jws for record in records])
        return {"kind": "day_close", "day": day, "count": len(records), "wh": wh, "root": root}

    async def _site_meter(self, tx: Transaction, epoch: int) -> str:
        opening = [_readable(record) for record in await read_records(tx, epoch, 1, 1)]
        points = [str(members["points"][0]) for members in opening if members is not None]
        return points[0] if points else self._layout.points[0]

    # --- epochs ---

    async def open_epoch(
        self,
        reason: EpochReason,
        *,
        newest_known: int = 0,
        before: Head | None = None,
        supersede: bool = False,
    ) -> int:
        """Begin a new epoch; returns its number.

        Args:
            reason: for the record.
            newest_known: an epoch of this site that the exchange knows; the new one is above it.
            before: the chain's end that it follows.
            supersede: unreceipted records will never be taken: keep them for audit only, and begin with
                gaps in their place.

        Raises:
            StoreError: the disk refused; nothing has changed.
        """
        async with self._store.transaction() as tx:
            epochs = await read_epochs(tx)
            newest = max([newest_known, *(state.epoch for state in epochs)])
            now_s = self._clock.wall()
            head = Head(max(int(now_s), newest + 1), 0, None)
            tail = await self._retire(tx, epochs) if supersede else []
            before = before or await self._end(tx, epochs, receipted=supersede)
            await insert_epoch(tx, head.epoch)
            for body in (self._opening(reason, now_s, before), *reissue(tail)):
                head = await self._add(tx, body, head)
        self.changed.set()
        await self.refresh()
        return head.epoch

    def _opening(self, reason: EpochReason, at_s: float, before: Head | None) -> dict[str, Any]:
        return {
            "kind": "epoch_open",
            "at": format_utc(at_s),
            "reason": reason.value,
            "interval_s": self._layout.interval_s,
            "points": list(self._layout.points),
            "before": None
            if before is None
            else {"epoch": before.epoch, "seq": before.seq, "head_hash": before.hash},
        }

    async def _end(self, tx: Transaction, epochs: Sequence[EpochState], *, receipted: bool) -> Head | None:
        """The newest record, or the newest receipted one."""
        for state in reversed(epochs):
            seq = state.acked_seq if receipted or state.retired else state.last_seq
            for record in await read_records(tx, state.epoch, seq, 1) if seq else ():
                return Head(record.epoch, record.seq, record.hash)
        return None

    async def _retire(self, tx: Transaction, epochs: Sequence[EpochState]) -> list[dict[str, Any]]:
        """Retire every epoch with unreceipted records; returns the readable ones of these records."""
        tail: list[StoredRecord] = []
        for state in epochs:
            if not state.retired and state.acked_seq < state.last_seq:
                tail += await read_records(tx, state.epoch, state.acked_seq + 1)
                await retire_epoch(tx, state.epoch)
        # What is damaged on disk is lost; that is why an epoch is opened.
        return [members for members in map(_readable, tail) if members is not None]

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


def _readable(record: StoredRecord) -> dict[str, Any] | None:
    try:
        return payload_of(record.jws)
    except MalformedError:
        return None
