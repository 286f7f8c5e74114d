"""The exchange's three answers: take records and give a receipt, tell the head, state a day."""

from collections.abc import Callable
from dataclasses import dataclass

from sim_devices.exchange.answers import HeadAnswer, StatementAnswer
from sim_devices.exchange.book import Book
from sim_devices.exchange.intake import Span
from sim_devices.exchange.receipts import ExchangeKey, Head, make_receipt
from sim_devices.exchange.records import EpochOpen
from sim_devices.exchange.statement import make_statement
from sim_devices.exchange.verification import new_entries, read_upload


@dataclass(frozen=True, slots=True)
class Settlement:
    """The rules over the book. `clock` gives Unix seconds."""

    book: Book
    key: ExchangeKey
    clock: Callable[[], float]

    def take(self, site: str, span: Span, body: bytes) -> tuple[bool, bytes]:
        """Take an upload; whether anything in it was new, and the receipt, which is durable by then.

        Raises:
            ProblemError: it is not taken, and nothing has changed.
        """
        with self.book.transaction():
            points = self.book.points(site, span.epoch)
            upload = read_upload(site, span, body, self.book.keyring(site), points)
            head = self.book.head(site, span.epoch)
            fresh = new_entries(
                span,
                upload.entries,
                known=self.book.known(site, *span),
                head=head,
                newest=self.book.head(site),
            )
            if not fresh and head is not None:
                stored = self.book.receipt(site, span.epoch, span.last)
                return False, stored or self._receipt(site, head)
            if points is None:
                points = [point for entry in fresh for point in _points(entry.record)]
            self.book.add(site, fresh, points)
            self.book.save_keys(site, list(upload.ring.keys.values()))
            last = fresh[-1]
            return True, self._receipt(site, Head(*last.record.position, last.envelope.hash, last.jws))

    def _receipt(self, site: str, head: Head) -> bytes:
        receipt = make_receipt(site, head, key=self.key, received_s=self.clock())
        self.book.add_receipt(site, head, receipt)
        return receipt

    def head(self, site: str, epoch: int | None) -> HeadAnswer:
        """The body of `head`."""
        head = self.book.head(site, epoch)
        if head is None:
            return HeadAnswer(epoch=0, seq=0, head_hash=None, head_jws=None)
        return HeadAnswer(
            epoch=head.epoch, seq=head.seq, head_hash=head.hash, head_jws=head.jws.decode("ascii")
        )

    def statement(self, site: str, day: str) -> StatementAnswer | None:
        """The body of `statement`; `None` if nothing is stored for the day."""
        openings = self.book.openings(site)
        heads = {epoch: head for epoch in openings if (head := self.book.head(site, epoch)) is not None}
        return make_statement(site, day, self.book.day(site, day), openings=openings, heads=heads)


def _points(record: object) -> list[str]:
    return record.points if isinstance(record, EpochOpen) else []
