"""What control keeps over a restart: limit, uncontrolled load, outlets that are off."""

from collections.abc import Coroutine
from typing import Any

from daemon.authority.machine import Moment, Policy, Verdict, start
from daemon.clock import Clock
from daemon.commands.kept import Kept
from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.limit_keeper import LimitKeeper, load_limit
from daemon.cycle.outlet_keeper import OutletKeeper, load_outlets_off
from daemon.cycle.uncontrolled_keeper import UncontrolledKeeper, load_uncontrolled
from daemon.store import Store


class ControlMemory:
    """Read at the start, and kept on disk as it changes."""

    def __init__(self, store: Store, clock: Clock, contract_max_w: int) -> None:
        self._store = store
        self._clock = clock
        self._limit = LimitKeeper(store, clock)
        self._uncontrolled = UncontrolledKeeper(store, contract_max_w)
        self._outlets = OutletKeeper(store)

    async def verdict(self, policy: Policy, kept: Kept, now: Moment) -> Verdict:
        """The limit to start with; `kept` = the orders that stand."""
        clock, last = self._clock, await load_limit(self._store)
        return start(
            policy,
            now,
            boot_id=clock.boot_id(),
            boottime_s=clock.boottime(),
            last_limit_w=None if last is None else last.limit_w,
            last_source=None if last is None else last.source,
            quota=kept.quota,
            lease=kept.lease,
            hold=kept.hold,
            operator_limit=kept.set_limit,
            unfinished=None if last is None else last.unfinished,
        )

    async def uncontrolled_w(self) -> float | None:
        """As learned in the last run; `None` = nothing was."""
        return await load_uncontrolled(self._store)

    async def resume(self, controller: Controller) -> None:
        """Tell a new controller which outlets are off."""
        self._outlets.resume(controller, await load_outlets_off(self._store))

    def take(self, controller: Controller, result: CycleResult) -> None:
        """A cycle has ended."""
        self._limit.take(result)
        self._uncontrolled.take(result)
        self._outlets.take(controller, result)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs as long as the daemon does."""
        return {
            "limit-keeper": self._limit.run(),
            "uncontrolled-keeper": self._uncontrolled.run(),
            "outlet-keeper": self._outlets.run(),
        }

    async def flush(self) -> None:
        """Have it all on the disk.

        Raises:
            StoreError: the disk refused.
        """
        await self._limit.flush()
        await self._uncontrolled.flush()
        await self._outlets.flush()
