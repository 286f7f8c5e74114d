"""A site's days as its own book has them, to be held against the exchange's statement."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.book.days import leaf_hash, root_of
from daemon.book.stored import BookEntry, StoredBook

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DayShown:
    """One UTC day, as far as it counts, or as far as it has receipts."""

    day: str
    count: int
    gaps: int
    """How many of the records are gaps."""
    wh: int
    root: str
    corrections_wh: int
    closed: bool
    """A `day_close` says just this."""
    through: Place | None
    """Its last record."""

    @property
    def empty(self) -> bool:
        """Nothing is stored of it."""
        return self.through is None


@dataclass(frozen=True, slots=True)
class DayOverview:
    """A day in whole, and the part of it that the exchange has receipted."""

    whole: DayShown
    receipted: DayShown
    waiting: int
    """Records of it without a receipt."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The exchange's word on a day."""

    closed: bool
    count: int
    wh: int
    root: str
    corrections_wh: int
    through: Place


@dataclass(frozen=True, slots=True)
class Difference:
    """A member in which book and statement differ."""

    day: str
    member: str
    book: Any
    statement: Any
    why: str | None = None


class Overview:
    """Reads the days of a stored book."""

    def __init__(self, book: StoredBook) -> None:
        self._book = book
        self._site_meters = {
            entry.epoch: str(entry.members["points"][0]) for entry in book.of_kind("epoch_open")
        }
        self._closings: dict[str, list[tuple[BookEntry, Mapping[str, Any]]]] = {}
        self._corrections: dict[str, list[tuple[BookEntry, Mapping[str, Any]]]] = {}
        for entry in book.of_kind("day_close"):
            members = entry.members
            self._closings.setdefault(members["day"], []).append((entry, members))
        for entry in book.of_kind("correction"):
            members = entry.members
            self._corrections.setdefault(members["at"][:10], []).append((entry, members))

    def days(self) -> list[str]:
        """Days of which there is anything, oldest first."""
        return sorted({*self._book.days(), *self._closings, *self._corrections})

    def day(self, day: str) -> DayOverview:
        """What the book holds of a day."""
        leaves = [(entry, entry.members) for entry in self._book.of_day(day)]
        others = [*self._closings.get(day, []), *self._corrections.get(day, [])]
        waiting = sum(not entry.receipted for entry, _ in [*leaves, *others])
        whole = self._shown(day, leaves, receipted=False)
        return DayOverview(whole, self._shown(day, leaves, receipted=True) if waiting else whole, waiting)

    def _shown(
        self, day: str, leaves: Iterable[tuple[BookEntry, Mapping[str, Any]]], *, receipted: bool
    ) -> DayShown:
        def taken(
            those: Iterable[tuple[BookEntry, Mapping[str, Any]]],
        ) -> list[tuple[BookEntry, Mapping[str, Any]]]:
            return [each for each in those if each[0].receipted or not receipted]

        own, closings = taken(leaves), taken(self._closings.get(day, []))
        corrections = taken(self._corrections.get(day, []))
        wh = sum(
            members["wh"] or 0
            for entry, members in own
            if members["point"] == self._site_meters.get(entry.epoch)
        )
        root = root_of([leaf_hash(entry.jws.encode("ascii")) for entry, _ in own])
        said = [closings[-1][1][name] for name in ("count", "wh", "root")] if closings else None
        places = [(entry.epoch, entry.seq) for entry, _ in [*own, *closings, *corrections]]
        return DayShown(
            day=day,
            count=len(own),
            gaps=sum(entry.kind == "gap" for entry, _ in own),
            wh=wh,
            root=root,
            corrections_wh=sum(members["wh"] for _, members in corrections),
            closed=said == [len(own), wh, root],
            through=max(places, default=None),
        )


def differences(overview: DayOverview, statement: Statement | None) -> list[Difference]:
    """Every member in which the receipted part of a day and the statement differ."""
    book, day = overview.receipted, overview.receipted.day
    if statement is None:
        return [] if book.empty else [Difference(day, "count", book.count, None, "the exchange has no data")]
    found = [
        Difference(day, name, ours, theirs)
        for name, ours, theirs in (
            ("count", book.count, statement.count),
            ("wh", book.wh, statement.wh),
            ("root", book.root, statement.root),
            ("corrections_wh", book.corrections_wh, statement.corrections_wh),
            ("through", book.through, statement.through),
        )
        if ours != theirs
    ]
    if book.closed != statement.closed:
        why = "an epoch that one side does not hold whole keeps a day open" if book.closed else None
        found.append(Difference(day, "closed", book.closed, statement.closed, why))
    return found
