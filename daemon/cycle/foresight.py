"""`plan` in full: which loads, in what order, what is drawn when, and what cannot be reached and why."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from daemon.allocation.loads import Bools
from daemon.allocation.memory import UNKNOWN
from daemon.allocation.outlook import Outlook, Ramp, outlooks
from daemon.cycle.controller import Controller
from daemon.cycle.layout import SiteLayout

NAMED = 20
"""Loads named for each reason that keeps the limit from being reached."""


class Foresight:
    """One `plan`, worked out moment by moment so that a large site's cycle need not wait for all of it.

    Nothing is stored and nothing is ordered.
    """

    def __init__(self, controller: Controller, limit_w: int) -> None:
        """What would be done under `limit_w`.

        Raises:
            LookupError: the site has not been seen whole yet.
        """
        asked = controller.asked(limit_w, controller.last.moment) if controller.last is not None else None
        if asked is None:
            raise LookupError("the site has not been seen whole yet")
        self._layout, self._limit_w = controller.layout, limit_w
        self._excluded = controller.excluded
        situation, look = asked
        self._cooling_w, self._uncontrolled_w = situation.cooling_w, situation.uncontrolled_w
        ramp = Ramp(controller.policy.ramp_up_w_per_s, controller.regulation.largest_step_w)
        self._moments = outlooks(situation, look, controller.layout.circuits, ramp)
        self._course: list[tuple[float, int]] = []
        self._orders: list[dict[str, Any]] = []
        self._last: Outlook | None = None

    def steps(self) -> Iterator[None]:
        """Work it out; comes back after every moment looked at."""
        for moment in self._moments:
            self._last = moment
            self._course.append((round(moment.in_s, 1), round(moment.expected_w)))
            self._orders += self._told(moment)
            yield

    def object(self) -> dict[str, Any]:
        """`orders`, `course`, `seconds` and `unreachable` for JSON, once `steps` has ended."""
        return {
            "orders": self._orders,
            "course": [{"in_s": in_s, "expected_w": watts} for in_s, watts in self._course],
            "below_limit_after_s": self._below_after_s(),
            "unreachable": self._unreachable(),
        }

    def _told(self, moment: Outlook) -> list[dict[str, Any]]:
        loads, devices = self._layout.loads, self._layout.devices
        return [
            {
                "in_s": round(moment.in_s, 1),
                "device": devices[int(loads.rows[load])].id,
                "from_w": None if before == UNKNOWN else round(float(loads.watts[load, before])),
                "to_w": round(float(loads.watts[load, after])),
            }
            for load, before, after in zip(
                moment.load.tolist(), moment.before.tolist(), moment.after.tolist(), strict=True
            )
        ]

    def _below_after_s(self) -> float | None:
        """From when on the site stays at or below the limit; `None` = never."""
        below_s: float | None = None
        for in_s, watts in self._course:
            if watts > self._limit_w:
                below_s = None
            elif below_s is None:
                below_s = in_s
        return below_s

    def _unreachable(self) -> dict[str, Any] | None:
        """How much stays above the limit, and what that is; `None` = the limit is met."""
        assert self._last is not None
        over_w = self._last.expected_w - self._limit_w
        if over_w <= 0:
            return None
        look, memory = self._last.look, self._last.memory
        asleep = memory.obeys & ~look.missing & ~self._excluded & (memory.level == 0)
        disobeying = ~memory.obeys & ~look.missing & ~self._excluded
        reasons = (
            ("excluded from control", self._excluded),
            ("does not answer", look.missing & ~self._excluded),
            ("does not obey", disobeying),
            ("draws this much at its lowest", asleep),
            ("still on its way down", (memory.level > 0) & ~self._excluded & ~look.missing & memory.obeys),
        )
        parts: list[dict[str, Any]] = [
            {"what": "uncontrolled load", "w": round(self._uncontrolled_w - self._cooling_w)},
            {"what": "cooling", "w": round(self._cooling_w)},
        ]
        parts += [
            {"what": what, "w": round(float(look.counted_w[which].sum())), **_named(self._layout, which)}
            for what, which in reasons
        ]
        return {"w": round(over_w), "parts": [part for part in parts if part["w"] > 0]}


def _named(layout: SiteLayout, which: Bools) -> dict[str, Any]:
    rows = layout.loads.rows[np.flatnonzero(which)]
    names = [layout.devices[int(row)].id for row in islice(rows, NAMED)]
    return {"count": len(rows), "devices": names}
