"""Telling of refused messages without letting a flood of them become one of events or log lines."""

from collections import deque
from typing import Any

from daemon.commands.verdicts import Refused
from daemon.commands.words import Lane, Reason
from daemon.signing import jws_hash
from daemon.timestamps import format_utc

EVENTS_PER_S = 10
LINES_PER_MINUTE = 10

Source = tuple[Lane, str | None]
"""A topic, and the trusted key in whose name the message came; all other names are one source."""


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


class RefusalLog:
    """Log lines for refusals: at most ten of a source in any minute; the next says how many were left out."""

    def __init__(self) -> None:
        self._told_s: dict[Source, deque[float]] = {}
        """When the last lines were; monotonic."""
        self._left_out: dict[Source, int] = {}

    def line(self, lane: Lane, refused: Refused, monotonic_s: float) -> dict[str, Any] | None:
        """The members of the log line for this refusal, or `None` if there were too many."""
        source = lane, None if refused.reason is Reason.UNKNOWN_KEY else refused.kid
        told_s = self._told_s.setdefault(source, deque(maxlen=LINES_PER_MINUTE))
        if len(told_s) == LINES_PER_MINUTE and monotonic_s < told_s[0] + 60:
            self._left_out[source] = self._left_out.get(source, 0) + 1
            return None
        told_s.append(monotonic_s)
        line: dict[str, Any] = {"topic": lane.value, "reason": refused.reason.value, "kid": refused.kid}
        line |= (
            {"detail": refused.detail}
            if refused.jti is None
            else {"detail": refused.detail, "jti": refused.jti}
        )
        left_out = self._left_out.pop(source, 0)
        return line if not left_out else {**line, "suppressed": left_out}
