"""Rows of the site table that lie side by side. Pure."""

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def neighbours(rows: Rows) -> slice | Rows:
    """The same rows as an index; a slice where each follows the one before, for that copies nothing."""
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return slice(int(rows[0]), int(rows[0]) + len(rows))
    return rows
