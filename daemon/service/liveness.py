"""How the control loop is, told to the service manager."""

from daemon.service.notify import Notifier

LATE_S = 5.0
"""Cycles come once a second; one that comes so much after the one before did not complete on time."""
STATUS_EVERY_S = 5.0
LONGEST_NOTE = 200
NEWS_S = 60.0
"""For so long the status says that a reload was taken."""


class Liveness:
    """READY once, STATUS now and then, WATCHDOG while control cycles come on time.

    Nothing but the cycles feeds the watchdog: a restart mends no disk, broker or exchange.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._ready = False
        self._note, self._note_until_s = "", float("inf")
        self._line = ""
        self._last_s: float | None = None
        self._late = False
        self._fed_s = -float("inf")
        self._told_s = -float("inf")

    def cycled(self, now_s: float, line: str, *, dispatched: bool) -> None:
        """A control cycle has ended.

        Args:
            now_s: when it began, monotonic.
            line: the state in a line.
            dispatched: whether the limit in force has been turned into orders.
        """
        self._late |= self._last_s is not None and now_s - self._last_s > LATE_S
        self._last_s, self._line = now_s, line
        if now_s >= self._note_until_s:
            self._note = ""
        if not self._ready:
            if not dispatched:
                return
            self._ready = True
            self._notifier.ready(self._status)
            self._told_s = now_s
        elif now_s - self._told_s >= STATUS_EVERY_S:
            self._notifier.status(self._status)
            self._told_s = now_s
        self._feed(now_s)

    def _feed(self, now_s: float) -> None:
        interval_s = self._notifier.watchdog_interval_s
        if interval_s is None or now_s - self._fed_s < interval_s / 2:
            return
        self._fed_s = now_s
        # One late cycle costs one feeding; a loop that is always late is ended.
        if not self._late:
            self._notifier.watchdog()
        self._late = False

    def reloading(self, now_s: float) -> None:
        """The configuration is being read anew; `reloaded` or `refused` ends it."""
        self._notifier.reloading(now_s)

    def reloaded(self, now_s: float, news: str) -> None:
        """It has been taken; the status says so, with the news, for `NEWS_S`."""
        self._end_reload(f"reloaded, {news}", now_s + NEWS_S)

    def refused(self, problems: list[str]) -> None:
        """It has been refused for these problems; the status says so until the next try."""
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        self._end_reload(f"reload refused{more}: {problems[0]}", float("inf"))

    def _end_reload(self, note: str, until_s: float) -> None:
        self._note, self._note_until_s = note[:LONGEST_NOTE], until_s
        self._notifier.ready(self._status)

    @property
    def _status(self) -> str:
        return f"{self._note} | {self._line}" if self._note else self._line
