"""What the exchange's book holds of a site, with its receipts verified."""

from collections.abc import Iterable, Mapping

from daemon.signing import PublicKey, SigningError, jws_hash, loads, parse, verify
from daemon.timestamps import format_utc, parse_utc
from sim_devices.demo.judge import Settled
from sim_devices.exchange.book import Book
from sim_devices.exchange.envelopes import open_envelope
from sim_devices.exchange.receipts import RECEIPT_TYPE
from sim_devices.exchange.records import Gap, Interval, Position, read_record

DAY_S = 86_400


def settled(
    book: Book, site: str, kid: str, jwk: Mapping[str, str], from_s: float, to_s: float
) -> list[Settled]:
    """The records of the site meter for the days that a span touches, in the ledger's order."""
    key = PublicKey.from_jwk(kid, jwk)
    records = []
    for day in _days(from_s, to_s):
        for leaf in book.day(site, day).leaves:
            record = read_record(open_envelope(leaf.jws))
            points = book.points(site, leaf.position.epoch)
            if not isinstance(record, Interval | Gap) or points is None or record.point != points[0]:
                continue
            records.append(
                Settled(
                    start_s=parse_utc(record.start),
                    dur_s=record.dur_s,
                    measured=isinstance(record, Interval),
                    wh=record.wh,
                    receipted=is_receipted(book, site, leaf.position, key),
                )
            )
    return records


def is_receipted(book: Book, site: str, position: Position, key: PublicKey) -> bool:
    """Whether the receipt for a record is signed by the exchange's key and names what the book holds.

    Signature and hash are checked by other code than that which made them.
    """
    receipt = book.receipt(site, *position)
    if receipt is None:
        return False
    try:
        envelope = parse(receipt)
        verify(envelope, key)
        claims = loads(envelope.payload)
    except SigningError:
        return False
    if not isinstance(claims, dict) or envelope.header.typ != RECEIPT_TYPE:
        return False
    through = claims["through_seq"]
    head = book.known(site, position.epoch, through, through).get(through)
    return (
        claims["site"] == site
        and claims["epoch"] == position.epoch
        and position.seq <= through
        and head is not None
        and claims["head_hash"] == jws_hash(head)
    )


def _days(from_s: float, to_s: float) -> Iterable[str]:
    for number in range(int(from_s // DAY_S), int(to_s // DAY_S) + 1):
        yield format_utc(number * DAY_S)[:10]
