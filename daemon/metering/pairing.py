"""Meter readings beside what the devices drew at that moment: the two are not read together."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daemon.metering.reading import Reading
from daemon.table.table import Floats

_TOGETHER_S = 1.0
"""A device that was sampled so little before the meter shows what it drew then."""
_PATIENCE_S = 2.0
"""Beyond the slowest poll, how long a reading waits for a device that does not answer."""
_NOT_MEASURED_S = np.inf


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was known of the devices when a reading came."""

    load_w: Floats
    """(loads,): NaN = not measured."""
    load_s: Floats
    """(loads,): when the requests of these went out, monotonic."""
    cooling_w: Floats
    """(cooling,): as last measured; NaN = never."""
    cooling_s: Floats
    known_w: float
    """Σ of all of it, with loads that are not measured as they count."""

    def since_s(self) -> float:
        """Every device that is measured was sampled at that time or later; inf = none is measured."""
        return min(_earliest_s(self.load_w, self.load_s), _earliest_s(self.cooling_w, self.cooling_s))


@dataclass(frozen=True, slots=True)
class Pair:
    """A meter's reading, and what the devices drew then."""

    reading: Reading
    known_w: float
    apart_w: float
    """By how much the loads changed together between their samples before and after the reading: nobody
    knows when."""
    dt_s: float
    """Since the reading before."""
    in_flight_s: float
    """Since the last order, when the reading came."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    reading: Reading
    drawn: Drawn
    dt_s: float
    in_flight_s: float
    until_s: float


class Pairing:
    """Holds readings back until the devices were sampled as well.

    Where everything is polled every second nothing waits. What the loads shed, or the cooling gave up,
    between their last sample and the meter's is not taken for a change of the uncontrolled load.

    Args:
        slowest_s: how often the slowest device is polled.
    """

    def __init__(self, slowest_s: float) -> None:
        self._wait_s = slowest_s + _PATIENCE_S
        self._waiting: deque[_Waiting] = deque()

    def take(self, reading: Reading, drawn: Drawn, dt_s: float, in_flight_s: float, now_s: float) -> None:
        """A new reading has come, and this is what is known of the devices."""
        self._waiting.append(_Waiting(reading, drawn, dt_s, in_flight_s, now_s + self._wait_s))

    def pairs(self, drawn: Drawn, now_s: float) -> Iterator[Pair]:
        """Readings that need not wait any longer, in their order; `drawn`: what is known now."""
        if not self._waiting:
            return
        since_s = drawn.since_s()
        while self._waiting:
            first = self._waiting[0]
            if first.reading.sampled_s - _TOGETHER_S > since_s and now_s < first.until_s:
                return
            yield _pair(self._waiting.popleft(), drawn)

    def forget(self) -> None:
        """What waits is of no use any more."""
        self._waiting.clear()


def _pair(waiting: _Waiting, now: Drawn) -> Pair:
    reading, then = waiting.reading, waiting.drawn
    if then is now:
        return Pair(reading, then.known_w, 0.0, waiting.dt_s, waiting.in_flight_s)
    at_s = reading.sampled_s
    loads = _Changes.of(then.load_w, then.load_s, now.load_w, now.load_s)
    cooling = _Changes.of(then.cooling_w, then.cooling_s, now.cooling_w, now.cooling_s)
    known_w = then.known_w + loads.gone_w(at_s) + cooling.gone_w(at_s)
    return Pair(reading, known_w, loads.straddling_w(at_s), waiting.dt_s, waiting.in_flight_s)


@dataclass(frozen=True, slots=True)
class _Changes:
    """Devices that drew something else at their next sample: most of them drew what they had drawn."""

    watts: Floats
    """By how much."""
    then_s: Floats
    """When the sample before was taken, monotonic."""
    now_s: Floats
    """When that after was."""

    @classmethod
    def of(cls, then_w: Floats, then_s: Floats, now_w: Floats, now_s: Floats) -> "_Changes":
        """From samples of all devices; NaN = not measured, of which nobody knows a change."""
        change_w = now_w - then_w
        those = change_w.nonzero()[0]
        those = those.take(np.isfinite(change_w.take(those)).nonzero()[0])
        return cls(change_w.take(those), then_s.take(those), now_s.take(those))

    def gone_w(self, at_s: float) -> float:
        """How far they had gone together by a time from the sample before towards the one after."""
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.minimum(np.maximum((at_s - self.then_s) / (self.now_s - self.then_s), 0.0), 1.0)
        return float(np.where(self.now_s > self.then_s, share * self.watts, 0.0).sum())

    def straddling_w(self, at_s: float) -> float:
        """By how much those together that were sampled before that time."""
        return abs(float(np.where(self.then_s < at_s, self.watts, 0.0).sum()))


def _earliest_s(watts: Floats, sampled_s: Floats) -> float:
    """When the first of what is measured was sampled; inf = nothing is."""
    # A minimum under a mask takes many times as long.
    return float(np.where(np.isfinite(watts), sampled_s, _NOT_MEASURED_S).min(initial=_NOT_MEASURED_S))
