"""How long to leave alone what does not answer. Pure."""

import random

FIRST_S = 0.5
MOST_S = 30.0
SHARED_MOST_S = 5.0
"""The same where many units hang on one connection: its return brings all of them back, perhaps unlimited."""
_DOUBLINGS = 10
"""Enough to pass `MOST_S` from `FIRST_S`; bounds the exponent."""

FAILURES_TO_OPEN = 3
PROBE_AFTER_S = (5.0, 10.0, 30.0, 60.0)


class Backoff:
    """Doubling pauses from 0.5 s on, each shortened by up to a half so that many do not return together."""

    __slots__ = ("_attempts", "_rng")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._attempts = 0

    def next_s(self, most_s: float = MOST_S) -> float:
        """The pause before the next attempt."""
        pause = min(most_s, FIRST_S * 2.0**self._attempts)
        self._attempts = min(self._attempts + 1, _DOUBLINGS)
        return max(FIRST_S, pause * self._rng.uniform(0.5, 1.0))

    def reset(self) -> None:
        """It answered."""
        self._attempts = 0


class Breaker:
    """Keeps a unit that failed three times in a row from using up its neighbours' time on a gateway.

    Open, it lets one probe through after 5, 10, 30, then every 60 s.
    """

    __slots__ = ("_failures", "_probe_at")

    def __init__(self) -> None:
        self._failures = 0
        self._probe_at = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether its last request failed."""
        return self._failures > 0

    @property
    def is_open(self) -> bool:
        """Whether only probes get through."""
        return self._failures >= FAILURES_TO_OPEN

    def allows(self, now: float) -> bool:
        """Whether a request may go out now."""
        return not self.is_open or now >= self._probe_at

    def probe_now(self) -> None:
        """Let the next probe through at once: it may have been its connection that failed."""
        self._probe_at = 0.0

    def failed(self, now: float) -> None:
        """A request, probe or not, was not answered well."""
        self._failures += 1
        if self.is_open:
            step = min(self._failures - FAILURES_TO_OPEN, len(PROBE_AFTER_S) - 1)
            self._probe_at = now + PROBE_AFTER_S[step]

    def succeeded(self) -> None:
        """A request was answered well."""
        self._failures = 0
