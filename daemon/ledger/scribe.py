"""What writes records: the next of the chain, with the sums and the root of a day that it closes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from daemon.clock import Clock
from daemon.ledger.chain import Head, Sealer, StoredRecord, payload_of
from daemon.ledger.integrity import Layout
from daemon.ledger.merkle import day_root
from daemon.ledger.site_keys import KeyChanges, SiteKeys, keep_changes, key_change, read_changes
from daemon.ledger.tables import insert_record, read_day, read_records
from daemon.signing import MalformedError
from daemon.store import Transaction


@dataclass(frozen=True, slots=True)
class Scribe:
    """Seals bodies and stores them, within somebody's transaction."""

    site: str
    fw: str
    keys: SiteKeys
    clock: Clock
    layout: Layout

    async def change_key(self, tx: Transaction, head: Head, opening: Mapping[str, Any] | None = None) -> Head:
        """Let the present key follow the previous one, which signs that and, before it, `opening`."""
        previous = self.keys.previous
        assert previous is not None
        before = replace(self, keys=SiteKeys(previous))
        if opening is not None:
            head = await before.add(tx, opening, head)
        head = await before.add(tx, key_change(self.clock.wall(), self.keys.current.public()), head)
        others = [key for key in (await read_changes(tx)).former if key.kid != previous.kid]
        former = (*others, previous.public())
        await keep_changes(tx, KeyChanges(self.keys.current.kid, former, (head.epoch, head.seq)))
        return head

    async def add_all(self, tx: Transaction, bodies: Iterable[Mapping[str, Any]], head: Head) -> Head:
        """Add records after `head`; the new head.

        Args:
            tx: what they belong to.
            bodies: records without the members that all have; a `day_close` has only `kind` and `day`.
            head: the end of the chain.

        Raises:
            RecordError: a body must not be signed.
        """
        for body in bodies:
            head = await self.add(tx, body, head)
        return head

    async def add(self, tx: Transaction, body: Mapping[str, Any], head: Head) -> Head:
        """Add one record, likewise."""
        full = await self._closed_day(tx, body["day"]) if body["kind"] == "day_close" else body
        record = Sealer(self.site, self.fw, self.keys.current).seal(full, head)
        day = full["start"][:10] if full["kind"] in {"interval", "gap"} else None
        await insert_record(tx, record, day)
        return Head(record.epoch, record.seq, record.hash)

    async def _closed_day(self, tx: Transaction, day: str) -> dict[str, Any]:
        """Sum and root over the day's records that count."""
        records = await read_day(tx, day)
        site_meters = {epoch: await self._site_meter(tx, epoch) for epoch in {each.epoch for each in records}}
        wh = 0
        for record in records:
            members = readable(record)
            if members is not None and members["point"] == site_meters[record.epoch]:
                wh += members["wh"] or 0
        root = day_root([record.jws for record in records])
        return {"kind": "day_close", "day": day, "count": len(records), "wh": wh, "root": root}

    async def _site_meter(self, tx: Transaction, epoch: int) -> str:
        opening = [readable(record) for record in await read_records(tx, epoch, 1, 1)]
        points = [str(members["points"][0]) for members in opening if members is not None]
        return points[0] if points else self.layout.points[0]


def readable(record: StoredRecord) -> dict[str, Any] | None:
    """The members of a record, unverified; `None` if it cannot be read."""
    try:
        return payload_of(record.jws)
    except MalformedError:
        return None


def readables(records: Sequence[StoredRecord]) -> list[dict[str, Any]]:
    """Those of all that can be read."""
    return [members for members in map(readable, records) if members is not None]
