"""What many seeds found: the middle and the worst of every figure."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from benchmarks.figures import Figure, Finding, Goal, Relation

T = TypeVar("T")

PROCESSES = 2
_measure: Callable[[int], Any] | None = None
"""What the processes do, which inherit it: it may be a closure."""


def with_each(seeds: Sequence[int], one: Callable[[int], T]) -> Iterator[T]:
    """What something finds with every seed, in their order; two seeds at a time, each in a process."""
    global _measure  # noqa: PLW0603 - how a forked process is told what cannot be pickled
    if len(seeds) < PROCESSES:
        yield from map(one, seeds)
        return
    _measure = one
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        yield from pool.imap(_measured, seeds)


def _measured(seed: int) -> Any:
    assert _measure is not None
    return _measure(seed)


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of every seed."""

    key: str
    what: str
    unit: str
    goal: Goal | None = None
    """For the worst of all seeds."""
    scale: float = 1.0

    def figures(self, found: Sequence[Mapping[str, float]]) -> list[Figure]:
        """The middle and the worst; the worst is the smallest where the goal is to be large."""
        values = [one[self.key] * self.scale for one in found]
        most_is_best = self.goal is not None and self.goal.relation is Relation.AT_LEAST
        worst = min(values) if most_is_best else max(values)
        return [
            Figure(f"{self.what}: median", median(values), self.unit),
            Figure(f"{self.what}: worst of {len(values)}", worst, self.unit, self.goal),
        ]


def over_seeds(
    name: str,
    title: str,
    seeds: Sequence[int],
    rows: Sequence[Row],
    one: Callable[[int], Mapping[str, Any]],
    remarks: Sequence[str] = (),
) -> Finding:
    """Measure with every seed."""
    found = []
    for seed, taken in zip(seeds, with_each(seeds, one), strict=True):
        found.append({"seed": seed, **taken})
        told = ", ".join(f"{key} {_short(value)}" for key, value in taken.items())
        print(f"  {name}, seed {seed}: {told}", flush=True)
    figures = [figure for row in rows for figure in row.figures(found)]
    return Finding(name, title, figures, found, remarks)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def merged(findings: Sequence[Finding]) -> Finding:
    """Findings of equal figures, one for each seed, as one."""
    first = findings[0]
    figures = []
    for index, figure in enumerate(first.figures):
        row = Row("", figure.what, figure.unit, figure.goal)
        figures += row.figures([{"": one.figures[index].value} for one in findings])
    rounds = [taken for one in findings for taken in one.rounds]
    return Finding(first.name, first.title, figures, rounds, first.remarks)
