"""Intervals whose records the exchange will never take, told again in a new epoch (contract §5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.ledger.grid import DAY_S
from daemon.ledger.integrity import Layout
from daemon.ledger.records import GapReason, gap
from daemon.ledger.register import Baseline
from daemon.timestamps import format_utc, parse_utc

MEASURED = frozenset({"interval", "gap"})


def reissue(tail: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Bodies that stand for unreceipted records in their order.

    Every `interval` and `gap` becomes a gap. The energy of all of a point's comes with its last one whose
    energy was known, from the last receipted register on. `meter-changed` events and day closes are
    repeated; what else the tail holds stays behind for audit.
    """
    carriers = {
        record["point"]: number
        for number, record in enumerate(tail)
        if record.get("wh") is not None and record["kind"] in MEASURED
    }
    bodies: list[dict[str, Any]] = []
    for number, record in enumerate(tail):
        match record["kind"]:
            case "interval" | "gap":
                carries = carriers.get(record["point"]) == number
                bodies.append(_carrier(tail, record) if carries else _gap(record))
            case "day_close":
                bodies.append({"kind": "day_close", "day": record["day"]})
            case "event" if record["what"] == "meter-changed":
                bodies.append({name: record[name] for name in ("kind", "at", "what", "detail")})
            case _:
                pass
    return bodies


def _gap(record: Mapping[str, Any]) -> dict[str, Any]:
    return gap(record["point"], parse_utc(record["start"]), record["dur_s"], GapReason.PARTIAL)


def _carrier(tail: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> dict[str, Any]:
    measured = [record for record in tail if record["kind"] in MEASURED and record["point"] == last["point"]]
    starts = [record["reg_start_wh"] for record in measured if record["reg_start_wh"] is not None]
    ends = [record["reg_end_wh"] for record in measured if record["reg_end_wh"] is not None]
    return gap(
        last["point"],
        parse_utc(last["start"]),
        last["dur_s"],
        GapReason.PARTIAL,
        registers_wh=(starts[0], ends[-1]) if starts and ends else None,
        wh=sum(record["wh"] or 0 for record in measured),
    )


@dataclass(frozen=True, slots=True)
class Receipted:
    """Where the exchange's knowledge ends."""

    next_start: int
    """Start of the first interval of which not every point is receipted, Unix seconds."""
    ahead: int
    """Of how many points it is receipted nevertheless, in their order."""
    registers_wh: Mapping[str, int]
    """By point, the last receipted `reg_end_wh`, as far as it can be believed."""


Sound = Sequence[tuple[int, Mapping[str, Any]]]
"""Records that are what was signed: seq and members, in order."""


def receipted(before: Sound, after: Sound, acked_seq: int, layout: Layout) -> Receipted | None:
    """Where the exchange's knowledge of an epoch ends; `None` if nothing that is left tells.

    Args:
        before: what is sound of the last receipted records.
        after: what is sound of the unreceipted ones.
        acked_seq: the last receipted record.
        layout: of the epoch.
    """
    registers = {
        each["point"]: each["reg_end_wh"] for _, each in before if each.get("reg_end_wh") is not None
    }
    count = len(layout.points)
    measured = [(seq, each) for seq, each in before if each["kind"] in MEASURED]
    first = [(seq, each) for seq, each in after if each["kind"] in MEASURED][:1]
    if first and (first[0][0] == acked_seq + 1 or not measured):
        slot = _slot_number(first[0][1], layout)
    elif measured:
        # Receipted records that cannot be read any more have been intervals, as nearly all are.
        slot = _slot_number(measured[-1][1], layout) + 1 + _unread(measured[-1][0], before, acked_seq)
    else:
        return None
    return Receipted(slot // count * layout.interval_s, slot % count, registers)


def _unread(after_seq: int, before: Sound, acked_seq: int) -> int:
    return acked_seq - after_seq - sum(1 for seq, _ in before if seq > after_seq)


def _slot_number(members: Mapping[str, Any], layout: Layout) -> int:
    """Counted through the points and the intervals since 1970."""
    points = layout.points
    return parse_utc(members["start"]) // layout.interval_s * len(points) + points.index(members["point"])


def reissue_damaged(
    tail: Sequence[Mapping[str, Any]],
    known: Receipted | None,
    baselines: Mapping[str, Baseline],
    layout: Layout,
) -> list[dict[str, Any]]:
    """Bodies that stand for unreceipted records of which only those in `tail` can still be believed.

    Every interval between what is receipted and a point's baseline becomes a gap, whether its record is
    among the believed ones or not; the one that ends where the point's register is known carries the energy
    since its last receipted register.

    Args:
        tail: members of the believed records, in order.
        known: where the exchange's knowledge ends.
        baselines: where every point continues.
        layout: of the epoch that is superseded.
    """
    changes = [each for each in tail if each["kind"] == "event" and each["what"] == "meter-changed"]
    bodies = [{name: each[name] for name in ("kind", "at", "what", "detail")} for each in changes]
    ends = [baselines[point].next_start for point in layout.points if point in baselines]
    for start in range(known.next_start, max(ends), layout.interval_s) if known and ends else ():
        for number, point in enumerate(layout.points):
            if known is not None and (start > known.next_start or number >= known.ahead):
                bodies.append(_again(point, start, tail, known, baselines.get(point), layout))
        if (start + layout.interval_s) % DAY_S == 0:
            bodies.append({"kind": "day_close", "day": format_utc(start)[:10]})
    return bodies


def _again(
    point: str,
    start: int,
    tail: Sequence[Mapping[str, Any]],
    known: Receipted,
    base: Baseline | None,
    layout: Layout,
) -> dict[str, Any]:
    silent = gap(point, start, layout.interval_s, GapReason.PARTIAL)
    if base is None or base.register_at != start + layout.interval_s:
        return silent
    own = [each for each in tail if each.get("point") == point]
    first_start = known.next_start + (layout.interval_s if layout.points.index(point) < known.ahead else 0)
    first_wh = known.registers_wh.get(point)
    if (
        own
        and own[0]["reg_start_wh"] is not None
        and (first_wh is None or parse_utc(own[0]["start"]) == first_start)
    ):
        first_wh = own[0]["reg_start_wh"]
    if first_wh is None or base.register_wh is None:
        return silent
    changed_wh = sum(
        each["detail"]["reg_end_wh"] - each["detail"]["reg_start_wh"]
        for each in tail
        if each["kind"] == "event"
        and each["what"] == "meter-changed"
        and each["detail"].get("point") == point
    )
    # What was changed since the register was read is in the baseline's offset: it comes with the next record.
    wh = base.register_wh - first_wh + changed_wh - base.offset_wh
    registers_wh = (first_wh, base.register_wh)
    return gap(point, start, layout.interval_s, GapReason.PARTIAL, registers_wh=registers_wh, wh=wh)
