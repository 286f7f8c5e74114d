"""Keeps on disk what a restart resumes: the limit in force, and a failsafe that is under way."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import structlog

from daemon.authority.machine import Authority, Cause, Ramp, Source, Unfinished, unfinished_of
from daemon.clock import Clock
from daemon.cycle.controller import CycleResult
from daemon.errors import StoreError
from daemon.store import Store

_NAME = "limit_in_force"
_RETRY_S = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeptLimit:
    """The limit that was in force last, and what of a failsafe was not over."""

    limit_w: int
    source: Source
    unfinished: Unfinished | None = None


async def load_limit(store: Store) -> KeptLimit | None:
    """What was kept; `None` at the very first start."""
    row = await store.fetch_one("SELECT value FROM kept WHERE name = ?", (_NAME,))
    if row is None:
        return None
    value = json.loads(row[0])
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
    """Writes every change; the newest one counts."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._newest: Authority | None = None
        self._changed = asyncio.Event()

    def take(self, result: CycleResult) -> None:
        """A cycle has ended."""
        authority = result.verdict.authority
        if self._newest is None or _lasting(authority) != _lasting(self._newest):
            self._newest = authority
            self._changed.set()

    async def run(self) -> None:
        """Write until cancelled; a disk that refuses is asked again."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.flush()
            except StoreError as error:
                _log.debug("limit not kept", error=str(error))
                await asyncio.sleep(_RETRY_S)
                self._changed.set()

    async def flush(self) -> None:
        """Write the newest limit.

        Raises:
            StoreError: the disk refused.
        """
        if self._newest is None:
            return
        shift_s = self._clock.boottime() - self._clock.monotonic()
        unfinished = unfinished_of(self._newest, self._clock.boot_id(), shift_s)
        value = _as_json(KeptLimit(self._newest.last_limit_w, self._newest.last_source, unfinished))
        async with self._store.transaction() as tx:
            await tx.execute(
                "INSERT INTO kept (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (_NAME, value),
            )
