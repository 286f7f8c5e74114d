"""Power against the limit, in letters."""

from collections.abc import Sequence
from dataclasses import dataclass

BLOCKS = " ▁▂▃▄▅▆▇█"
LIMIT = "─"


@dataclass(frozen=True, slots=True)
class Column:
    """What one column shows."""

    power_w: float
    limit_w: float


def draw(columns: Sequence[Column], *, width: int, height: int, top_w: float) -> list[str]:
    """Lines from the top down: bars of power, and a line where the limit runs above them.

    Args:
        columns: the last `width` of them are shown.
        width: in letters.
        height: in letters.
        top_w: power at the upper edge.
    """
    shown = columns[-width:]
    lines = []
    for row in reversed(range(height)):
        letters = [_letter(column, row, height, top_w) for column in shown]
        lines.append("".join(letters).ljust(width))
    return lines


def _letter(column: Column, row: int, height: int, top_w: float) -> str:
    eighths = round(8 * (column.power_w / top_w * height - row))
    if eighths > 0:
        return BLOCKS[min(8, eighths)]
    limit_row = min(height - 1, int(column.limit_w / top_w * height))
    return LIMIT if row == limit_row else " "
