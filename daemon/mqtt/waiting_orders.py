"""Orders that wait for the desk: what keeps a site alive goes first, and no flood costs more than its share.

A forgery costs some 100 µs, two thirds of it the check of its signature, so each topic has a budget of them,
and on top of it what time the rest of the site leaves over. Within a topic the messages of each claimed key
take turns: whoever forges in one name does not shut out another, and what no key of the site could have
signed comes last. Beyond the budget a message waits; beyond the room the oldest goes.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from daemon.commands.words import KIB, Lane
from daemon.signing import MalformedError, b64url_decode

MAX_WAITING = 256
"""Messages of one name in one lane."""
MAX_WAITING_BYTES = 1024 * KIB
"""Of the same."""
MAX_NAMES = 64
"""Claimed keys that are told apart in a lane."""

CHECKS_PER_S = {Lane.QUOTA: 5000.0, Lane.LEASE: 1000.0}
"""Signature checks that a topic may ask for."""
COMMAND_CHECKS_PER_S = 250.0
_BURST_S = 0.25
_BYTES_PER_CHECK = 16 * KIB
"""A longer message counts as several: hashing it is not free either."""

_HOLD = re.compile(rb'"op"\s*:\s*"hold"')


class Urgency(IntEnum):
    """Who goes first; all but plain commands have their turns whatever else comes."""

    QUOTA = 0
    LEASE = 1
    HOLD = 2
    """Or says so: nothing of this is believed, it only decides about the turn."""
    COMMAND = 3


Turn = tuple[Urgency, Lane]
"""Whose messages take turns with the others'."""
_TURNS: tuple[Turn, ...] = tuple((urgency, lane) for urgency in Urgency for lane in Lane)
IN_A_ROW = 8
"""Of the more urgent before a less urgent one has its turn: a lease comes after the quota that it is for."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as it came."""

    lane: Lane
    payload: bytes
    retained: bool
    wall_s: float


def urgency_of(lane: Lane, payload: bytes) -> Urgency:
    """How urgent a message is, by its topic and, unverified, its operation."""
    match lane:
        case Lane.QUOTA:
            return Urgency.QUOTA
        case Lane.LEASE:
            return Urgency.LEASE
        case Lane.DISPATCHER | Lane.OPERATOR | Lane.ENGINEER:
            parts = payload.split(b".", 2)
            try:
                claims = b64url_decode(parts[1]) if len(parts) == 3 else b""
            except MalformedError:
                claims = b""
            return Urgency.HOLD if _HOLD.search(claims) else Urgency.COMMAND


@dataclass(slots=True)
class _Budget:
    """A bucket of checks that fills with time."""

    per_s: float
    level: float
    filled_s: float

    def look(self, now_s: float) -> float:
        """Seconds until there is a check to be had; 0 = now."""
        most = self.per_s * _BURST_S
        self.level = min(self.level + (now_s - self.filled_s) * self.per_s, most)
        self.filled_s = now_s
        return 0.0 if self.level > 0 else -self.level / self.per_s + 1e-6

    def spend(self, size: int) -> None:
        self.level -= 1 + size // _BYTES_PER_CHECK


@dataclass(slots=True)
class _Line:
    """Messages of one claimed key; the same bytes wait once."""

    waiting: "OrderedDict[tuple[bytes, bool], Arrived]" = field(default_factory=OrderedDict)
    size: int = 0

    def add(self, message: Arrived) -> int:
        """Queue; how many were dropped for it."""
        key = (message.payload, message.retained)
        if key in self.waiting:
            return 0
        self.waiting[key] = message
        self.size += len(message.payload)
        dropped = 0
        while len(self.waiting) > MAX_WAITING or (self.size > MAX_WAITING_BYTES and len(self.waiting) > 1):
            self.take()
            dropped += 1
        return dropped

    def take(self) -> Arrived:
        _, message = self.waiting.popitem(last=False)
        self.size -= len(message.payload)
        return message


@dataclass(slots=True)
class _Queue:
    """Messages of one lane and urgency: known names by turns, then everything else."""

    lines: dict[str, _Line] = field(default_factory=dict)
    turns: deque[str] = field(default_factory=deque)
    unknown: _Line = field(default_factory=_Line)

    def add(self, name: str | None, message: Arrived) -> int:
        if name is None or (name not in self.lines and len(self.lines) >= MAX_NAMES):
            return self.unknown.add(message)
        line = self.lines.setdefault(name, _Line())
        if not line.waiting:
            self.turns.append(name)
        return line.add(message)

    def take(self) -> Arrived | None:
        if self.turns:
            name = self.turns.popleft()
            line = self.lines[name]
            message = line.take()
            if line.waiting:
                self.turns.append(name)
            else:
                del self.lines[name]
            return message
        return self.unknown.take() if self.unknown.waiting else None

    @property
    def empty(self) -> bool:
        return not self.turns and not self.unknown.waiting


class WaitingOrders:
    """What waits, bounded.

    `signer` = who a message of a lane claims to be signed by, if that is a key of the site's.
    """

    def __init__(self, signer: Callable[[Lane, bytes], str | None], now_s: float) -> None:
        self._signer = signer
        self._queues = {lane: {urgency: _Queue() for urgency in Urgency} for lane in Lane}
        self._budgets = {
            lane: _Budget(rate, rate * _BURST_S, now_s)
            for lane in Lane
            for rate in (CHECKS_PER_S.get(lane, COMMAND_CHECKS_PER_S),)
        }
        self._busy: list[Turn] = []
        """Those with something that waits, the most urgent first."""
        self._left = dict.fromkeys(_TURNS, IN_A_ROW)
        """What each may still take in this round."""
        self.dropped = dict.fromkeys(Lane, 0)
        """By lane: messages for which there was no room."""

    def add(self, message: Arrived) -> bool:
        """Queue; whether nothing was dropped for it."""
        lane = message.lane
        if len(message.payload) > lane.max_bytes:
            # Only its length is looked at: no more of it is kept than shows that.
            message = Arrived(lane, message.payload[: lane.max_bytes + 1], message.retained, message.wall_s)
            urgency, name = Urgency.COMMAND, None
        else:
            urgency, name = urgency_of(lane, message.payload), self._signer(lane, message.payload)
        queue = self._queues[lane][urgency]
        if queue.empty:
            self._busy = [turn for turn in _TURNS if turn in {*self._busy, (urgency, lane)}]
        dropped = queue.add(name, message)
        self.dropped[lane] += dropped
        return not dropped

    def next(self, now_s: float, *, spare: bool = False) -> Arrived | float | None:
        """The next one; or the seconds until one may be taken; `None` = nothing waits.

        Args:
            now_s: of a clock that only goes on.
            spare: there is time left over: one may be taken beyond its topic's budget.
        """
        waiting = self._busy
        if not waiting:
            self._left = dict.fromkeys(_TURNS, IN_A_ROW)
            return None
        # The sort is stable: within those that have something left, and within the others, the urgent first.
        if len(waiting) > 1:
            waiting = sorted(waiting, key=lambda turn: (turn[0] is Urgency.COMMAND, not self._left[turn]))
        waits_s = {turn: self._budgets[turn[1]].look(now_s) for turn in waiting}
        within = next((turn for turn in waiting if waits_s[turn] <= 0), None)
        if within is not None:
            message = self._taken(within)
            self._budgets[message.lane].spend(len(message.payload))
            return message
        return self._taken(waiting[0]) if spare else min(waits_s.values())

    def _taken(self, turn: Turn) -> Arrived:
        urgency, lane = turn
        if not self._left[turn]:
            self._left = dict.fromkeys(_TURNS, IN_A_ROW)
        self._left[turn] -= 1
        queue = self._queues[lane][urgency]
        message = queue.take()
        assert message is not None
        if queue.empty:
            self._busy = [other for other in self._busy if other != turn]
        return message
