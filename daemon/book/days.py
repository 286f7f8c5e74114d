"""The UTC days of a book: their leaves until they are closed, and whether the closing is right."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from daemon.book.findings import Flaw
from daemon.book.points import Said
from daemon.ledger.records import DayCloseBody
from daemon.signing import b64url_encode


@dataclass(frozen=True, slots=True)
class Leaf:
    """An `interval` or `gap`: the hash of its leaf, and what it adds if it is the site meter's."""

    point: str
    start_s: int
    hash: bytes
    site_wh: int


class Days:
    """The leaves of days that are open, or that a later epoch may open again."""

    def __init__(self) -> None:
        self._leaves: dict[str, list[Leaf]] = {}
        self._closed: set[str] = set()
        self._last_closed = ""
        self.partial = False
        """The beginning of the day that is closed next is not in the file."""
        self.closed = 0
        """How many days were closed, each counted once."""

    @property
    def open(self) -> list[str]:
        """Days with leaves and without a closing."""
        return sorted(set(self._leaves) - self._closed)

    def add(self, day: str, leaf: Leaf) -> Iterator[Said]:
        """Take a leaf."""
        if day in self._closed or day <= self._last_closed:
            yield Flaw.DAY, f"comes after {day} was closed", "before the day's day_close"
        for earlier in self.open:
            if earlier < day:
                yield Flaw.DAY, f"{earlier} is not closed", f"a day_close of {earlier} before this record"
                self._closed.add(earlier)
        self._leaves.setdefault(day, []).append(leaf)

    def close(self, body: DayCloseBody, keep_from: str | None) -> Iterator[Said]:
        """Hold a closing against the leaves; they are kept if the day is `keep_from` or later."""
        if body.day in self._closed or body.day <= self._last_closed:
            yield Flaw.DAY, f"{body.day} is closed a second time", "one day_close for each day"
            return
        if not self.partial:
            yield from self._judge(body)
        self.partial = False
        self._closed.add(body.day)
        self._last_closed = max(self._last_closed, body.day)
        self.closed += 1
        self._let_go(keep_from)

    def _judge(self, body: DayCloseBody) -> Iterator[Said]:
        leaves = self._leaves.get(body.day, [])
        wh = sum(leaf.site_wh for leaf in leaves)
        if body.count != len(leaves):
            yield Flaw.SUM, f"count is {body.count}", str(len(leaves))
        if body.wh != wh:
            yield Flaw.SUM, f"wh is {body.wh}", f"{wh}, the sum over the site meter's records"
        root = root_of([leaf.hash for leaf in leaves])
        if body.root != root:
            yield Flaw.ROOT, f"root is {body.root}", f"{root}, that of the day's records here"

    def reopen(self, firsts: Mapping[str, int], from_day: str | None) -> None:
        """A new epoch tells again what it has: of every point, from its first interval on."""
        for day, leaves in self._leaves.items():
            self._leaves[day] = [
                leaf for leaf in leaves if leaf.start_s < firsts.get(leaf.point, leaf.start_s + 1)
            ]
        if from_day is None:
            return
        again = {day for day in self._closed if day >= from_day}
        self._closed -= again
        self.closed -= len(again)
        day_before = (date.fromisoformat(from_day) - timedelta(days=1)).isoformat()
        self._last_closed = min(self._last_closed, day_before)

    def give_up(self, before: str) -> list[str]:
        """Nobody will close the days that are open now and older than `before`; returns them."""
        lost = [day for day in self.open if day < before]
        for day in lost:
            del self._leaves[day]
        return lost

    def _let_go(self, keep_from: str | None) -> None:
        for day in [day for day in self._closed if keep_from is None or day < keep_from]:
            self._leaves.pop(day, None)
            self._closed.discard(day)


def leaf_hash(jws: bytes) -> bytes:
    """RFC 9162's hash of a leaf."""
    return hashlib.sha256(b"\x00" + jws).digest()


def root_of(hashes: Sequence[bytes]) -> str:
    """RFC 9162's root over leaves that are hashed already, base64url."""
    level = list(hashes) or [hashlib.sha256(b"").digest()]
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = pairs + level[2 * len(pairs) :]
    return b64url_encode(level[0])
