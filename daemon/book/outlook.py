"""What must be known of a book before it is read: where later epochs go back to. One quick look, no belief.

An epoch that begins after a fork tells intervals again that the exchange never took. Until it comes, the
older records are a chain like any other; from then on they do not count. So that a book is read once and
held nowhere, it is told beforehand of which point and from which interval on.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from daemon.errors import QuotawattError
from daemon.ledger.chain import payload_of
from daemon.signing import MalformedError, b64url_decode
from daemon.timestamps import parse_utc

_OPENS = b'"kind":"epoch_open"'


@dataclass(slots=True)
class Restart:
    """Where an epoch after the first goes on."""

    epoch: int
    before: tuple[int, int] | None
    points: frozenset[str]
    firsts: dict[str, int] = field(default_factory=dict)
    """By point: start of its first `interval` or `gap` in this epoch, Unix seconds."""
    first_day: str | None = None
    """The first day that it closes."""

    @property
    def known(self) -> bool:
        """Whether all of it was seen."""
        return self.points <= self.firsts.keys()


def look_ahead(lines: Iterable[bytes]) -> dict[int, Restart]:
    """All restarts of a book, by epoch. Lines that cannot be read are passed over."""
    restarts: dict[int, Restart] = {}
    current: Restart | None = None
    begun = False
    for text in lines:
        part = text.split(b".", 2)
        if len(part) != 3 or (begun and current is None and not _may_open(part[1])):
            continue
        try:
            record = payload_of(text.rstrip(b"\n"))
            kind = record["kind"]
            first, begun = not begun, True
            if kind == "epoch_open":
                current = None if first else _restart(record)
                if current is not None:
                    restarts[current.epoch] = current
            elif current is not None:
                _follow(current, record)
                current = None if current.known else current
        except (QuotawattError, LookupError, TypeError, ValueError):
            continue
    return restarts


def _may_open(payload: bytes) -> bool:
    try:
        return _OPENS in b64url_decode(payload)
    except MalformedError:
        return False


def _restart(record: dict[str, object]) -> Restart:
    match record:
        case {"epoch": int(epoch), "points": list(points), "before": {"epoch": int(before), "seq": int(seq)}}:
            return Restart(epoch, (before, seq), frozenset(map(str, points)))
        case {"epoch": int(epoch), "points": list(points)}:
            return Restart(epoch, None, frozenset(map(str, points)))
        case _:
            raise ValueError("no opening")


def _follow(restart: Restart, record: dict[str, object]) -> None:
    match record:
        case {"kind": "interval" | "gap", "point": str(point), "start": str(start)}:
            restart.firsts.setdefault(point, parse_utc(start))
            day = start[:10]
        case {"kind": "day_close", "day": str(day)}:
            pass
        case _:
            return
    if restart.first_day is None or day < restart.first_day:
        restart.first_day = day
