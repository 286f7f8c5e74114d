"""Loads that fall silent while the meter falls: they restart, and may come back as nobody ordered them.

A gateway that reboots takes its loads down and forgets their set-points; seconds later they draw all that
they can. A load that is merely silent is given time to be heard again; one that is dark as well is not.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

from daemon.allocation.loads import Bools
from daemon.table.table import Floats

_TOGETHER_S = 8.0
"""Loads of one restart fall silent within so long of the meter's fall: each when it is next polled."""
_FEWEST = 3
"""That have to be silent at once: of fewer the meter cannot tell."""
_SHARE = 0.5
"""Of what the silent ones counted at, the meter fell by this at least."""
_LEAST = 0.01
"""Of the limit: a smaller fall is nobody's in particular."""


class Darkness:
    """Which loads are dark. To be asked in every cycle."""

    def __init__(self) -> None:
        self._dark: Bools | None = None
        """(loads,): `None` = nobody is."""
        self._readings: deque[tuple[float, float]] = deque()
        """Of the meter: when, and W."""
        self._until_s = -np.inf
        """Who falls silent until then is of the same restart."""

    def looked(
        self,
        metered_w: float | None,
        limit_w: float,
        silent: Callable[[], Bools],
        counted_w: Floats,
        now_s: float,
    ) -> Bools | None:
        """After a look at the site.

        Args:
            metered_w: its power as its meter shows it; `None` = no meter is trusted.
            limit_w: in force.
            silent: gives (loads,) who did not answer when asked last, but is not missed yet.
            counted_w: (loads,): what they count at.
            now_s: monotonic.

        Returns:
            (loads,): who is dark, until it is heard again; `None` = nobody is.
        """
        fell_w = self._fell_w(metered_w, now_s)
        falls = fell_w > 0 and fell_w >= _LEAST * limit_w
        if not (falls or self._dark is not None or now_s < self._until_s):
            return None
        are_silent = silent()
        if falls and np.count_nonzero(are_silent) >= _FEWEST:
            counted_at_w = float(counted_w.take(np.flatnonzero(are_silent)).sum())
            if fell_w >= _SHARE * counted_at_w:
                self._until_s = now_s + _TOGETHER_S
        if now_s < self._until_s:
            dark = are_silent
        else:
            dark = np.zeros_like(are_silent) if self._dark is None else self._dark & are_silent
        self._dark = dark if np.count_nonzero(dark) else None
        return self._dark

    def _fell_w(self, metered_w: float | None, now_s: float) -> float:
        """By how much the meter's figure fell of late."""
        readings = self._readings
        while readings and readings[0][0] < now_s - _TOGETHER_S:
            readings.popleft()
        if metered_w is None:
            return 0.0
        readings.append((now_s, metered_w))
        return max(watts for _, watts in readings) - metered_w
