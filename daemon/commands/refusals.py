"""Telling of refused messages without letting a flood of them become one of events."""

from typing import Any

from daemon.commands.verdicts import Refused
from daemon.commands.words import Lane
from daemon.signing import jws_hash
from daemon.timestamps import format_utc

EVENTS_PER_S = 10


class RefusalNews:
    """Events for refusals: at most ten in a clock second, the next one says how many were left out."""

    def __init__(self) -> None:
        self._second = -1
        self._told = 0
        self._suppressed = 0

    def event(self, lane: Lane, payload: bytes, refused: Refused, now_s: float) -> dict[str, Any] | None:
        """The event that tells of this refusal, or `None` if there were too many."""
        if int(now_s) != self._second:
            self._second, self._told = int(now_s), 0
        if self._told >= EVENTS_PER_S:
            self._suppressed += 1
            return None
        self._told += 1
        event: dict[str, Any] = {
            "ts": format_utc(now_s),
            "type": "refused",
            "topic": lane.value,
            "reason": refused.reason.value,
            "kid": refused.kid,
            "sha256": jws_hash(payload),
        }
        if self._suppressed:
            event["suppressed"] = self._suppressed
            self._suppressed = 0
        return event
