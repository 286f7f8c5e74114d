"""The chain of a book: whose record follows which, signed by whom."""

from collections.abc import Iterator
from dataclasses import dataclass

from daemon.book.findings import Flaw
from daemon.book.lines import BookRecord, KeyChange
from daemon.book.points import Said
from daemon.book.receipts import ReceiptBook
from daemon.book.trust import KeyChain, UntrustedKeyError
from daemon.ledger.records import CorrectionBody, EpochOpenBody, EpochReason
from daemon.timestamps import parse_utc

LOST = frozenset({EpochReason.NEW, EpochReason.STORAGE_LOSS, EpochReason.RESTORE})
"""Reasons of epochs that follow on what the site itself no longer held."""


@dataclass(slots=True)
class Place:
    """Where a book has been read to."""

    epoch: int = 0
    seq: int = 0
    hash: str | None = None
    """`None` = the record could not be read, so nothing can be said of the next one's `prev`."""


class Chain:
    """Follows the identities, links, keys and epochs of a book."""

    def __init__(self, keys: KeyChain, receipts: ReceiptBook | None, befores: set[tuple[int, int]]) -> None:
        """`befores`: the records that later epochs say they follow."""
        self.at = Place()
        self.site: str | None = None
        self.opening: EpochOpenBody | None = None
        self.heads: dict[int, int] = {}
        """Last seq of every epoch."""
        self.pruned: dict[int, int] = {}
        """By epoch: through which seq its beginning is not in the file and vouched for by a receipt."""
        self.notes: list[str] = []
        self._keys = keys
        self._receipts = receipts
        self._befores = befores
        self._hashes: dict[tuple[int, int], str] = {}

    def unreadable(self) -> tuple[int, int]:
        """A line that is no record stands where the next one should be; returns that place."""
        self.at.seq += 1
        self.at.hash = None
        return self.at.epoch, self.at.seq

    def is_next(self, record: BookRecord) -> tuple[bool, list[Said]]:
        """Whether a record may be gone on from, and what is wrong with its place."""
        epoch, seq = record.epoch, record.seq
        if (epoch, seq) <= (self.at.epoch, self.at.seq):
            right = f"record {self.at.epoch}/{self.at.seq + 1}"
            return False, [(Flaw.SEQUENCE, f"comes after record {self.at.epoch}/{self.at.seq}", right)]
        first = self.at.seq + 1 if epoch == self.at.epoch else 1
        missing = f"records {epoch}/{first} to {epoch}/{seq - 1}"
        if seq == first:
            said = list(self._link(record))
        elif self._is_pruned(record):
            said = []
            self.pruned[epoch] = seq - 1
            self.notes.append(f"{missing} are not in this file; a receipt vouches for them")
        else:
            said = [
                (Flaw.SEQUENCE, f"records {epoch}/{first} to {epoch}/{seq - 1} are missing", "all records")
            ]
        return True, said

    def _is_pruned(self, record: BookRecord) -> bool:
        """The oldest records may be gone, when a receipt ends where the file goes on."""
        return (
            len(self.heads) == 1
            and (self.at.epoch, self.at.seq) == (record.epoch, 1)
            and self._receipts is not None
            and self._receipts.vouches(record.epoch, record.seq - 1, record.prev)
        )

    def _link(self, record: BookRecord) -> Iterator[Said]:
        if record.seq == 1:
            if record.prev is not None:
                yield Flaw.CHAIN, f"prev is {record.prev}", "null: it is the first record of its epoch"
        elif self.at.hash is not None and record.prev != self.at.hash:
            yield Flaw.CHAIN, f"prev is {record.prev}", f"{self.at.hash}, the hash of the record before"

    def follow(self, record: BookRecord) -> Iterator[Said]:
        """Go on from a record: its site, its key, its signature, and what it opens or refers to."""
        begins = record.epoch != self.at.epoch
        if self.site is None:
            self.site = record.site
        elif record.site != self.site:
            yield Flaw.SITE, f"site is {record.site}", self.site
        yield from self._signature(record)
        if isinstance(record.body, EpochOpenBody) != (record.seq == 1):
            yield (
                Flaw.SEQUENCE,
                f"record {record.seq} is {record.body.kind}",
                "epoch_open as record 1, and only there",
            )
        if isinstance(record.body, EpochOpenBody):
            yield from self._open(record, record.body)
        elif begins:
            self.opening = None
        if isinstance(record.body, CorrectionBody):
            yield from self._refers(record, record.body)
        self.at.epoch, self.at.seq, self.at.hash = record.epoch, record.seq, record.hash
        self.heads[record.epoch] = record.seq
        if (record.epoch, record.seq) in self._befores:
            self._hashes[record.epoch, record.seq] = record.hash

    def _signature(self, record: BookRecord) -> Iterator[Said]:
        try:
            key = self._keys.key(record.kid)
        except UntrustedKeyError as error:
            yield Flaw.KEY, str(error), "a record of the site's own key"
            return
        if not key.signed(record.signature, record.signing_input):
            yield Flaw.SIGNATURE, f"key {record.kid} did not sign these bytes", "the bytes that were signed"
        elif isinstance(record.change, KeyChange):
            try:
                self._keys.change(record.kid, record.change.kid, record.change.jwk)
            except UntrustedKeyError as error:
                yield Flaw.KEY, str(error), "a new public Ed25519 key under a new name"

    def _open(self, record: BookRecord, body: EpochOpenBody) -> Iterator[Said]:
        at_s = parse_utc(body.at)
        if record.epoch < at_s:
            yield Flaw.EPOCH, f"opened at {body.at}", f"an epoch of at least {at_s}"
        yield from self._before(body)
        self.opening = body

    def _before(self, body: EpochOpenBody) -> Iterator[Said]:
        """Whether the epoch follows on a record of this file, or why it need not."""
        reason = EpochReason(body.reason)
        lossy = reason in LOST
        if body.before is None:
            if self.at.epoch and reason is EpochReason.INTERVAL_CHANGE:
                yield Flaw.EPOCH, "before is null", f"record {self.at.epoch}/{self.at.seq}"
            elif self.at.epoch:
                self.notes.append(f"the epoch opened at {body.at} ({body.reason}) follows on no record")
            return
        before = (body.before.epoch, body.before.seq)
        where = f"{before[0]}/{before[1]}"
        known = self._hashes.get(before)
        if known == body.before.head_hash:
            return
        if known is None and not lossy and before[1] > self.pruned.get(before[0], 0):
            yield (
                Flaw.EPOCH,
                f"follows record {where}, which is not in this file",
                "the ledger from its beginning",
            )
        elif known is not None and reason is not EpochReason.FORK:
            yield Flaw.EPOCH, f"follows record {where} with hash {body.before.head_hash}", known
        else:
            self.notes.append(
                f"the exchange holds another record {where} than this file, or more ({body.reason})"
            )

    def _refers(self, record: BookRecord, body: CorrectionBody) -> Iterator[Said]:
        ref = (body.ref.epoch, body.ref.seq)
        unknown = body.ref.epoch in self.heads and body.ref.seq > self.heads[body.ref.epoch]
        if ref >= (record.epoch, record.seq) or unknown:
            yield Flaw.REFERENCE, f"corrects record {ref[0]}/{ref[1]}", "an earlier record of the ledger"
