"""Keeps on disk which loads were switched off at their outlets: else nobody would switch them on again."""

import json

from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.keeper import Keeper, kept_value
from daemon.store import Store

_NAME = "outlets_off"


async def load_outlets_off(store: Store) -> frozenset[str]:
    """Ids of the loads that the last run left switched off."""
    value = await kept_value(store, _NAME)
    return frozenset() if value is None else frozenset(json.loads(value))


class OutletKeeper:
    """Writes every change."""

    def __init__(self, store: Store) -> None:
        self._keeper = Keeper(store, _NAME)
        self._told: list[str] = []
        self.run, self.flush = self._keeper.run, self._keeper.flush

    def resume(self, controller: Controller, off: frozenset[str]) -> None:
        """Go on where the last run stopped."""
        layout = controller.layout
        those = [at for at, row in enumerate(layout.loads.rows.tolist()) if layout.devices[row].id in off]
        controller.outlets.resume(those)
        self._told = sorted(off)

    def take(self, controller: Controller, _result: CycleResult) -> None:
        """A cycle has ended."""
        if not controller.outlets.any:
            return
        layout = controller.layout
        off = sorted(layout.devices[int(row)].id for row in layout.loads.rows[controller.outlets.off])
        if off != self._told:
            self._told = off
            self._keeper.offer(json.dumps(off))
