"""Whatever a series does, its rows are what adding it up cycle by cycle gives."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daemon.samples.rollup import MOST_HELD_S, QUANTITIES, Bucket, RollUp, Width
from drivers.quantity import Quantity

SERIES = 3
VALUE = st.one_of(st.none(), st.sampled_from([0.0, 1.0]), st.floats(-1e8, 1e8))
CYCLE = st.tuples(
    st.integers(0, 320).map(lambda eighths: eighths / 8),  # to the next cycle
    st.sampled_from([0.0] * 9 + [-70.0, 3600.0]),  # a step of the clock
    st.lists(VALUE, min_size=SERIES * len(QUANTITIES), max_size=SERIES * len(QUANTITIES)),
)
POWER, REGISTER = QUANTITIES.index(Quantity.POWER), QUANTITIES.index(Quantity.ENERGY_IMPORT)
Row = dict[str, Any]
Known = list[tuple[float, float]]
"""(value, for how long)"""


def by_hand(cycles: list[tuple[float, float, list[float | None]]], width: Width) -> list[Row]:
    """Runs of cycles with the same start of the row, each added up by itself."""
    runs: list[tuple[int, list[tuple[float, list[float | None]]]]] = []
    wall_s = 1e9
    for number, (step_s, jump_s, values) in enumerate(cycles):
        wall_s += step_s + jump_s
        held_s = 0.0 if number == 0 else min(step_s, MOST_HELD_S)
        if held_s <= 0:
            continue
        start_s = math.floor(wall_s / width) * width
        if not runs or runs[-1][0] != start_s:
            runs.append((start_s, []))
        runs[-1][1].append((held_s, values))
    return [
        {"start_s": start_s, "series": number, **row}
        for start_s, run in runs
        for number in range(SERIES)
        if (row := _row(run, number))
    ]


def _row(run: list[tuple[float, list[float | None]]], number: int) -> Row:
    known: dict[int, Known] = defaultdict(list)
    covered_s = 0.0
    for held_s, values in run:
        own = [values[quantity * SERIES + number] for quantity in range(len(QUANTITIES))]
        for quantity, value in enumerate(own):
            if value is not None:
                known[quantity].append((value, held_s))
        covered_s += held_s if any(value is not None for value in own) else 0.0
    if not covered_s:
        return {}
    powers = [value for value, _ in known[POWER]]
    return {
        "means": [_mean(known[quantity]) for quantity in range(REGISTER)],
        "extremes": [min(powers), max(powers)] if powers else [math.nan, math.nan],
        "energy_wh": known[REGISTER][-1][0] if known[REGISTER] else math.nan,
        "coverage_s": covered_s,
    }


def _mean(known: Known) -> float:
    return math.fsum(v * s for v, s in known) / math.fsum(s for _, s in known) if known else math.nan


def rows_of(buckets: list[Bucket], width: Width, piece: int) -> list[Row]:
    rows = []
    for bucket in (bucket for bucket in buckets if bucket.width is width):
        for first in range(0, SERIES, piece):
            part = bucket.rolled(first, first + piece)
            rows += [
                {
                    "start_s": part.start_s,
                    "series": int(part.series[i]),
                    "means": [part.power_w[i], part.hash_ths[i], part.gpus[i]],
                    "extremes": [part.power_low_w[i], part.power_high_w[i]],
                    "energy_wh": part.energy_wh[i],
                    "coverage_s": part.coverage_s[i],
                }
                for i in range(len(part.series))
            ]
    return rows


@given(st.lists(CYCLE, min_size=1, max_size=60), st.sampled_from(Width), st.integers(1, SERIES))
def test_rolled_up_is_added_up(
    cycles: list[tuple[float, float, list[float | None]]], width: Width, piece: int
) -> None:
    rollup, buckets = RollUp(SERIES), []
    wall_s, monotonic_s = 1e9, 50.0
    for step_s, jump_s, values in cycles:
        wall_s += step_s + jump_s
        monotonic_s += step_s
        columns = np.array(values, dtype=np.float64).reshape(len(QUANTITIES), SERIES)
        buckets += rollup.take(wall_s, monotonic_s, columns, np.full(SERIES, monotonic_s))
    buckets += rollup.flush()

    found, expected = rows_of(buckets, width, piece), by_hand(cycles, width)
    assert [(row["start_s"], row["series"]) for row in found] == [
        (row["start_s"], row["series"]) for row in expected
    ]
    for row, right in zip(found, expected, strict=True):
        for name in ("means", "extremes", "energy_wh", "coverage_s"):
            np.testing.assert_allclose(row[name], right[name], rtol=1e-6, atol=1e-3, equal_nan=True)
