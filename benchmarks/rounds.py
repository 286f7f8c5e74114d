"""Arithmetic of interleaved rounds. Pure.

A shared machine is faster in one minute than in the next. So all clients run in every round, what is compared
is compared within a round, and the middle of the rounds is what counts.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")
Name = TypeVar("Name")


def interleaved(names: Sequence[Name], rounds: int, run: Callable[[Name, int], T]) -> list[dict[Name, T]]:
    """Run every one of `names` in every round; each round begins with another of them."""
    taken = []
    for number in range(rounds):
        turn = number % len(names)
        taken.append({name: run(name, number) for name in (*names[turn:], *names[:turn])})
    return taken


def median_of(rounds: Iterable[T], value: Callable[[T], float]) -> float:
    """The middle of a figure over the rounds."""
    return median(value(one) for one in rounds)


def median_ratio(rounds: Iterable[T], above: Callable[[T], float], below: Callable[[T], float]) -> float:
    """The middle of the ratios within the rounds, which is not the ratio of the middles."""
    return median(above(one) / below(one) for one in rounds)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` % of the values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values, or `percent` is not in 0–100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"no {percent} % of {len(values)} values")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]
