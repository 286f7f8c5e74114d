"""Compliance by clock minutes: mean power against the mean of max(limit, floor)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from daemon.ledger.grid import minute_end


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one clock minute adds to `over_s` and `over_wh`."""

    over_s: float = 0.0
    over_wh: float = 0.0


@dataclass(slots=True)
class MinuteJudge:
    """Collects the minute in progress and judges it when it ends.

    Judged is the part of the minute that was seen outside settling windows: its mean power against the
    mean of what was allowed. The whole judged part counts as over, or none of it. The verdict belongs to
    the interval in which the minute ends, so with intervals shorter than a minute every sixth 10 s
    interval, say, may carry up to 60 s over; with a start within the minute, the part since then is judged.
    """

    _end: int | None = field(default=None, init=False)
    _judged_s: float = field(default=0.0, init=False)
    _drawn_ws: float = field(default=0.0, init=False)
    _allowed_ws: float = field(default=0.0, init=False)

    def dump(self) -> list[float] | None:
        """The minute in progress, for `load`; `None` = there is none."""
        if self._end is None:
            return None
        return [self._end, self._judged_s, self._drawn_ws, self._allowed_ws]

    def load(self, dumped: Sequence[float] | None) -> None:
        """Go on with the minute that was dumped."""
        if dumped is not None:
            end, self._judged_s, self._drawn_ws, self._allowed_ws = dumped
            self._end = int(end)

    def add(self, start_s: float, dur_s: float, power_w: float, allowed_w: float) -> None:
        """Count `dur_s` seconds from `start_s`, all within one clock minute, outside settling windows."""
        self._end = minute_end(start_s)
        self._judged_s += dur_s
        self._drawn_ws += power_w * dur_s
        self._allowed_ws += allowed_w * dur_s

    def close_until(self, wall_s: float) -> Verdict:
        """Judge the minute in progress if it ends at or before `wall_s`."""
        if self._end is None or self._end > wall_s:
            return Verdict()
        excess_ws = self._drawn_ws - self._allowed_ws
        verdict = Verdict(self._judged_s, excess_ws / 3600.0) if excess_ws > 0 else Verdict()
        self._end = None
        self._judged_s = self._drawn_ws = self._allowed_ws = 0.0
        return verdict
