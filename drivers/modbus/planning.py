"""Which registers to ask for together. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from drivers.profile import RegisterPoint

WORTH_BRIDGING = 31
"""Registers of a hole that cost less on TCP than another request."""


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


def plan_reads(
    points: Iterable[RegisterPoint],
    max_span: int,
    barriers: Sequence[int] = (),
    worth_bridging: int = WORTH_BRIDGING,
) -> tuple[Block, ...]:
    """Blocks that together hold every point whole; the same for any order of the points.

    Points may repeat, overlap and lie inside one another. A hole is bridged if it is no longer than
    `worth_bridging`.

    Args:
        points: what to read.
        max_span: most registers in a block.
        barriers: addresses that no block crosses: a block ends before or starts at each.
        worth_bridging: longest hole to read along.

    Raises:
        ValueError: a point is longer than `max_span` or crosses a barrier.
    """
    blocks: list[Block] = []
    wanted = {(point.function, point.address, point.address + point.type.words) for point in points}
    for function, start, end in sorted(wanted):
        if end - start > max_span or _crosses(start, end, barriers):
            raise ValueError(f"registers {start} to {end - 1} cannot be read in one request")
        if blocks and blocks[-1].function == function:
            last = blocks[-1]
            # A point may end inside the block so far: the block never shrinks.
            merged_end = max(last.address + last.length, end)
            if (
                start - (last.address + last.length) <= worth_bridging
                and merged_end - last.address <= max_span
                and not _crosses(last.address, merged_end, barriers)
            ):
                blocks[-1] = Block(function, last.address, merged_end - last.address)
                continue
        blocks.append(Block(function, start, end - start))
    return tuple(blocks)


def _crosses(start: int, end: int, barriers: Sequence[int]) -> bool:
    return any(start < barrier < end for barrier in barriers)
