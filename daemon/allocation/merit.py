"""The order of steps: by rank, then by value per watt, then by place."""

import numpy as np

from daemon.allocation.loads import Ints
from daemon.table.table import Floats

_WORD_BITS = 64
_LARGEST = np.int32(0x7FFF_FFFF)
_MERIT_BITS = 32
PLACE_BITS = 29
"""That a word has left for a place beside a key of a small rank."""
_MERIT = (1 << _MERIT_BITS) - 1


_WORTHLESS = 1e-300
"""Nothing beside any value, and yet more than none: by 0 W it is without end."""


def merits(value: Floats, watts: Floats) -> Floats:
    """Value per watt; of a step that takes no watts: without end. Neither is negative."""
    # Divided without looking where there is anything to divide by, which takes several times longer.
    with np.errstate(divide="ignore"):
        merit: Floats = (value + _WORTHLESS) / watts
    return merit


def keys(rank: Ints, merit: Floats) -> Ints:
    """Whole numbers that rise with rank, then with merit. Merits count to 7 digits."""
    bits = merit.astype(np.float32).view(np.int32)
    # The bits of a float rise with it; those of a negative one fall.
    sign = bits >> np.int32(31)
    bits ^= sign & _LARGEST
    bits -= sign
    key = bits.astype(np.int64)
    key += (rank << _MERIT_BITS) + _LARGEST
    return key


def in_order(rank: Ints, merit: Floats, most: int | None = None) -> Ints:
    """Positions by rank, then merit, then position; `most`: only so many of the first.

    One sort of whole words, many times quicker than of several keys.
    """
    count = len(rank)
    key, place = keys(rank, merit), count.bit_length()
    if not fit_into_words(int(rank.max(initial=0)), place):
        return np.lexsort((key & _MERIT, rank))[:most]
    word = key
    word <<= place
    word |= np.arange(count)
    if most is not None and most < count:
        word.partition(most)
        word = word[:most]
    word.sort()
    return word & ((1 << place) - 1)


def fit_into_words(rank: int, place_bits: int) -> bool:
    """Whether keys up to a rank leave so many bits of a word for places."""
    return rank.bit_length() + _MERIT_BITS + place_bits < _WORD_BITS
