"""A book from its first line to its last: is it what the site signed, whole, and right in itself?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon.book.chain import LOST, Chain
from daemon.book.days import Days, Leaf, leaf_hash
from daemon.book.findings import Finding, Findings, Flaw
from daemon.book.lines import BookRecord, LineError, MeterChange, read_line
from daemon.book.outlook import Restart, look_ahead
from daemon.book.points import PointCourse, Said, off_grid
from daemon.book.receipts import ReceiptBook
from daemon.book.trust import KeyChain
from daemon.ledger.records import DayCloseBody, EpochOpenBody, EpochReason, GapBody, IntervalBody
from daemon.signing import PublicKey
from daemon.timestamps import format_utc, parse_utc


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of a book."""

    site: str | None
    records: int
    """Lines."""
    epochs: Mapping[int, int]
    """Last seq by epoch."""
    days_closed: int
    days_open: Sequence[str]
    first: str | None
    """Start of the earliest interval."""
    end: str | None
    """End of the latest."""
    wh: Mapping[str, int]
    """Energy by point over what counts, corrections left out."""
    corrections_wh: int
    receipted: Mapping[int, int] | None
    """By epoch, through which record a verified receipt vouches; `None` = no receipts were given."""
    findings: Sequence[Finding]
    finding_count: int
    notes: Sequence[str]

    @property
    def good(self) -> bool:
        """Nothing is wrong with it."""
        return self.finding_count == 0


def verify_file(path: Path, trust: Iterable[PublicKey], receipts: ReceiptBook | None = None) -> Report:
    """Verify a ledger file: one record's JWS a line. It is read twice and never held.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        restarts = look_ahead(file)
        file.seek(0)
        return verify_lines(file, trust, receipts, restarts)


def verify_lines(
    lines: Iterable[bytes],
    trust: Iterable[PublicKey],
    receipts: ReceiptBook | None = None,
    restarts: Mapping[int, Restart] | None = None,
) -> Report:
    """Verify the lines of a ledger; `restarts` is what `look_ahead` says of the same lines."""
    verifier = _Verifier(trust, receipts, restarts or {})
    for number, text in enumerate(lines, start=1):
        verifier.take(number, text.removesuffix(b"\n"))
    return verifier.report()


@dataclass(slots=True)
class _Energy:
    """Energy by point, so that what a later epoch tells again can be taken back."""

    total_wh: dict[str, int] = field(default_factory=dict)
    marks: dict[tuple[str, int], int] = field(default_factory=dict)
    """By point and interval that a later epoch begins with: the sum before it."""


class _Verifier:
    def __init__(
        self, trust: Iterable[PublicKey], receipts: ReceiptBook | None, restarts: Mapping[int, Restart]
    ) -> None:
        befores = {restart.before for restart in restarts.values() if restart.before is not None}
        self._chain = Chain(KeyChain(trust), receipts, befores)
        self._receipts = receipts
        self._restarts = dict(restarts)
        self._returns = {(point, start) for each in restarts.values() for point, start in each.firsts.items()}
        self._found = Findings()
        self._courses: dict[str, PointCourse] = {}
        self._saved: dict[tuple[str, int], PointCourse] = {}
        self._fresh: set[str] = set()
        """Points without a record in this epoch."""
        self._slot_s = 0
        self._days = Days()
        self._energy = _Energy()
        self._records = 0
        self._corrections_wh = 0
        self._first_s: int | None = None
        self._end_s: int | None = None
        if receipts is not None:
            self._found.add(receipts.flaws)

    def take(self, line: int, text: bytes) -> None:
        """Verify a line, given without its end."""
        self._records = line
        try:
            record = read_line(line, text)
        except LineError as error:
            epoch, seq = self._chain.unreadable()
            self._found.add([Finding(Flaw.FORM, epoch, seq, line, error.wrong, error.right)])
            self._forget()
            return
        self._found.add(self._judge(record))

    def _judge(self, record: BookRecord) -> Iterator[Finding]:
        goes_on, misplaced = self._chain.is_next(record)
        yield from _at(record, misplaced)
        if not goes_on:
            return
        if self._is_cut_off(record):
            self._forget()
            self._days.partial = self._days.partial or record.epoch in self._chain.pruned
        yield from _at(record, self._chain.follow(record))
        if self._receipts is not None:
            yield from self._receipts.check(record.epoch, record.seq, record.line, record.site, record.hash)
        yield from _at(record, self._body(record))

    def _is_cut_off(self, record: BookRecord) -> bool:
        """Whether records are missing before this one."""
        at = self._chain.at
        return record.seq != (at.seq + 1 if record.epoch == at.epoch else 1)

    def _forget(self) -> None:
        for course in self._courses.values():
            course.forget()
        self._slot_s = 0

    def _body(self, record: BookRecord) -> Iterator[Said]:
        body = record.body
        match body:
            case EpochOpenBody():
                self._open(record.epoch, body)
            case IntervalBody() | GapBody():
                yield from self._measured(record, body)
            case DayCloseBody():
                yield from self._close(body)
            case _:
                if body.kind == "correction":
                    self._corrections_wh += body.wh
        if isinstance(record.change, MeterChange):
            course = self._courses.get(record.change.point)
            if course is None:
                yield Flaw.REGISTER, f"a change of meter at {record.change.point}", "a point of the epoch"
            else:
                course.change_meter(record.change)

    # --- epochs ---

    def _open(self, epoch: int, body: EpochOpenBody) -> None:
        """Points that are no longer metered are let go; intervals that are told again are taken back."""
        restart = self._restarts.pop(epoch, None)
        if restart is not None and not _regrids(body):
            for point, start_s in restart.firsts.items():
                self._go_back(point, start_s)
            self._days.reopen(restart.firsts, restart.first_day)
        self._courses = {point: self._courses.get(point, PointCourse()) for point in body.points}
        self._fresh = set(body.points)
        self._slot_s = 0

    def _go_back(self, point: str, start_s: int) -> None:
        saved = self._saved.get((point, start_s))
        course = self._courses.get(point)
        if saved is not None and course is not None and course.next_s != start_s:
            self._courses[point] = saved.copy()
            self._energy.total_wh[point] = self._energy.marks[point, start_s]

    # --- intervals ---

    def _measured(self, record: BookRecord, body: IntervalBody | GapBody) -> Iterator[Said]:
        opening = self._chain.opening
        if opening is None:
            return  # its epoch_open is missing, which is a finding of its own
        course = self._courses.get(body.point)
        if course is None:
            yield Flaw.GRID, f"point {body.point}", f"one of {', '.join(opening.points)}"
            return
        start_s = parse_utc(body.start)
        is_site = body.point == opening.points[0]
        yield from off_grid(start_s, body.dur_s, opening.interval_s)
        yield from self._in_order(body.point, course, start_s, opening)
        self._save(body.point, course, start_s)
        yield from course.follow(body)
        course.next_s = start_s + opening.interval_s
        leaf = Leaf(body.point, start_s, leaf_hash(record.jws), (body.wh or 0) if is_site else 0)
        yield from self._days.add(body.start[:10], leaf)
        yield from _site_members(body, is_site=is_site)
        self._energy.total_wh[body.point] = self._energy.total_wh.get(body.point, 0) + (body.wh or 0)
        self._first_s = start_s if self._first_s is None else min(self._first_s, start_s)
        self._end_s = max(self._end_s or 0, course.next_s)

    def _save(self, point: str, course: PointCourse, start_s: int) -> None:
        """Keep where a later epoch goes back to."""
        if (point, start_s) in self._returns:
            self._saved[point, start_s] = course.copy()
            self._saved[point, start_s].next_s = start_s
            self._energy.marks[point, start_s] = self._energy.total_wh.get(point, 0)

    def _in_order(
        self, point: str, course: PointCourse, start_s: int, opening: EpochOpenBody
    ) -> Iterator[Said]:
        fresh = point in self._fresh
        self._fresh.discard(point)
        expected_s = course.next_s
        if expected_s is not None and start_s > expected_s:
            missing = (start_s - expected_s) // opening.interval_s
            if fresh and opening.reason in LOST:
                self._lost(point, expected_s, start_s)
            else:
                right = f"an interval or gap from {format_utc(expected_s)} on"
                yield Flaw.GRID, f"{missing} intervals of {point} are missing before it", right
        elif expected_s is not None and start_s < expected_s:
            regridded = fresh and _regrids(opening) and expected_s - start_s < opening.interval_s
            if not regridded:
                yield Flaw.GRID, f"{point} has {format_utc(start_s)} already", format_utc(expected_s)
        if start_s > self._slot_s:
            yield from self._slot_whole(start_s)
            self._slot_s = start_s
        elif start_s < self._slot_s:
            yield Flaw.GRID, f"comes after {format_utc(self._slot_s)}", "records in the order of the grid"

    def _slot_whole(self, start_s: int) -> Iterator[Said]:
        """Before the next interval begins every point has the one before."""
        if self._slot_s == 0:
            return
        for point, course in self._courses.items():
            if (course.next_s is None and point in self._fresh) or (course.next_s or start_s) < start_s:
                yield Flaw.GRID, f"{point} has no record at {format_utc(self._slot_s)}", "one for every point"
                self._fresh.discard(point)
                course.next_s = start_s

    def _lost(self, point: str, from_s: int, to_s: int) -> None:
        days = self._days.give_up(format_utc(to_s)[:10])
        self._chain.notes.append(
            f"nothing is recorded of {point} from {format_utc(from_s)} to {format_utc(to_s)}: "
            "the site had lost its ledger"
        )
        for day in days:
            self._chain.notes.append(f"{day} was never closed")

    # --- days ---

    def _close(self, body: DayCloseBody) -> Iterator[Said]:
        end_s = parse_utc(f"{body.day}T00:00:00Z") + 86_400
        for point, course in self._courses.items():
            if course.next_s is not None and course.next_s < end_s:
                right = f"after the last interval of {body.day}"
                yield Flaw.DAY, f"{body.day} is closed before {point} has come to its end", right
        upcoming = [each.first_day for each in self._restarts.values() if each.first_day is not None]
        yield from self._days.close(body, min(upcoming, default=None))

    # --- at the end ---

    def report(self) -> Report:
        """What was found."""
        if self._receipts is not None:
            self._found.add(self._receipts.unmatched(self._chain.pruned))
        if self._records == 0:
            self._found.add([Finding(Flaw.FORM, 0, 0, 0, "the file is empty", "one record's JWS a line")])
        return Report(
            site=self._chain.site,
            records=self._records,
            epochs=self._chain.heads,
            days_closed=self._days.closed,
            days_open=self._days.open,
            first=None if self._first_s is None else format_utc(self._first_s),
            end=None if self._end_s is None else format_utc(self._end_s),
            wh=self._energy.total_wh,
            corrections_wh=self._corrections_wh,
            receipted=None if self._receipts is None else self._receipts.through,
            findings=self._found.kept,
            finding_count=self._found.count,
            notes=self._chain.notes,
        )


def _regrids(opening: EpochOpenBody) -> bool:
    """Whether its intervals may overlap those of the epoch before, on another grid."""
    return EpochReason(opening.reason) is EpochReason.INTERVAL_CHANGE


def _at(record: BookRecord, said: Iterable[Said]) -> Iterator[Finding]:
    for flaw, wrong, right in said:
        yield Finding(flaw, record.epoch, record.seq, record.line, wrong, right)


_SITE_ONLY = ("limit_wh", "limit_ref", "floor_w", "over_s", "over_wh", "settle_s", "state_s", "output")


def _site_members(body: IntervalBody | GapBody, *, is_site: bool) -> Iterator[Said]:
    """What only the site meter's intervals say."""
    if isinstance(body, GapBody):
        return
    if not is_site and any(getattr(body, name) is not None for name in _SITE_ONLY):
        yield Flaw.FORM, f"{body.point} has members of the site meter", "null"
