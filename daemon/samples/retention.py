"""How long samples are kept, and when they give way to the ledger. Pure."""

from dataclasses import dataclass

from daemon.samples.rollup import Width

CYCLES_S = 3_600
"""The site's own series second by second: what an operator looks at after an event, and no more."""
KEEP_S = {Width.MINUTE: 7 * 86_400, Width.QUARTER: 400 * 86_400}
"""A week of minutes, for what went wrong lately; the quarters as long as the ledger keeps its intervals.

A row takes some 45 bytes: of 30,000 devices the week takes 14 GB and the 400 days 52 GB, of 300 a hundredth.
"""
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Space:
    """A file system; bytes."""

    free: int
    total: int

    @property
    def _reserved(self) -> int:
        # A ledger of 21 points at 5 min grows by 7 MB a day: 1 GiB is five months. A small disk is not
        # reserved for it whole.
        return min(_GIB, self.total // 20)

    @property
    def short(self) -> bool:
        """The oldest samples give way."""
        return self.free < 2 * self._reserved

    @property
    def reserved(self) -> bool:
        """What is left is for the ledger: no samples are written."""
        return self.free < self._reserved
