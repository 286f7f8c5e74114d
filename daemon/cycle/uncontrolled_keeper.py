"""Keeps what nobody controls on disk, so that the first picture after a restart does not count it as 0."""

import json
import math

from daemon.cycle.controller import CycleResult
from daemon.cycle.keeper import Keeper, kept_value
from daemon.store import Store

_NAME = "uncontrolled"
_MOVED = 0.002
"""Of the contract maximum: a smaller move is not worth a write."""
_EVERY_S = 60.0


async def load_uncontrolled(store: Store) -> float | None:
    """What was learned in the last run, W; `None` = nothing."""
    value = await kept_value(store, _NAME)
    if value is None:
        return None
    watts = float(json.loads(value)["watts"])
    return watts if math.isfinite(watts) else None


class UncontrolledKeeper:
    """Writes it when it has moved, at most once a minute."""

    def __init__(self, store: Store, contract_max_w: int) -> None:
        self._keeper = Keeper(store, _NAME)
        self._worth_w = _MOVED * contract_max_w
        self._offered: tuple[float, float] | None = None
        """When, and what."""
        self.run, self.flush = self._keeper.run, self._keeper.flush

    def take(self, result: CycleResult) -> None:
        """A cycle has ended."""
        watts, now_s = result.uncontrolled_w, result.moment.monotonic_s
        # What was learned of a meter that is being looked into, or is not there, is not new.
        if watts is None or not result.power.may_rise:
            return
        if self._offered is not None:
            at_s, before_w = self._offered
            if now_s - at_s < _EVERY_S or abs(watts - before_w) < self._worth_w:
                return
        self._offered = now_s, watts
        self._keeper.offer(json.dumps({"watts": round(watts)}))
