"""The plant: every device's physics, and the truth about all of them."""

import copy
from collections.abc import Sequence

from sim_devices.physics.cooling import Cooling
from sim_devices.physics.load import Load
from sim_devices.physics.meter import Meter
from sim_devices.physics.pdu import OWN_W, Pdu


class PlantModel:
    """Loads, PDUs, cooling and fixed load behind one site meter.

    `copy.deepcopy` gives an independent twin that goes on exactly as this one would: a judge uses
    it to see what other orders would have done.
    """

    def __init__(
        self,
        loads: Sequence[Load],
        *,
        pdus: Sequence[Pdu] = (),
        fixed_w: float = 0.0,
        meter_seeds: Sequence[tuple[str, int]] = (("meter", 0),),
    ) -> None:
        self.now_s = 0.0
        """Seconds that the plant has run."""
        self.loads: dict[str, Load] = {load.id: load for load in loads}
        self.pdus: dict[str, Pdu] = {pdu.id: pdu for pdu in pdus}
        self.fixed_w = fixed_w
        """Lights, controls, transformers: nobody can shed it."""
        self._loads = tuple(loads)
        self._pdus = tuple(pdus)
        self.load_w = sum(load.draw_w for load in loads)
        """True draw of all loads."""
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
        self.loads[load_id].order(watts, self.now_s)

    def switch(self, pdu_id: str, outlet: int, *, on: bool) -> None:
        """Switch an outlet of a PDU."""
        self.pdus[pdu_id].switch(outlet, on=on, now_s=self.now_s)

    def set_disobeys(self, load_id: str, disobeys: bool) -> None:  # noqa: FBT001 - a fault is switched on or off
        """Make a load ignore orders, or cease to."""
        self.loads[load_id].set_disobeys(disobeys, self.now_s)

    def reboot(self, load_id: str) -> None:
        """Restart a load: it forgets its set-point."""
        self.loads[load_id].reboot(self.now_s)

    def output(self, load_id: str) -> float:
        """TH/s or GPUs at work of a load."""
        return self.loads[load_id].output(self.now_s)

    def step(self, dt_s: float) -> None:
        """Advance everything by `dt_s`; at most about 1 s for a faithful course."""
        self.now_s += dt_s
        load_w = 0.0
        for load in self._loads:
            if not load.settled:
                load.step(self.now_s, dt_s)
            load_w += load.draw_w
        self.load_w = load_w
        for pdu in self._pdus:
            pdu.step(dt_s)
        self.cooling.step(load_w, dt_s)
        self.true_power_w = self._site_w()
        for meter in self.meters.values():
            meter.step(self.true_power_w, dt_s)

    def floor_w(self, *, outlets: bool = False) -> float:
        """True W that nothing can shed now: sleepers, the disobedient, cooling as it runs, fixed load.

        Args:
            outlets: count PDU outlets as a way to shed: then what hangs on one and disobeys can be shed.
        """
        fed = {load.id for pdu in self._pdus for load in pdu.outlets if load is not None} if outlets else ()
        shed_w = sum(0.0 if load.disobeys and load.id in fed else load.shed_w for load in self._loads)
        return shed_w + self.true_power_w - self.load_w

    def lowest_w(self, within_s: float, *, step_s: float = 0.1) -> float:
        """True site power `within_s` from now if every load were ordered to sleep now."""
        twin = copy.deepcopy(self)
        for load_id in twin.loads:
            twin.order(load_id, 0)
        for _ in range(round(within_s / step_s)):
            twin.step(step_s)
        return twin.true_power_w

    def _site_w(self) -> float:
        return self.load_w + OWN_W * len(self._pdus) + self.cooling.draw_w + self.fixed_w
