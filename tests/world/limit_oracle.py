"""Which limit may be in force, worked out beside the daemon from what reached it. No code of the daemon's.

It knows the words of the contract alone: the quota, its revisions and its schedule, the leases and what
silence means.
"""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

LEASE_TIMEOUT_S = 120.0
RAMP_S = 300.0
OFFSET_S = 60.0
"""The fixed delay before the fall is 0–60 s."""
SLACK_S = 2.5
"""What a message, a cycle and whole seconds of `iat` may take together."""


class Bounds(NamedTuple):
    """The limit in force is to be within these, in W."""

    low_w: float
    high_w: float


@dataclass
class LimitOracle:
    """Tell it what arrives; ask it what may be."""

    contract_w: float
    failsafe_w: float
    rev: int = 0
    fell_unannounced_s: float = -1e18
    """When an order last lowered the limit of the very moment at which it arrived."""
    _entries: list[tuple[float, float, float | None]] = field(default_factory=list)
    _fresh_until_s: float = -1e18
    _from_w: float = 0.0
    """The limit when authority was last fresh."""
    _asked_s: float = -1e18
    _wide_until_s: float = -1e18

    def started(self, wall_s: float, *, known: bool) -> None:
        """The daemon starts; `known` = it has a quota and a lease on disk.

        For some time it may be more careful than it must.
        """
        self._wide_until_s = wall_s + 150.0
        if not known or not self.fresh(wall_s):
            self._from_w = self.failsafe_w

    def doubtful(self, until_s: float) -> None:
        """Until then it has reasons of its own to fall to failsafe."""
        self._wide_until_s = max(self._wide_until_s, until_s)

    def heard(self, topic: str, payload: bytes, wall_s: float) -> None:
        """A message reached the daemon."""
        kind = topic.rsplit("/", 1)[-1]
        if kind not in {"quota", "lease"}:
            return
        claims = _claims(payload)
        if kind == "lease":
            # One for another revision than the one held is not kept for later.
            if claims["rev"] == self.rev:
                until_s = min(claims["exp"], claims["iat"] + LEASE_TIMEOUT_S)
                self._fresh_until_s = max(self._fresh_until_s, until_s)
        elif claims["rev"] > self.rev:
            before_w = self._scheduled_w(wall_s)
            self.rev = claims["rev"]
            self._entries = [
                (_unix_s(each["start"]), _unix_s(each["end"]), each["limit_w"]) for each in claims["schedule"]
            ]
            if self._scheduled_w(wall_s) < before_w:
                self.fell_unannounced_s = wall_s

    def fresh(self, wall_s: float) -> bool:
        """Whether authority is."""
        return wall_s < self._fresh_until_s

    def bounds(self, wall_s: float) -> Bounds:
        """For the limit in force now. Times must rise."""
        scheduled_w = self._scheduled_w(wall_s)
        lowest_w = min(scheduled_w, self.failsafe_w)
        self._asked_s = wall_s
        if self.fresh(wall_s):
            self._from_w = scheduled_w
            high_w = scheduled_w
        else:
            since_s = wall_s - self._fresh_until_s
            high_w = min(scheduled_w, self._fallen_w(since_s - OFFSET_S - SLACK_S, self._from_w))
        low_w = high_w
        if not self.fresh(wall_s - SLACK_S):
            # A step at the very moment at which the lease ends may be where the fall begins.
            from_w = min(self._from_w, self._scheduled_w(self._fresh_until_s))
            low_w = min(scheduled_w, self._fallen_w(wall_s - self._fresh_until_s + SLACK_S, from_w))
        if wall_s < self._wide_until_s:
            low_w = lowest_w
        return Bounds(low_w, high_w)

    def _fallen_w(self, ramping_s: float, from_w: float) -> float:
        share = min(max(ramping_s / RAMP_S, 0.0), 1.0)
        return max(from_w, self.failsafe_w) * (1 - share) + self.failsafe_w * share

    def _scheduled_w(self, wall_s: float) -> float:
        if not self.rev:
            return self.failsafe_w
        for start_s, end_s, limit_w in self._entries:
            if start_s <= wall_s < end_s:
                return self.contract_w if limit_w is None else min(limit_w, self.contract_w)
        return self.failsafe_w


def _claims(jws: bytes) -> dict[str, Any]:
    body = jws.split(b".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    return claims


def _unix_s(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
