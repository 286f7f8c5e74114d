"""The site in a line, for `systemctl status`."""

import math

from daemon.cycle.result import CycleResult
from daemon.ledger.ledger import Ledger


class StatusLine:
    """State, limit and power; for a site that settles also its backlog and the age of the last receipt."""

    def __init__(self, ledger: Ledger, *, settles: bool) -> None:
        self._ledger = ledger
        self._settles = settles
        self._receipted: tuple[tuple[int, int], float] | None = None
        """The newest receipted record seen, and since when; monotonic."""

    def of(self, result: CycleResult) -> str:
        """As a cycle has seen it."""
        verdict, power_w = result.verdict, result.power.watts
        drawn = "power unknown" if power_w is None else f"draws {power_w / 1e6:.3f} MW"
        limit = f"limit {verdict.limit_w / 1e6:.3f} MW ({verdict.source.value})"
        line = f"{verdict.authority.state.value}: {limit}, {drawn}"
        return f"{line}, {self._settlement(result.moment.monotonic_s)}" if self._settles else line

    def _settlement(self, now_s: float) -> str:
        position = self._ledger.position
        head = (position.epoch, position.acked_seq)
        if self._receipted is None or self._receipted[0] != head:
            # What was receipted before the start is of an age that is not known.
            self._receipted = (head, now_s if self._receipted is not None else -math.inf)
        age_s = now_s - self._receipted[1]
        age = f"{age_s:.0f} s ago" if math.isfinite(age_s) else "none since the start"
        return f"{position.backlog} records to deliver, last receipt {age}"
