"""Judges a site from outside the daemon: the plant's truth, second by second, against what was promised."""

import hashlib
from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sim_devices.physics import PlantModel
from tests.world.limit_oracle import Bounds

LEEWAY_S = 30.0
"""After a limit that came unannounced."""
ENOUGH_S = 30
"""A clock-minute is judged when it has so many seconds outside of every leeway."""
SHED_S = 90.0
"""After a limit below the floor, everything that can be shed is asleep: the slowest take so long."""
ROUNDING_W = 1.0


class Violation(NamedTuple):
    """A promise that was broken."""

    wall_s: float
    what: str
    watts: float
    """By how much, where that can be said."""


class Second(NamedTuple):
    """What is so at the end of a second."""

    wall_s: float
    power_w: float
    """True mean over the second."""
    floor_w: float
    """What nothing can shed."""
    limit_w: float | None
    """In force now; `None` = the daemon is not there."""
    state: str


@dataclass
class Course:
    """What was seen, by column."""

    wall_s: "array[float]" = field(default_factory=lambda: array("d"))
    power_w: "array[float]" = field(default_factory=lambda: array("d"))
    floor_w: "array[float]" = field(default_factory=lambda: array("d"))
    limit_w: "array[float]" = field(default_factory=lambda: array("d"))
    """NaN = the daemon was not there."""
    metered_w: "array[float]" = field(default_factory=lambda: array("d"))
    expected_w: "array[float]" = field(default_factory=lambda: array("d"))
    states: list[str] = field(default_factory=list)
    switches: "array[float]" = field(default_factory=lambda: array("d"))
    """Orders that changed what a load is to do, since the start."""


@dataclass
class Judge:
    """Give it every second in order."""

    course: Course = field(default_factory=Course)
    violations: list[Violation] = field(default_factory=list)
    minutes: int = 0
    """Judged."""
    leeway_until_s: float = -1e18
    _before: Second | None = None
    _minute: int = -1
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """Seconds, power, allowed."""
    _below_floor_s: float = 0.0
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def trace(self) -> str:
        """Equal for equal courses."""
        return self._hash.hexdigest()

    def note(self, what: str) -> None:
        """Something else that is to be equal in equal courses."""
        self._hash.update(what.encode())

    def gives_leeway(self, until_s: float) -> None:
        """A limit came unannounced, or the daemon is not there."""
        self.leeway_until_s = max(self.leeway_until_s, until_s)

    def look(self, now: Second, bounds: Bounds | None) -> None:
        """A second has passed; `bounds` for the limit in force, if it is to be judged."""
        self.note(f"{now.wall_s:.3f} {now.power_w!r} {now.limit_w!r} {now.state}\n")
        self._keep(now)
        if bounds is not None and now.limit_w is not None:
            self._judge_limit(now, bounds)
        self._judge_power(now)
        self._before = now

    def shed(self, now: Second, model: PlantModel, reachable: np.ndarray) -> None:
        """Whether everything that can be shed is, while the limit is below the floor."""
        if now.limit_w is None or now.limit_w >= now.floor_w or now.wall_s < self.leeway_until_s:
            self._below_floor_s = 0.0
            return
        self._below_floor_s += 1.0
        if self._below_floor_s <= SHED_S:
            return
        fleet = model.fleet
        awake = reachable & ~fleet.disobeys & (fleet.draw_w > 1.1 * fleet.rated.sleep_w + 50.0)
        if awake.any():
            self._say(now, f"{int(awake.sum())} loads run below the floor", float(fleet.draw_w[awake].sum()))

    def rose(self, wall_s: float, what: str, watts: float) -> None:
        """Something was ordered up where nothing may rise."""
        self.violations.append(Violation(wall_s, what, watts))

    def _judge_limit(self, now: Second, bounds: Bounds) -> None:
        assert now.limit_w is not None
        if now.limit_w > bounds.high_w + ROUNDING_W:
            self._say(now, f"limit {now.limit_w:.0f} above {bounds.high_w:.0f}", now.limit_w - bounds.high_w)
        if now.limit_w < bounds.low_w - ROUNDING_W:
            self._say(now, f"limit {now.limit_w:.0f} below {bounds.low_w:.0f}", bounds.low_w - now.limit_w)

    def _judge_power(self, now: Second) -> None:
        """The second that ends now was under the limit that was in force when it began."""
        before = self._before
        minute = int(now.wall_s - 1.0) // 60
        if minute != self._minute:
            self._end_minute()
            self._minute = minute
        if before is None or before.limit_w is None or now.wall_s <= self.leeway_until_s + 1.0:
            return
        sums = self._sums
        sums[0] += 1
        sums[1] += now.power_w
        sums[2] += max(before.limit_w, now.floor_w)

    def _end_minute(self) -> None:
        seconds, power, allowed = self._sums
        self._sums = [0.0, 0.0, 0.0]
        if seconds < ENOUGH_S:
            return
        self.minutes += 1
        over_w = (power - allowed) / seconds
        if over_w > ROUNDING_W:
            text = f"minute above max(limit, floor) by {100 * over_w / (allowed / seconds):.2f} %"
            self.violations.append(Violation(self._minute * 60.0, text, over_w))

    def _keep(self, now: Second) -> None:
        course = self.course
        course.wall_s.append(now.wall_s)
        course.power_w.append(now.power_w)
        course.floor_w.append(now.floor_w)
        course.limit_w.append(np.nan if now.limit_w is None else now.limit_w)
        course.states.append(now.state)

    def _say(self, now: Second, what: str, watts: float) -> None:
        self.violations.append(Violation(now.wall_s, what, watts))
