"""What all links of a fleet share."""

import asyncio
import math
import random
from array import array
from collections.abc import Callable

import numpy as np

from drivers.ports import Absence, FleetSink

NEVER = math.inf
PROBE_S = 0.25
"""A unit behind a gateway that answered nothing lately gets so long, or twice its share of the line."""


class Shared:
    """Made once per fleet, without room for any link: see `make_room`.

    Args:
        sink: who learns of values and of the outcome of writes.
        rng: for the jitter of back-offs.
        timeout_s: deadline of a request.
        went_down: called with a link's index when its `retry_at` has been set.
    """

    __slots__ = (
        "_none_late_before",
        "_seen",
        "deadlines",
        "loop",
        "missed",
        "ok",
        "rng",
        "sink",
        "tally",
        "timeout_s",
        "went_down",
    )

    def __init__(
        self,
        *,
        sink: FleetSink,
        rng: random.Random,
        timeout_s: float,
        went_down: Callable[[int], None],
    ) -> None:
        self.sink, self.rng, self.timeout_s, self.went_down = sink, rng, timeout_s, went_down
        self.loop: asyncio.AbstractEventLoop | None = None
        """While the fleet runs."""
        self.ok = 0
        """Good sweeps."""
        self.missed = 0
        """Not begun, because the one before was not done."""
        self.tally: dict[str, int] = dict.fromkeys(Absence, 0)
        """Those that failed, by reason."""
        # An array of the standard library takes single items quickly; numpy looks at all of them at once.
        self.deadlines = array("d")
        """By link: when the first of its requests in flight is too late."""
        self._seen = np.empty(0)
        self._none_late_before = 0.0

    def make_room(self, links: int) -> None:
        """For so many more links. Whoever holds `deadlines` takes them anew."""
        self.deadlines = self.deadlines + array("d", [NEVER]) * links
        self._seen = np.frombuffer(self.deadlines)

    def now(self) -> float:
        """The loop's time; 0 before the fleet runs."""
        return 0.0 if self.loop is None else self.loop.time()

    def late(self, now: float) -> list[int]:
        """The links with a deadline that has passed."""
        if now < self._none_late_before:
            return []
        first, over = float(self._seen.min(initial=NEVER)), []
        if first <= now:
            those = self._seen <= now
            over = those.nonzero()[0].tolist()
            first = float(self._seen.min(initial=NEVER, where=~those))
        # What goes out from now on has the least patience at least: until then there is nothing to look for.
        self._none_late_before = min(first, now + min(self.timeout_s, PROBE_S))
        return over

    def first_deadline(self, before: float) -> float:
        """Of all links, if it is earlier than `before`; inf = nothing is in flight, or nothing so urgent."""
        if before <= self._none_late_before:
            return NEVER
        return float(self._seen.min(initial=NEVER))
