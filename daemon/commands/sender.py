"""The other end: quotas, leases and commands as a dispatcher or operator signs them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.clock import Clock, Entropy
from daemon.commands.claims import MAX_LIFE_S
from daemon.commands.orders import ScheduleEntry
from daemon.commands.words import Lane, Op
from daemon.signing import PrivateKey, dumps, sign
from daemon.timestamps import format_utc


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed message, ready to go."""

    lane: Lane
    kid: str
    jti: str
    exp: int
    jws: str


class Sender:
    """Signs for one site with one key. Two senders never share a key: each counts its own `seq`."""

    def __init__(self, key: PrivateKey, site: str, clock: Clock, entropy: Entropy) -> None:
        self._key = key
        self._site = site
        self._clock = clock
        self._entropy = entropy
        self._last_seq = 0

    def quota(self, rev: int, schedule: Sequence[ScheduleEntry], *, exp: int | None = None) -> Signed:
        """A quota; it counts for leases until `exp`, by default until its last end."""
        entries = [
            {"start": format_utc(entry.start), "end": format_utc(entry.end), "limit_w": entry.limit_w}
            for entry in schedule
        ]
        claims = {"rev": rev, "schedule": entries}
        return self._signed(Lane.QUOTA, claims, schedule[-1].end if exp is None else exp)

    def lease(self, rev: int, *, life_s: int = MAX_LIFE_S) -> Signed:
        """A heartbeat for the quota of this revision."""
        return self._signed(Lane.LEASE, {"rev": rev}, int(self._clock.wall()) + life_s)

    def command(
        self,
        op: Op | str,
        args: Mapping[str, Any] | None = None,
        *,
        lane: Lane,
        expect_rev: int | None = None,
        life_s: int = MAX_LIFE_S,
    ) -> Signed:
        """A command; `lane` = that of the key's role."""
        claims: dict[str, Any] = {"op": str(op), "args": dict(args or {})}
        if expect_rev is not None:
            claims["expect_rev"] = expect_rev
        return self._signed(lane, claims, int(self._clock.wall()) + life_s)

    def _signed(self, lane: Lane, claims: Mapping[str, Any], exp: int) -> Signed:
        now_s = self._clock.wall()
        self._last_seq = max(int(now_s * 1_000_000), self._last_seq + 1)
        jti = self._entropy.uuid()
        common = {
            "iss": self._key.kid,
            "aud": self._site,
            "jti": jti,
            "seq": self._last_seq,
            "iat": int(now_s),
            "exp": exp,
        }
        jws = sign(dumps({**common, **claims}), lane.typ, self._key)
        return Signed(lane, self._key.kid, jti, exp, jws)
