"""The control core against a plant of many thousand loads: no daemon, no messages, everything by column."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from daemon.table.snapshot import REASON_CODE
from daemon.table.table import Floats
from drivers.ports import Absence, WriteResult
from drivers.profile import OutputKind, Role
from drivers.profiles import load_profile
from drivers.quantity import COLUMN, Quantity
from sim_devices.faults import DeviceFaults
from sim_devices.layout import lay_out
from sim_devices.physics.loads import nan_of_none
from sim_devices.physics.ratings import same_order
from sim_devices.scenario import PlantTable, Play, ScenarioDocument, Site
from tests.world.judge import LEEWAY_S, Judge, Second
from tests.world.pure_site import PureSite

_OUTPUT = {OutputKind.HASH: Quantity.HASHRATE, OutputKind.GPU: Quantity.GPU_ACTIVE}
NETWORK_S = 0.4
"""From the sample to the cycle that sees it."""


@dataclass
class ArraySite(PureSite):
    """A `PureSite` whose loads are read every few seconds, a part of them each second; the meter each second.

    Physics and cycle take steps of a second. Every second is judged; `history` stays empty.
    """

    load_period_s: float = 5.0
    """Whole seconds."""
    scenario: ScenarioDocument | None = None
    seed: int = 1
    judge: Judge = field(default_factory=Judge)
    switches: int = 0
    """Orders that changed what a load is to do."""
    writes: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        devices, model = self.layout.devices, self.plant.model
        fleet = model.fleet
        self._values = np.full((len(devices), len(COLUMN)), np.nan)
        is_load = np.array([device.id in fleet.index for device in devices])
        self._load_rows = np.flatnonzero(is_load)
        self._at = np.array([fleet.index[devices[row].id] for row in self._load_rows], dtype=np.intp)
        outputs = [_OUTPUT[devices[row].profile.output or OutputKind.HASH] for row in self._load_rows]
        self._output_columns = np.array([COLUMN[each] for each in outputs], dtype=np.intp)
        self._other_rows = np.flatnonzero(~is_load)
        self._turn = 0
        self._offline = np.zeros(len(self._at), dtype=np.bool_)
        """(loads,): out of reach."""
        self._away_s = np.full(len(self._at), -np.inf)
        """(loads,): when each was last out of reach."""
        self._last_floor_w = 0.0
        self._place = {devices[row].id: place for place, row in enumerate(self._load_rows)}
        self._place_of = np.full(len(devices), -1)
        self._place_of[self._load_rows] = np.arange(len(self._load_rows))
        """(devices,): the place of each load among the loads."""
        self.faults = {spec.id: DeviceFaults(spec.id, model, seed=self.seed) for spec in self.plant.specs}
        # The columns that thousands of calls a second would write to one by one.
        self._started = np.frombuffer(self.table._started)
        self._reasons = np.frombuffer(self.table._reasons, dtype=np.uint8)
        for device in self._place:
            changed = partial(self._fault_changed, device)
            self.faults[device].attach(changed=changed, vanish=changed)
        for device in self.plant.offline:
            self.faults[device].refuse = True
        self._play = None
        if self.scenario is not None:
            site = Site(self.plant.specs, self.faults, model)
            self._play = Play(self.scenario, site, seed=self.seed)

    @classmethod
    def of(
        cls, scenario: ScenarioDocument, *, seed: int, failsafe_share: float = 0.0, load_period_s: float = 5.0
    ) -> "ArraySite":
        """The plant of a scenario, under a contract of its nameplate plus 15 %."""
        table = scenario.plant or PlantTable()
        options = table.model_dump(exclude={"lie_percent"}) | {"lie": table.lie_percent / 100}
        plant = lay_out(profile=load_profile, seed=seed, **options)
        contract_w = int(1.15 * plant.nameplate_w)
        failsafe_w = int(failsafe_share * plant.nameplate_w)
        return cls(plant, contract_w, failsafe_w, load_period_s=load_period_s, scenario=scenario, seed=seed)

    def _fault_changed(self, device: str) -> None:
        fault, place = self.faults[device], self._place[device]
        self._offline[place] = fault.refuse or fault.silent
        if self._offline[place]:
            self._reasons[self._load_rows[place]] = REASON_CODE[Absence.TIMED_OUT]

    def run(self, seconds: float) -> None:
        """Let whole seconds pass."""
        for _ in range(round(seconds)):
            self.plant.model.step(1.0)
            self.model_s = round(self.model_s + 1.0, 3)
            if self._play is not None:
                self._play.advance(self.plant.model.now_s)
            self._carry_out()
            self._poll()
            if self.leasing and round(self.model_s) % 10 == 0:
                self.lease()
            # The second that has passed was under the limit of the cycle before.
            self.cycle()
            self._look()

    def quota(self, *steps: tuple[float, int | None]) -> None:
        before_w = self.controller.verdict.limit_w
        super().quota(*steps)
        if self.controller.verdict.limit_w < before_w:
            self.judge.gives_leeway(self.now.wall_s + LEEWAY_S)

    def _carry_out(self) -> None:
        queue, model = self.fleet.queue, self.plant.model
        if not queue:
            return
        rows = np.fromiter(queue, dtype=np.intp, count=len(queue))
        place = self._place_of[rows]
        reached = ~self._offline[place]
        watts = np.array([nan_of_none(each) for each in queue.values()])[reached]
        at, fleet = self._at[place[reached]], model.fleet
        before_w = fleet.ordered_w[at]
        fleet.order(at, watts, model.now_s)
        self.writes += len(at)
        self.switches += int((~same_order(before_w, fleet.ordered_w[at])).sum())
        for (row, ordered_w), heard in zip(queue.items(), reached.tolist(), strict=True):
            result = WriteResult.ACKNOWLEDGED if heard else WriteResult.TIMED_OUT
            self.table.written(row, ordered_w, result, self.model_s)
        queue.clear()

    def _poll(self) -> None:
        model = self.plant.model
        turn = np.arange(self._turn, len(self._at), int(self.load_period_s))
        self._turn = (self._turn + 1) % int(self.load_period_s)
        turn = turn.take(np.flatnonzero(~self._offline.take(turn)))
        rows, at, values = self._load_rows[turn], self._at[turn], self.table._values
        values[rows, COLUMN[Quantity.POWER]] = model.fleet.reported_w(at)
        # As the drivers decode it: what stands for no limit is the ceiling.
        held_w, ceiling_w = model.fleet.ordered_w[at], model.fleet.rated.full_w[at]
        values[rows, COLUMN[Quantity.SETPOINT]] = np.where(np.isnan(held_w), ceiling_w, held_w)
        values[rows, self._output_columns[turn]] = model.fleet.outputs(model.now_s, at)
        self._mark(rows)
        for row in self._other_rows:
            device = self.layout.devices[row]
            found: Mapping[Quantity, float]
            if device.id in model.meters:
                meter = model.meters[device.id]
                found = {Quantity.POWER: meter.power_w, Quantity.ENERGY_IMPORT: float(meter.register_wh)}
            elif device.role is Role.COOLING:
                found = {Quantity.POWER: model.cooling.draw_w}
            else:
                found = {Quantity.POWER: model.pdus[device.id].power_w}
            for quantity, value in found.items():
                values[row, COLUMN[quantity]] = value
        self._mark(self._other_rows)

    def _mark(self, rows: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> None:
        self._started[rows] = self.model_s - NETWORK_S
        self._reasons[rows] = 0

    def _look(self) -> None:
        model, verdict = self.plant.model, self.controller.verdict
        fleet = model.fleet
        shed_w = fleet.shed_w()
        # Who comes back unasked, at full power, is to be down as soon as after a step that came unannounced.
        self._away_s[np.flatnonzero(self._offline)] = self.model_s
        unreachable = self._at.take(np.flatnonzero(self.model_s - self._away_s <= LEEWAY_S))
        shed_w[unreachable] = fleet.draw_w[unreachable]
        # What jumps, jumps between two steps: the power is of before, the floor of after.
        before_w, self._last_floor_w = (
            self._last_floor_w,
            float(shed_w.sum()) + model.true_power_w - model.load_w,
        )
        floor_w = max(before_w, self._last_floor_w)
        now = Second(
            self.now.wall_s,
            model.true_power_w,
            floor_w,
            float(verdict.limit_w),
            verdict.authority.state.value,
        )
        self.judge.look(now, None)
        course, result = self.judge.course, self.result
        assert result is not None
        course.metered_w.append(np.nan if result.power.watts is None else result.power.watts)
        expected_w = np.nan if result.plan is None else result.plan.loads_w + result.plan.uncontrolled_w
        course.expected_w.append(expected_w)
        course.switches.append(self.switches)

    def power_w(self, from_s: float, to_s: float | None = None) -> Floats:
        """True power of every second of a span of the site's own time."""
        last = len(self.judge.course.power_w)
        end = last if to_s is None else round(to_s)
        return np.array(self.judge.course.power_w[round(from_s) : end])

    def limit_w(self, from_s: float, to_s: float | None = None) -> Floats:
        """The limit that was in force when each of these seconds began."""
        last = len(self.judge.course.limit_w)
        end = last if to_s is None else round(to_s)
        return np.array(self.judge.course.limit_w[round(from_s) - 1 : end - 1])


def scaled(scenario: ScenarioDocument, miners: int) -> ScenarioDocument:
    """The same for another number of miners; gateways in proportion."""
    plant = scenario.plant
    assert plant is not None
    gateways = plant.gateways * miners // max(plant.miners, 1)
    return scenario.model_copy(
        update={"plant": plant.model_copy(update={"miners": miners, "gateways": gateways})}
    )
