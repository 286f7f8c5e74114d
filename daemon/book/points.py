"""One metered point from record to record: on the grid without a hole, and on its register without a step."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from daemon.book.findings import Flaw
from daemon.book.lines import MeterChange
from daemon.ledger.records import GapBody, IntervalBody
from daemon.timestamps import format_utc

Said = tuple[Flaw, str, str]
"""What is wrong, in which way, and what would be right."""


@dataclass(slots=True)
class PointCourse:
    """Where a point stands after the records so far; `None` = not known."""

    next_s: int | None = None
    """Start of its next record, Unix seconds."""
    reg_wh: int | None = None
    """Last known `reg_end_wh`."""
    offset_wh: int | None = 0
    """Energy = register difference + this; `None`: a change of meter that does not tell."""
    new_start_wh: int | None = None
    """Where the register of the present meter began, if it was changed since `reg_wh`."""
    changed: bool = False
    waiting: bool = False
    """A run of gaps is open whose energy is still to come."""

    def copy(self) -> "PointCourse":
        """As it is now."""
        return replace(self)

    def forget(self) -> None:
        """Records are missing or unreadable: whatever comes next is taken as it is."""
        self.next_s, self.reg_wh, self.waiting = None, None, False
        self.offset_wh, self.changed, self.new_start_wh = 0, False, None

    def change_meter(self, change: MeterChange) -> None:
        """The register goes on with another meter's."""
        self.changed, self.new_start_wh = True, change.reg_start_wh
        if self.offset_wh is None or change.reg_end_wh is None or change.reg_start_wh is None:
            self.offset_wh = None
        else:
            self.offset_wh += change.reg_end_wh - change.reg_start_wh

    def follow(self, body: IntervalBody | GapBody) -> Iterator[Said]:
        """Take the point's next record: is its energy what the register says?"""
        if body.reg_start_wh is None or body.reg_end_wh is None:
            yield from self._without_register(body)
        else:
            yield from self._with_register(body, body.reg_start_wh, body.reg_end_wh)

    def _without_register(self, body: IntervalBody | GapBody) -> Iterator[Said]:
        if body.reg_start_wh is not None or body.reg_end_wh is not None:
            yield Flaw.REGISTER, "only one of reg_start_wh and reg_end_wh is there", "both, or neither"
        elif isinstance(body, IntervalBody) and body.quality == 17:
            yield Flaw.REGISTER, "quality 17 without a register", "8 or 10"
        if self.reg_wh is None:
            return
        if body.wh is None:
            self.waiting = True
        else:
            right = "energy with registers, or none until the register is read again"
            yield Flaw.REGISTER, f"{body.wh} Wh beside a register that stands at {self.reg_wh}", right

    def _with_register(self, body: IntervalBody | GapBody, start_wh: int, end_wh: int) -> Iterator[Said]:
        expected = {self.reg_wh} | ({self.new_start_wh} if self.changed else set())
        if self.reg_wh is not None and start_wh not in expected:
            yield Flaw.REGISTER, f"reg_start_wh is {start_wh}", f"{self.reg_wh}, where the register was left"
        if self.waiting and isinstance(body, IntervalBody):
            right = "the last gap of a run carries the energy of the run"
            yield Flaw.REGISTER, "an interval with the energy of the gaps before it", right
        base_wh = start_wh if self.reg_wh is None else self.reg_wh
        if self.offset_wh is not None:
            wh = end_wh - base_wh + self.offset_wh
            if body.wh != wh:
                yield Flaw.ENERGY, f"wh is {body.wh}", f"{wh}, the difference of the registers"
        self.reg_wh, self.waiting = end_wh, False
        self.offset_wh, self.changed, self.new_start_wh = 0, False, None


def off_grid(start_s: int, dur_s: int, interval_s: int) -> Iterator[Said]:
    """Whether an interval lies on the grid of its epoch, which counts from 00:00Z."""
    if dur_s != interval_s:
        yield Flaw.GRID, f"dur_s is {dur_s}", f"{interval_s}, the epoch's interval_s"
    elif start_s % interval_s:
        right = format_utc(start_s - start_s % interval_s)
        yield Flaw.GRID, f"start {format_utc(start_s)} is between the intervals", right
