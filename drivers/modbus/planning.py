"""Which registers to ask for together. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from drivers.profile import ReadRules, RegisterPoint

REGISTERS = 0x10000
"""Addresses there are."""


class Block(NamedTuple):
    """Registers read by one request."""

    function: int
    address: int
    length: int

    def holds(self, point: RegisterPoint) -> bool:
        """Whether one answer carries the whole point."""
        return (
            self.function == point.function
            and self.address <= point.address
            and point.address + point.type.words <= self.address + self.length
        )


def plan_reads(points: Iterable[RegisterPoint], rules: ReadRules) -> tuple[Block, ...]:
    """Blocks that together hold every point whole; the same for any order of the points.

    Points may repeat, overlap and lie inside one another. A block starts and ends where the device
    wants it to, so it may hold a few registers more than its points.

    Args:
        points: what to read.
        rules: what the device lets itself be asked for.

    Raises:
        ValueError: no request that the rules allow holds a point whole.
    """
    spans: list[tuple[int, int, int]] = []
    for function, start, end in sorted({(p.function, p.address, p.address + p.type.words) for p in points}):
        if fitted(start, end, rules) is None:
            raise ValueError(f"registers {start} to {end - 1} cannot be read in one request")
        if spans and not rules.one_request_per_point and spans[-1][0] == function:
            _, first, last = spans[-1]
            # A point may end inside the block so far: the block never shrinks.
            merged = max(last, end)
            if start - last <= rules.max_gap and fitted(first, merged, rules) is not None:
                spans[-1] = (function, first, merged)
                continue
        spans.append((function, start, end))
    return tuple(Block(function, *_fitted(start, end, rules)) for function, start, end in spans)


def fitted(start: int, end: int, rules: ReadRules) -> tuple[int, int] | None:
    """Address and length of the request for the registers from `start` to before `end`; `None` = none may."""
    address = start - start % rules.start_multiple
    length = -(-(end - address) // rules.length_multiple) * rules.length_multiple
    stop = address + length
    if length > rules.max_span or stop > REGISTERS:
        return None
    if any(address < barrier < stop for barrier in rules.barriers):
        return None
    if rules.readable and not any(first <= address and stop <= last + 1 for first, last in rules.readable):
        return None
    return address, length


def _fitted(start: int, end: int, rules: ReadRules) -> tuple[int, int]:
    place = fitted(start, end, rules)
    assert place is not None  # what was merged was fitted
    return place
