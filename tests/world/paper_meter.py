"""A site meter and the site around it on paper: a test says what both show, second by second."""

import math
from dataclasses import dataclass, field

from daemon.metering.meter_judge import Doubt, MeterRecord, judged
from daemon.metering.reading import Reading, Resolution, Surroundings

MOST_W = 1_250_000.0


@dataclass
class MeterBench:
    """The truth is `devices_w` + `rest_w`; the meter shows it, unless told otherwise."""

    devices_w: float = 700_000.0
    rest_w: float = 50_000.0
    """What nobody controls."""
    hidden_w: float = 0.0
    """Part of `devices_w` that is not measured now: it goes on counting as it was."""
    noise_w: float = 0.0
    period_s: float = 1.0
    register_every: int = 1
    """It is asked for its register with every so-manyth reading."""
    resolution: Resolution = field(default_factory=Resolution)
    lag_s: float = 4.0
    now_s: float = 1_000.0
    energy_wh: float = 5_000_000.0
    serial: float = 77.0
    has_register: bool = True
    answers: bool = True
    frozen: bool = False
    frozen_register: bool = False
    factor: float = 1.0
    """The meter shows so much of the truth."""
    register_factor: float = 1.0
    """Its register counts so much of what it shows."""
    shown_w: float | None = None
    """It shows this, whatever the truth is."""
    record: MeterRecord = field(default_factory=MeterRecord)
    reading: Reading | None = None
    _looks: int = 0

    @property
    def true_w(self) -> float:
        return self.devices_w + self.rest_w

    @property
    def doubt(self) -> Doubt | None:
        return self.record.doubt

    def run(self, seconds: float) -> list[MeterRecord]:
        """Let time pass, a look a second; every record."""
        return [self.look() for _ in range(round(seconds))]

    def look(self) -> MeterRecord:
        """One second later."""
        self.now_s += 1.0
        self._looks += 1
        power_w = self.true_w * self.factor if self.shown_w is None else self.shown_w
        if not self.frozen_register:
            self.energy_wh += max(power_w, 0.0) * self.register_factor / 3600.0
        due = self._looks % round(self.period_s) == 0 or self.reading is None
        if self.answers and due:
            self._read(power_w)
        reading = self.reading
        if reading is None:
            reading = Reading(math.nan, math.nan, -math.inf, -math.inf, math.nan, fresh=False)
        elif self.now_s - reading.sampled_s > max(min(3 * self.period_s, 6.0), self.period_s + 1.0):
            reading = Reading(
                reading.power_w,
                reading.register_wh,
                reading.sampled_s,
                reading.register_s,
                reading.serial,
                fresh=False,
            )
        around = Surroundings(self.devices_w, self.devices_w - self.hidden_w, MOST_W, self.lag_s)
        self.record = judged(self.record, reading, around, self.resolution, self.now_s)
        return self.record

    def _read(self, power_w: float) -> None:
        asked_s = self.now_s - 0.5
        if self.frozen and self.reading is not None:
            old = self.reading
            self.reading = Reading(old.power_w, old.register_wh, asked_s, asked_s, old.serial, fresh=True)
            return
        # A deterministic wobble: no two readings are alike, as of a real meter.
        power_w += self.noise_w * math.sin(self._looks * 2.4)
        step_w, step_wh = self.resolution.power_w, self.resolution.register_wh
        register_wh = math.floor(self.energy_wh / step_wh) * step_wh if self.has_register else math.nan
        shown_w = round(power_w / step_w) * step_w
        register_s = asked_s
        if self.reading is not None and self._looks % self.register_every:
            register_wh, register_s = self.reading.register_wh, self.reading.register_s
        self.reading = Reading(shown_w, register_wh, asked_s, register_s, self.serial, fresh=True)


def settled(**changes: float) -> MeterBench:
    """A meter that has been trusted for two minutes."""
    bench = MeterBench(noise_w=800.0)
    for name, value in changes.items():
        setattr(bench, name, value)
    bench.run(120)
    assert bench.record.trusted
    assert not bench.record.unsure
    return bench
