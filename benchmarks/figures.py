"""What a benchmark found: figures with their goals, as a table and as a JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine, this_machine

FOLDER = Path(__file__).resolve().parent.parent / "build" / "bench"


class Relation(StrEnum):
    """How a figure should lie to its goal."""

    AT_MOST = "≤"
    BELOW = "<"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should be."""

    relation: Relation
    limit: float

    def met(self, value: float) -> bool:
        """Whether a value is as it should be."""
        match self.relation:
            case Relation.AT_MOST:
                return value <= self.limit
            case Relation.BELOW:
                return value < self.limit
            case Relation.AT_LEAST:
                return value >= self.limit


def at_most(limit: float) -> Goal:
    """A goal that is met up to the limit."""
    return Goal(Relation.AT_MOST, limit)


def below(limit: float) -> Goal:
    """A goal that is met under the limit."""
    return Goal(Relation.BELOW, limit)


def at_least(limit: float) -> Goal:
    """A goal that is met from the limit on."""
    return Goal(Relation.AT_LEAST, limit)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    what: str
    value: float
    unit: str
    """`×` of a ratio."""
    goal: Goal | None = None

    @property
    def text(self) -> str:
        """The value to three digits, with its unit."""
        return f"{_digits(self.value)} {self.unit}".rstrip()

    @property
    def goal_text(self) -> str:
        """The goal in the same unit; empty if there is none."""
        if self.goal is None:
            return ""
        return f"{self.goal.relation} {_digits(self.goal.limit)} {self.unit}".rstrip()

    @property
    def verdict(self) -> str:
        """`met`, `MISSED`, or nothing without a goal."""
        if self.goal is None:
            return ""
        return "met" if self.goal.met(self.value) else "MISSED"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one benchmark found."""

    name: str
    """Of its file in build/bench."""
    title: str
    """What was done, with the sizes that it was done at."""
    figures: Sequence[Figure]
    rounds: Sequence[Mapping[str, Any]] = ()
    """What the figures were worked out from."""
    remarks: Sequence[str] = ()
    machine: Machine = field(default_factory=this_machine)

    def write(self, folder: Path = FOLDER) -> Path:
        """Write it to NAME.json."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        return path

    def table(self) -> str:
        """It as text for a terminal."""
        rows = [(figure.what, figure.text, figure.goal_text, figure.verdict) for figure in self.figures]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [f"{self.title}"]
        for what, text, goal, verdict in rows:
            line = f"  {what:<{widths[0]}}  {text:>{widths[1]}}  {goal:<{widths[2]}}  {verdict}"
            lines.append(line.rstrip())
        lines += [f"  ({remark})" for remark in self.remarks]
        return "\n".join(lines)


def read_finding(path: Path) -> Finding:
    """What `Finding.write` wrote."""
    held = json.loads(path.read_text(encoding="utf-8"))
    figures = [
        Figure(
            what=one["what"],
            value=one["value"],
            unit=one["unit"],
            goal=None
            if one["goal"] is None
            else Goal(Relation(one["goal"]["relation"]), one["goal"]["limit"]),
        )
        for one in held["figures"]
    ]
    return Finding(
        name=held["name"],
        title=held["title"],
        figures=figures,
        rounds=held["rounds"],
        remarks=held["remarks"],
        machine=Machine(**held["machine"]),
    )


def tell(finding: Finding) -> None:
    """Print a finding and write its file."""
    path = finding.write()
    print(
        f"\n{finding.table()}\n  {finding.machine.line}\n  → {path.relative_to(FOLDER.parent.parent)}",
        flush=True,
    )


def _digits(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
