"""Keeps on disk what a restart resumes: the limit in force, and a failsafe that is under way."""

import json
from dataclasses import dataclass
from typing import Any

from daemon.authority.machine import Authority, Cause, Ramp, Source, Unfinished, unfinished_of
from daemon.clock import Clock
from daemon.cycle.controller import CycleResult
from daemon.cycle.keeper import Keeper, kept_value
from daemon.store import Store

_NAME = "limit_in_force"


@dataclass(frozen=True, slots=True)
class KeptLimit:
    """The limit that was in force last, and what of a failsafe was not over."""

    limit_w: int
    source: Source
    unfinished: Unfinished | None = None


async def load_limit(store: Store) -> KeptLimit | None:
    """What was kept; `None` at the very first start."""
    text = await kept_value(store, _NAME)
    if text is None:
        return None
    value = json.loads(text)
    return KeptLimit(int(value["limit_w"]), Source(value["source"]), _unfinished(value.get("unfinished")))


def _as_json(kept: KeptLimit) -> str:
    value: dict[str, Any] = {"limit_w": kept.limit_w, "source": kept.source.value}
    if kept.unfinished is not None:
        ramp = kept.unfinished.ramp
        value["unfinished"] = {
            "boot_id": kept.unfinished.boot_id,
            "causes": sorted(cause.value for cause in kept.unfinished.causes),
            "quota_hash": kept.unfinished.quota_hash,
            "ramp": None if ramp is None else [ramp.from_w, ramp.starts_s, ramp.lasts_s],
            "meter_lost_s": kept.unfinished.meter_lost_s,
        }
    return json.dumps(value)


def _unfinished(value: dict[str, Any] | None) -> Unfinished | None:
    if value is None:
        return None
    return Unfinished(
        boot_id=value["boot_id"],
        causes=frozenset(Cause(cause) for cause in value["causes"]),
        quota_hash=value["quota_hash"],
        ramp=None if value["ramp"] is None else Ramp(*value["ramp"]),
        meter_lost_s=value["meter_lost_s"],
    )


_Lasting = tuple[object, ...]


def _lasting(authority: Authority) -> _Lasting:
    """What is kept of the authority: another value is worth a write."""
    quota_hash = None if authority.quota is None else authority.quota.hash
    limit = (authority.last_limit_w, authority.last_source)
    return (*limit, authority.causes, quota_hash, authority.ramp, authority.meter_lost_s)


class LimitKeeper:
    """Writes every change."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._keeper = Keeper(store, _NAME)
        self._clock = clock
        self._newest: Authority | None = None
        self.run, self.flush = self._keeper.run, self._keeper.flush

    def take(self, result: CycleResult) -> None:
        """A cycle has ended."""
        authority = result.verdict.authority
        if self._newest is not None and _lasting(authority) == _lasting(self._newest):
            return
        self._newest = authority
        shift_s = self._clock.boottime() - self._clock.monotonic()
        unfinished = unfinished_of(authority, self._clock.boot_id(), shift_s)
        self._keeper.offer(_as_json(KeptLimit(authority.last_limit_w, authority.last_source, unfinished)))
