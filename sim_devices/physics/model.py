"""The plant: every device's physics, and the truth about all of them."""

import copy
from collections.abc import Mapping, Sequence

import numpy as np

from sim_devices.physics.cooling import Cooling, Weather
from sim_devices.physics.load import Load, LoadsById
from sim_devices.physics.loads import Loads, LoadSpec
from sim_devices.physics.meter import Meter
from sim_devices.physics.pdu import NOTHING, OWN_W, Pdu, Pdus, PdusById, PduSpec
from sim_devices.physics.reversions import Reversions


class PlantModel:
    """Loads, PDUs, cooling and fixed load behind one site meter.

    `copy.deepcopy` gives an independent twin that goes on exactly as this one would: a judge uses
    it to see what other orders would have done.
    """

    def __init__(
        self,
        loads: Sequence[LoadSpec],
        *,
        pdus: Sequence[PduSpec] = (),
        fixed_w: float = 0.0,
        meter_seeds: Sequence[tuple[str, int]] = (("meter", 0),),
    ) -> None:
        self.now_s = 0.0
        """Seconds that the plant has run."""
        self.fleet = Loads(loads)
        """The loads column by column."""
        self.loads: Mapping[str, Load] = LoadsById(self.fleet)
        self.reversions = Reversions([spec.behaviour for spec in loads])
        """What the loads do by themselves when they hear no more."""
        self.feeders = Pdus(pdus, self.fleet)
        """The PDUs column by column."""
        self.pdus: Mapping[str, Pdu] = PdusById(self.feeders, self.fleet)
        self.fixed_w = fixed_w
        """Lights, controls, transformers: nobody can shed it."""
        self.load_w = float(self.fleet.draw_w.sum())
        """True draw of all loads."""
        self.weather = Weather()
        self.cooling = Cooling(self.load_w)
        self.true_power_w = self._site_w()
        """True power at the site's connection."""
        self.meters: dict[str, Meter] = {
            meter_id: Meter(meter_id, self.true_power_w, seed=seed) for meter_id, seed in meter_seeds
        }
        """The first one is the revenue meter."""
        self.meter = next(iter(self.meters.values()))

    @property
    def true_energy_wh(self) -> float:
        """Integral of the true power since the start."""
        return self.meter.true_energy_wh

    def order(self, load_id: str, watts: float | None) -> None:
        """Write a load's set-point: at most `watts` W, 0 = sleep, `None` = no limit."""
        load = self.loads[load_id]
        load.order(watts, self.now_s)
        if self.reversions.any and load.powered:
            self.reversions.heard(load.row, self.now_s)

    def switch(self, pdu_id: str, outlet: int, *, on: bool) -> None:
        """Switch an outlet of a PDU."""
        pdu = self.pdus[pdu_id]
        load = pdu.outlets[outlet - 1]
        if load is not None and load.powered != on:
            self.reversions.forget(load.row)
        pdu.switch(outlet, on=on, now_s=self.now_s)

    def set_disobeys(self, load_id: str, disobeys: bool) -> None:  # noqa: FBT001 - a fault is switched on or off
        """Make a load ignore orders, or cease to."""
        self.fleet.set_disobeys(self.fleet.index[load_id], disobeys, self.now_s)

    def set_has_work(self, load_id: str, has_work: bool) -> None:  # noqa: FBT001 - work is there or not
        """Take a load's work away, as a pool outage does, or give it back."""
        self.fleet.set_has_work(self.fleet.index[load_id], has_work, self.now_s)

    def misread(self, device_id: str, share: float) -> None:
        """Make a load, a PDU, a meter or the cooling report this share too much power and energy."""
        if device_id in self.fleet.index:
            self.fleet.misread(self.fleet.index[device_id], share, self.now_s)
        elif device_id in self.feeders.index:
            self.feeders.reading_factor[self.feeders.index[device_id]] = 1.0 + share
        elif device_id in self.meters:
            self.meters[device_id].gain = 1.0 + share
        else:
            self.cooling.reading_factor = 1.0 + share

    def misreading(self, device_id: str) -> float:
        """The share that a device reports too much."""
        if device_id in self.fleet.index:
            return self.fleet.misreading(self.fleet.index[device_id])
        if device_id in self.feeders.index:
            return float(self.feeders.reading_factor[self.feeders.index[device_id]]) - 1.0
        meter = self.meters.get(device_id)
        return (self.cooling.reading_factor if meter is None else meter.gain) - 1.0

    def reboot(self, load_id: str) -> None:
        """Restart a load: it forgets its set-point."""
        row = self.fleet.index[load_id]
        self.fleet.reboot(row, self.now_s)
        self.reversions.forget(row)

    def output(self, load_id: str) -> float:
        """TH/s or GPUs at work of a load."""
        row = self.fleet.index[load_id]
        return float(self.fleet.outputs(self.now_s, np.array([row]))[0])

    def step(self, dt_s: float) -> None:
        """Advance everything by `dt_s`; at most about 1 s for a faithful course."""
        self.now_s += dt_s
        self.reversions.step(self.fleet, self.now_s)
        self.fleet.step(self.now_s, dt_s)
        self.load_w = float(self.fleet.draw_w.sum())
        self.feeders.step(self.fleet, dt_s)
        self.cooling.step(self.load_w, dt_s, self.weather.ambient_c(self.now_s))
        self.true_power_w = self._site_w()
        for meter in self.meters.values():
            meter.step(self.true_power_w, dt_s)

    def floor_w(self, *, outlets: bool = False) -> float:
        """True W that nothing can shed now: sleepers, the disobedient, cooling as it runs, fixed load.

        Args:
            outlets: count PDU outlets as a way to shed: then what hangs on one and disobeys can be shed.
        """
        shed_w = self.fleet.shed_w()
        if outlets:
            fed = np.zeros(len(self.fleet), dtype=np.bool_)
            fed[self.feeders.fed[self.feeders.fed != NOTHING]] = True
            shed_w = np.where(fed & self.fleet.disobeys, 0.0, shed_w)
        return float(shed_w.sum()) + self.true_power_w - self.load_w

    def lowest_w(self, within_s: float, *, step_s: float = 0.1) -> float:
        """True site power `within_s` from now if every load were ordered to sleep now."""
        twin = copy.deepcopy(self)
        for load_id in twin.loads:
            twin.order(load_id, 0)
        for _ in range(round(within_s / step_s)):
            twin.step(step_s)
        return twin.true_power_w

    def _site_w(self) -> float:
        return self.load_w + OWN_W * len(self.feeders) + self.cooling.draw_w + self.fixed_w
