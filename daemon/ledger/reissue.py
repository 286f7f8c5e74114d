"""Intervals whose records the exchange will never take, told again in a new epoch (contract §5)."""

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.ledger.records import GapReason, gap
from daemon.timestamps import parse_utc


def reissue(tail: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Bodies that stand for unreceipted records in their order.

    Every `interval` and `gap` becomes a gap. The energy of all of a point's comes with its last one whose
    energy was known, from the last receipted register on. `meter-changed` events and day closes are
    repeated; what else the tail holds stays behind for audit.
    """
    carriers = {
        record["point"]: number
        for number, record in enumerate(tail)
        if record.get("wh") is not None and record["kind"] in {"interval", "gap"}
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
    measured = [
        record
        for record in tail
        if record["kind"] in {"interval", "gap"} and record["point"] == last["point"]
    ]
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
