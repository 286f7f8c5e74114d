"""A site's day as the exchange settles it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sim_devices.exchange.answers import StatementAnswer, Through
from sim_devices.exchange.envelopes import open_envelope
from sim_devices.exchange.merkle import merkle_root
from sim_devices.exchange.receipts import Head
from sim_devices.exchange.records import DayClose, EpochOpen, Gap, Interval, Position, read_record

# Epochs that begin so leave one before them that either the site or the exchange does not hold whole.
_TORN = frozenset({"fork", "storage-loss", "restore"})


@dataclass(frozen=True, slots=True)
class Leaf:
    """An `interval` or `gap`; `site_wh` is what the site meter's add to the day, else `None`."""

    position: Position
    site_wh: int | None
    jws: bytes


@dataclass(frozen=True, slots=True)
class DayRecords:
    """All that counts in a day, in (epoch, seq) order.

    `closing` is the newest `day_close` of the day, `through` the last record that counts in it.
    """

    leaves: Sequence[Leaf]
    closing: DayClose | None
    corrections_wh: int
    through: Position | None


def told_last(leaves: Sequence[Leaf], beginnings: Mapping[int, Mapping[str, str]]) -> list[Leaf]:
    """Those of `leaves` that no newer epoch has told again: each interval of a point counts once.

    A site that lost its store, or the receipts for what it had sent, begins a new epoch where its own
    knowledge of what is receipted ends. From the first start of a point in a newer epoch on, what older
    epochs say of that point is replaced, its energy included.

    Args:
        leaves: of one day.
        beginnings: by epoch, the start of each point's first record in it.
    """
    return [leaf for leaf in leaves if not _told_again(leaf, beginnings)]


def _told_again(leaf: Leaf, beginnings: Mapping[int, Mapping[str, str]]) -> bool:
    newer = [starts for epoch, starts in beginnings.items() if epoch > leaf.position.epoch]
    if not newer:
        return False
    record = read_record(open_envelope(leaf.jws))
    if not isinstance(record, Interval | Gap):
        return False
    # Times of this one form sort as texts.
    return any(record.start >= starts[record.point] for starts in newer if record.point in starts)


def make_statement(
    site: str, day: str, records: DayRecords, *, openings: Mapping[int, EpochOpen], heads: Mapping[int, Head]
) -> StatementAnswer | None:
    """The statement of a day, `None` if nothing counts in it.

    `openings` and `heads` are the first and the last record of every epoch. The day is closed if the
    site's `day_close` says what the exchange finds, over epochs that both hold whole.
    """
    if records.through is None:
        return None
    wh = sum(leaf.site_wh for leaf in records.leaves if leaf.site_wh is not None)
    root = merkle_root([leaf.jws for leaf in records.leaves])
    closing = records.closing
    agreed = closing is not None and (closing.count, closing.wh, closing.root) == (
        len(records.leaves),
        wh,
        root,
    )
    return StatementAnswer(
        site=site,
        day=day,
        closed=closing is not None and agreed and _whole(records.leaves, closing, openings, heads),
        count=len(records.leaves),
        wh=wh,
        root=root,
        corrections_wh=records.corrections_wh,
        through=Through(**records.through._asdict()),
    )


def _whole(
    leaves: Sequence[Leaf], closing: DayClose, openings: Mapping[int, EpochOpen], heads: Mapping[int, Head]
) -> bool:
    """Whether each epoch of the day but the last ended with a record that both sides have."""
    first = min((leaf.position.epoch for leaf in leaves), default=closing.epoch)
    epochs = [epoch for epoch in sorted(openings) if first <= epoch <= closing.epoch]
    for epoch, following in pairwise(epochs):
        opening, head = openings[following], heads[epoch]
        before = opening.before
        if opening.reason in _TORN or before is None:
            return False
        if (before.epoch, before.seq, before.head_hash) != (head.epoch, head.seq, head.hash):
            return False
    return True
