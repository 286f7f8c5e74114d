"""The last resort against loads that do not obey: their PDU's outlets.

An outlet is switched off only while the site or a circuit stays above its limit with everything shed that
can be, and only where the configuration names the outlet and the load bears it (`Sockets`). Feeder breakers
are never switched: gateways and pumps hang on them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from daemon.allocation.circuits import Circuits
from daemon.allocation.counting import Look
from daemon.allocation.loads import Bools, Ints, Loads
from daemon.allocation.memory import LoadMemory, tolerated_w
from daemon.allocation.situation import Plan
from daemon.table import Snapshot
from daemon.table.carrying import Origin, carry
from daemon.table.table import Floats
from drivers.ports import Fleet
from drivers.quantity import Quantity

_ROUNDING_W = 1.0
_AGAIN_S = 10.0
_SHOWS = 0.5
"""Of what a load drew, the PDU draws at least this much less once its outlet is off."""
_SILENT_S = 3.0


@dataclass(frozen=True, slots=True)
class Sockets:
    """What each load hangs on, as far as it may be switched off."""

    row: Ints
    """(loads,): of its PDU; −1 = it is not to be switched."""
    outlet: Ints
    """(loads,): counted from 1."""

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return bool((self.row >= 0).any())


class Outlets:
    """Switches outlets off and on, and believes it when it is measured."""

    def __init__(self, loads: Loads, sockets: Sockets, fleet: Fleet) -> None:
        """Orders go to `fleet`."""
        count = len(loads)
        self._loads = loads
        self._sockets = sockets
        self._fleet = fleet
        self.any = sockets.any
        """Whether there is one to switch at all."""
        self.off = np.zeros(count, dtype=np.bool_)
        """(loads,): ordered off."""
        self.dead = np.zeros(count, dtype=np.bool_)
        """(loads,): off, and seen to be."""
        self._off_s = np.full(count, -np.inf)
        self._sent_s = np.full(count, -np.inf)
        self._drew_w = np.zeros(count)
        self._pdu_w = np.full(count, np.nan)
        """What the PDU drew before."""

    def take_over(self, before: "Outlets", origin: Origin) -> None:
        """Go on with what the loads that were there already are at; one without an outlet now is on."""
        carry(before, self, ("off", "dead", "_off_s", "_sent_s", "_drew_w", "_pdu_w"), origin)
        self.off &= self._sockets.row >= 0
        self.dead &= self.off

    def resume(self, those: Iterable[int]) -> None:
        """As an earlier run left them: off, and seen to be."""
        for index in those:
            if self._sockets.row[index] >= 0:
                self.off[index] = self.dead[index] = True

    # --- what is seen ---

    def look(self, snapshot: Snapshot, own_w: Floats, pdu_w: Floats, pdu_s: Floats) -> None:
        """Judge which outlets are off.

        Args:
            snapshot: of this cycle.
            own_w: (loads,): each load's own fresh reading; NaN = none.
            pdu_w: (devices,): fresh powers.
            pdu_s: (devices,): when these were asked for, monotonic.
        """
        if not np.count_nonzero(self.off):
            return
        rows = np.maximum(self._sockets.row, 0)
        after = pdu_s[rows] > self._off_s
        fell = self._pdu_w - pdu_w[rows] >= _SHOWS * self._drew_w
        silent = np.isnan(own_w) & (snapshot.age_s[self._loads.rows] > _SILENT_S)
        own_s = snapshot.monotonic_s - snapshot.age_s[self._loads.rows]
        idle_w = tolerated_w(self._loads.watts[:, 0])
        rests = (own_w <= idle_w) & (own_s > self._off_s)
        draws = (own_w > idle_w) & (own_s > self._off_s)
        self.dead |= self.off & after & fell & silent | self.off & rests
        # It answers and draws: somebody has switched it on, or it never was off.
        self.dead &= self.off & ~draws

    def corrected(self, measured_w: Floats, sampled_s: Floats, now_s: float) -> tuple[Floats, Floats]:
        """Powers of the loads and when they were asked for: what is dead draws nothing, and that is fresh."""
        if not np.count_nonzero(self.dead):
            return measured_w, sampled_s
        return np.where(self.dead, 0.0, measured_w), np.where(self.dead, now_s, sampled_s)

    def remembered(self, memory: LoadMemory) -> LoadMemory:
        """Nothing counts on a load that had to be switched off, though it draws nothing now."""
        if not np.count_nonzero(self.off) or not np.count_nonzero(self.off & memory.obeys):
            return memory
        return replace(memory, obeys=memory.obeys & ~self.off)

    # --- what is done ---

    def act(
        self, plan: Plan, look: Look, stubborn: Bools, circuits: Circuits, pdu_w: Floats
    ) -> tuple[Ints, Ints]:
        """Switch off what must be, and on what may be again; the loads of both.

        Args:
            plan: that was just ordered.
            look: the loads before it.
            stubborn: (loads,): reminded of their lowest level in vain, or not answering, and not excluded.
            circuits: with their limits.
            pdu_w: (devices,): fresh powers.
        """
        back = (self.off & (plan.level > 0)).nonzero()[0]
        for index in back.tolist():
            self._switch(index, look.now_s, on=True)
        cut: list[int] = []
        able = stubborn & (self._sockets.row >= 0) & ~self.off & (plan.level == 0)
        if np.count_nonzero(able):
            cut = self._chosen(plan, look, able, circuits)
            for index in cut:
                self._drew_w[index] = look.counted_w[index]
                self._pdu_w[index] = pdu_w[self._sockets.row[index]]
                self._off_s[index] = look.now_s
                self._switch(index, look.now_s, on=False)
        again = self.off & ~self.dead & (look.now_s - self._sent_s >= _AGAIN_S)
        for index in again.nonzero()[0].tolist():
            self._switch(index, look.now_s, on=False)
        return np.array(cut, dtype=np.int64), back

    def _chosen(self, plan: Plan, look: Look, able: Bools, circuits: Circuits) -> list[int]:
        """As few as bring the site and every circuit down, the largest first."""
        # What is on its way off is not counted twice.
        pending_w = np.where(self.off & ~self.dead, plan.counted_w, 0.0)
        needs = [(plan.unreachable_w - float(pending_w.sum()), able)]
        drawn_w = plan.counted_w - pending_w
        for depth in circuits.depths:
            room_w = depth.room_w(drawn_w)
            needs += [
                (-float(room_w[place]), able & (depth.of_load == place))
                for place in (room_w[:-1] < -_ROUNDING_W).nonzero()[0]
            ]
        chosen: dict[int, None] = {}
        for excess_w, those in needs:
            left_w = excess_w
            if left_w <= _ROUNDING_W:
                continue
            candidates = those.nonzero()[0]
            for index in candidates[np.argsort(-look.counted_w[candidates], kind="stable")].tolist():
                if left_w <= _ROUNDING_W:
                    break
                left_w -= float(look.counted_w[index])
                chosen.setdefault(index)
        return list(chosen)

    def _switch(self, index: int, now_s: float, *, on: bool) -> None:
        self._sent_s[index] = now_s
        self.off[index] = not on
        self.dead[index] &= not on
        self._fleet.switch(int(self._sockets.row[index]), int(self._sockets.outlet[index]), on=on)


def fresh_powers(snapshot: Snapshot, rows: Sequence[int] | Ints) -> tuple[Floats, Floats]:
    """(rows,): fresh powers of devices, NaN = none, and when they were asked for."""
    power_w = snapshot.fresh(Quantity.POWER)
    return power_w[rows], (snapshot.monotonic_s - snapshot.age_s)[rows]
