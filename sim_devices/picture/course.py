"""What a picture shows: limit, power and state over time."""

import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_CYCLES = "SELECT at_s, limit_w, power_w, expected_w, state FROM cycles WHERE at_s >= ? ORDER BY at_s"


@dataclass(frozen=True, slots=True)
class StateSpan:
    """How long the site was in a state; seconds from the beginning of the course."""

    state: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Course:
    """One run. All columns have the length of `at_s`; NaN = no value, which is not 0."""

    title: str
    at_s: Sequence[float]
    """Seconds from the beginning, rising."""
    limit_w: Sequence[float]
    """In force."""
    metered_w: Sequence[float]
    expected_w: Sequence[float]
    """Once all orders have taken effect."""
    states: Sequence[StateSpan]
    true_w: Sequence[tuple[float, float]] = ()
    """(seconds, W): what was really drawn, where somebody other than the daemon knows."""
    marks: Sequence[tuple[float, str]] = ()
    """(seconds, words): what happened from outside."""


def course_of_cycles(
    samples: Path,
    title: str,
    begin_s: float,
    *,
    true_w: Sequence[tuple[float, float]] = (),
    marks: Sequence[tuple[float, str]] = (),
) -> Course:
    """The course of a site from the daemon's own samples.

    Args:
        samples: the daemon's `samples.db`.
        title: what stands above the picture.
        begin_s: Unix seconds from which on it counts; those of `true_w` and `marks` too.
        true_w: as in `Course`.
        marks: as in `Course`.

    Raises:
        sqlite3.Error: the file is not there or is no such database.
    """
    with closing(sqlite3.connect(f"file:{samples}?mode=ro", uri=True)) as database:
        rows = database.execute(_CYCLES, (math.floor(begin_s),)).fetchall()
    return Course(
        title=title,
        at_s=[at_s - begin_s for at_s, *_ in rows],
        limit_w=[float(limit_w) for _, limit_w, *_ in rows],
        metered_w=[math.nan if power_w is None else power_w for _, _, power_w, *_ in rows],
        expected_w=[math.nan if expected_w is None else expected_w for *_, expected_w, _ in rows],
        states=state_spans([(at_s - begin_s, state) for at_s, *_, state in rows]),
        true_w=[(at_s - begin_s, watts) for at_s, watts in true_w if at_s >= begin_s],
        marks=[(at_s - begin_s, words) for at_s, words in marks if at_s >= begin_s],
    )


def state_spans(seen: Sequence[tuple[float, str]]) -> list[StateSpan]:
    """Spans of equal state, each up to the beginning of the next."""
    groups = [list(group) for _, group in groupby(seen, key=lambda at: at[1])]
    starts = [group[0][0] for group in groups]
    ends = [*starts[1:], seen[-1][0] if seen else 0.0]
    return [
        StateSpan(group[0][1], start_s, end_s)
        for group, start_s, end_s in zip(groups, starts, ends, strict=True)
    ]
