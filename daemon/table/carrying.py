"""Columns that go on when a site's devices change: who is still there keeps what is known of it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

AnyArray = TypeVar("AnyArray", bound=npt.NDArray[np.generic])
Origin = npt.NDArray[np.int64]
"""For each new entry the old one that it goes on from; −1 = it begins."""
BEGINS = -1


def carried(before: AnyArray, origin: Origin, fresh: AnyArray) -> AnyArray:
    """`fresh`, with what was there before in the entries that go on.

    Of two dimensions the second may have another length: then the last is repeated, or the end is left out.
    """
    after = fresh.copy()
    goes_on = origin != BEGINS
    kept = before[origin[goes_on]]
    if before.ndim > 1 and before.shape[1] != fresh.shape[1]:
        kept = kept[:, np.minimum(np.arange(fresh.shape[1]), before.shape[1] - 1)]
    after[goes_on] = kept
    return after


def carry(before: object, after: object, columns: Iterable[str], origin: Origin) -> None:
    """Have columns of one object go on in another of its class."""
    for name in columns:
        setattr(after, name, carried(getattr(before, name), origin, getattr(after, name)))


def among(origin: Origin, those: Origin, before: Origin) -> Origin:
    """The origin of a part of all entries.

    Args:
        origin: of all.
        those: the new part, as entries of all.
        before: the old part, as entries of all then.
    """
    place = {int(entry): index for index, entry in enumerate(before)}
    return np.array([place.get(int(entry), BEGINS) for entry in origin[those]], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Heirs:
    """Who goes on from whom when the devices of a site change."""

    rows: Origin
    """Of the site table: devices that are asked the same, at the same place; what they said last holds."""
    devices: Origin
    """Of the site table: devices that are what they were, perhaps somewhere else."""
    loads: Origin
    """Of the loads that are controlled: as `devices`."""
    all_stay: bool
    """No load and no cooling has come or gone."""
