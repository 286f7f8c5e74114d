"""One metered point's register: from cumulative readings to the energy between two grid boundaries."""

from dataclasses import dataclass, replace
from typing import Any

from daemon.ledger.observation import MeterReading
from daemon.ledger.records import event

PROMPT_S = 2.0
"""A boundary reading further from its boundary is an estimate (contract §5)."""

BACKWARDS_S = 60.0
"""A register without serial number that has counted on from a lower value for so long is another meter."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where a point's next interval begins: what must survive a restart."""

    point: str
    next_start: int
    """Start of the first interval without a record, Unix seconds on the grid."""
    register_wh: int | None = None
    """Last known `reg_end_wh`, or the very first reading."""
    register_at: int | None = None
    """When the register showed that; other than `next_start`: a run of gaps is open."""
    offset_wh: int = 0
    """Energy = register difference + this; not 0 after a meter was changed since `register_at`."""
    prompt: bool = True
    """The reading was taken within `PROMPT_S` of `register_at`."""
    meter_sn: str | None = None


@dataclass(frozen=True, slots=True)
class Energy:
    """What flowed between two readings of the register."""

    reg_start_wh: int
    reg_end_wh: int
    wh: int
    prompt: bool
    """Both readings were taken within `PROMPT_S` of their boundary."""


@dataclass(frozen=True, slots=True)
class _Reading:
    at_s: float
    register_wh: int


class PointRegister:
    """The register of one point between boundaries. Never sums samples, so nothing is lost between them."""

    def __init__(self, baseline: Baseline, longest_age_s: float) -> None:
        """Continue from `baseline`; a boundary reading may be `longest_age_s` old."""
        self._base = baseline
        self._longest_age_s = longest_age_s
        self._before: _Reading | None = None
        self._latest: _Reading | None = None
        self._doubtful: _Reading | None = None

    @property
    def baseline(self) -> Baseline:
        """What to keep, so that a restart continues here."""
        return self._base

    def take(self, reading: MeterReading, wall_s: float) -> dict[str, Any] | None:
        """Take a reading; returns a `meter-changed` event body if it comes from another meter."""
        register_wh = reading.register_wh
        if register_wh is None:
            return None
        new = _Reading(wall_s - max(reading.age_s, 0.0), register_wh)
        if self._base.register_wh is None:
            late_s = new.at_s - self._base.next_start
            at = self._base.next_start if abs(late_s) <= PROMPT_S else round(new.at_s)
            self._base = replace(
                self._base, register_wh=register_wh, register_at=at, meter_sn=reading.meter_sn
            )
            self._latest = new
            return None
        old_sn = self._base.meter_sn
        if reading.meter_sn is not None and old_sn is not None and reading.meter_sn != old_sn:
            return self._changed(new, reading.meter_sn, wall_s)
        if register_wh < self._lowest():
            return self._backwards(new, wall_s)
        self._doubtful = None
        if old_sn is None and reading.meter_sn is not None:
            self._base = replace(self._base, meter_sn=reading.meter_sn)
        if self._latest is None or new.at_s > self._latest.at_s:
            self._before, self._latest = self._latest, new
        return None

    def clock_stepped(self, step_s: float) -> None:
        """The wall clock went `step_s` further than time did: readings keep their distance from now."""
        self._before, self._latest, self._doubtful = (
            None if reading is None else _Reading(reading.at_s + step_s, reading.register_wh)
            for reading in (self._before, self._latest, self._doubtful)
        )

    def _lowest(self) -> int:
        """The register cannot show less, unless it is another meter's."""
        if self._latest is not None:
            return self._latest.register_wh
        # After a change of meter the new one began no lower than this.
        return (self._base.register_wh or 0) - self._base.offset_wh

    def _backwards(self, new: _Reading, wall_s: float) -> dict[str, Any] | None:
        """Not trusted, until it has counted on from there for `BACKWARDS_S`."""
        first = self._doubtful
        if first is None or new.register_wh < first.register_wh or new.at_s < first.at_s:
            self._doubtful = new
            return None
        if new.at_s - first.at_s < BACKWARDS_S:
            return None
        body = self._changed(first, None, wall_s)
        self._before, self._latest = first, new
        return body

    def _changed(self, new: _Reading, meter_sn: str | None, wall_s: float) -> dict[str, Any]:
        old_end_wh = self._lowest()
        old_sn = self._base.meter_sn
        self._base = replace(
            self._base,
            offset_wh=self._base.offset_wh + old_end_wh - new.register_wh,
            meter_sn=meter_sn,
        )
        self._before, self._latest, self._doubtful = None, new, None
        detail = {
            "point": self._base.point,
            "from": old_sn,
            "to": meter_sn,
            "reg_end_wh": old_end_wh,
            "reg_start_wh": new.register_wh,
        }
        return event(wall_s, "meter-changed", detail)

    def whole(self) -> bool:
        """Whether the register is known for the start of the interval in progress."""
        return self._base.register_wh is not None and self._base.register_at == self._base.next_start

    def boundary(self, end_s: int) -> tuple[int, bool] | None:
        """Register at a boundary just passed, and whether it was read within `PROMPT_S` of it."""
        near = [
            reading
            for reading in (self._before, self._latest)
            if reading is not None and end_s - self._longest_age_s <= reading.at_s <= end_s + PROMPT_S
        ]
        if not near:
            return None
        nearest = min(near, key=lambda reading: abs(reading.at_s - end_s))
        return nearest.register_wh, abs(nearest.at_s - end_s) <= PROMPT_S

    def advance(self, end_s: int) -> Energy | None:
        """Move on to the interval that starts at `end_s`; the energy since the last known register.

        `None`: there is no reading for this boundary; the energy stays open.
        """
        reading = self.boundary(end_s)
        base = self._base
        if reading is None or base.register_wh is None:
            self._base = replace(base, next_start=end_s)
            return None
        register_wh, prompt = reading
        energy = Energy(
            base.register_wh,
            register_wh,
            register_wh - base.register_wh + base.offset_wh,
            prompt=prompt and base.prompt,
        )
        self._base = Baseline(base.point, end_s, register_wh, end_s, 0, prompt, base.meter_sn)
        return energy
