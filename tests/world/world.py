"""The world: the whole daemon in virtual time, badly connected, and judged from outside at every second.

    async with World(loop, folder, scenario, seed=7) as world:
        await world.play(3600)
    assert world.judge.violations == []

A scenario file says everything: the plant and what goes wrong there, what the dispatcher does, how messages
and connections suffer, when the daemon is killed. Equal scenario and seed give an equal `world.judge.trace`.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from daemon.cycle.controller import Controller
from sim_devices.layout import METER_ROLES
from sim_devices.mqtt.memory import MemoryBus
from sim_devices.scenario import DispatchTable, MessagesTable, PlantTable, ScenarioDocument, Span
from tests.world.judge import LEEWAY_S, Judge, Second
from tests.world.limit_oracle import LimitOracle
from tests.world.loop import VirtualLoop
from tests.world.rough_broker import RoughBus
from tests.world.rough_wires import RoughWires
from tests.world.virtual_site import VirtualSite

LOOK_S = 0.5
"""After the whole second, when plant and cycle have done their parts."""
IN_FAILSAFE_S = 10.0
"""Orders that were under way when failsafe began."""
METER_LOST_S = 300.0
"""Without a meter for so long, a site falls to failsafe although its leases are fresh."""
METER_BACK_S = 75.0
"""A meter has to be well for a minute before that ends."""


class World(VirtualSite):
    """A `VirtualSite` that follows a scenario. `play` lets time pass.

    Args:
        loop: of `run_virtual`.
        folder: for the files of the site.
        scenario: everything that happens.
        seed: in place of the scenario's.
        period_s: of the devices; the site meter is read every second.
        step_s: of the physics.
        more: as `VirtualSite` and `Plant`.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        folder: Path,
        scenario: ScenarioDocument,
        *,
        seed: int | None = None,
        period_s: float = 5.0,
        step_s: float = 1.0,
        **more: Any,
    ) -> None:
        self.scenario = scenario
        self.seed = scenario.seed if seed is None else seed
        self.table: DispatchTable = scenario.dispatch or DispatchTable()
        plant = scenario.plant or PlantTable()
        options = plant.model_dump(exclude={"lie_percent"}) | {"lie": plant.lie_percent / 100}
        super().__init__(
            loop,
            folder,
            seed=self.seed,
            period_s=period_s,
            meter_period_s=min(period_s, 1.0),
            step_s=step_s,
            contract_share=self.table.contract_share,
            failsafe_share=self.table.failsafe_share,
            scenario=scenario,
            remember=False,
            **(options | more),
        )
        self.judge = Judge()
        self.oracle = LimitOracle(self.contract_w, self.failsafe_w)
        self.at_s = 0.0
        """Seconds that have been played."""
        self.writes = 0
        """Set-points that reached a load."""
        self.switches = 0
        """Of them changed what it is to do."""
        self._loop = loop
        self._messages = scenario.messages or MessagesTable()
        if scenario.wires is not None:
            loop.wires = RoughWires(scenario.wires, random.Random(f"{self.seed} wires"))
        self._rng = random.Random(f"{self.seed} dispatch")
        self._due: list[tuple[float, int, Callable[[], Awaitable[None] | None]]] = []
        self._number = 0
        self._shares: list[tuple[float, float | None]] = []
        self._failsafe_s = self._last_floor_w = 0.0
        self._starts = 0
        self._away_s = np.full(len(self.plant.truth.fleet), -np.inf)
        """When a load was last out of reach."""
        self._unmetered_s = 0.0
        """So long no meter of the whole site has been well."""
        self._listen_in()
        self._plan()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.dispatcher.leasing = True
        self._looking = asyncio.create_task(self._look_on(), name="judge")
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        await super().__aexit__(*error)

    # --- time -------------------------------------------------------------------------------------

    async def play(self, seconds: float) -> None:
        """Let time pass, and happen what the scenario says.

        Raises:
            ExceptionGroup: the daemon died of something that it did not foresee.
        """
        end_s = self.at_s + seconds
        while self._due and self._due[0][0] <= end_s:
            due_s, _, what = heapq.heappop(self._due)
            await self._pass(due_s - self.at_s)
            doing = what()
            if doing is not None:
                await doing
        await self._pass(end_s - self.at_s)

    async def _pass(self, seconds: float) -> None:
        if seconds > 0:
            if self.daemon is None:
                await asyncio.sleep(seconds)
            else:
                await self.run(seconds)
            self.at_s += seconds
        if self._looking.done():
            self._looking.result()

    def at(self, at_s: float, what: Callable[[], Awaitable[None] | None]) -> None:
        """Have something done when so much has been played."""
        self._number += 1
        heapq.heappush(self._due, (at_s, self._number, what))

    # --- the daemon -------------------------------------------------------------------------------

    async def start(self) -> None:
        self.oracle.started(self.clock.wall(), known=self._starts > 0)
        self._starts += 1
        await super().start()
        self.judge.gives_leeway(self.clock.wall() + LEEWAY_S)

    def join(self) -> MemoryBus:
        rng = random.Random(f"{self.seed} messages {self._starts}")
        return RoughBus(self.broker, self._messages, rng, self._heard)

    def _heard(self, topic: str, payload: bytes) -> None:
        before_s = self.oracle.fell_unannounced_s
        self.oracle.heard(topic, payload, self.clock.wall())
        if self.oracle.fell_unannounced_s > before_s:
            self.judge.gives_leeway(self.oracle.fell_unannounced_s + LEEWAY_S)

    # --- what happens -----------------------------------------------------------------------------

    def _plan(self) -> None:
        table = self.table
        for span in table.silent:
            self._span(span, self._silence, self._speak)
        for span in table.broker_away:
            self._span(span, self.cut, self.mend)
        for span in table.daemon_killed:
            self._span(span, self.kill, self.start)
        for span in table.daemon_stopped:
            self._span(span, self.stop, self.start)
        if table.random_steps is not None:
            self.at(table.random_steps.at_s, lambda: self._random_step(first=True))
        else:
            self.at(0.0, lambda: self._tell([(0.0, None)]))
            for index, step in enumerate(table.steps):
                said_s = max(step.at_s - step.announced_s, 0.0)
                self.at(said_s, lambda index=index: self._fixed_step(index))  # type: ignore[misc] # bound now

    def _span(
        self,
        span: Span,
        begin: Callable[[], Awaitable[None] | None],
        end: Callable[[], Awaitable[None] | None],
        turn: int = 0,
    ) -> None:
        at_s = span.at_s + turn * (span.every_s or 0.0)

        def begins() -> Awaitable[None] | None:
            self.at(at_s + span.for_s, end)
            if span.every_s is not None:
                self._span(span, begin, end, turn + 1)
            return begin()

        self.at(at_s, begins)

    def _fixed_step(self, index: int) -> None:
        """Say what is so now, and the step."""
        steps = self.table.steps
        present = [None, *(each.share for each in steps if each.at_s <= self.at_s)][-1]
        step = steps[index]
        if step.at_s <= self.at_s:
            self._tell([(0.0, step.share)])
        else:
            self._tell([(0.0, present), (step.at_s - self.at_s, step.share)])

    def _random_step(self, *, first: bool = False, share: float | None = None) -> None:
        table = self.table.random_steps
        assert table is not None
        now = self._drawn() if share is None or first else share
        then = self._drawn()
        announced = self._rng.random() < table.announced_share
        self._tell([(0.0, now), (table.every_s, then)] if announced else [(0.0, now)])
        self.at(self.at_s + table.every_s, lambda: self._random_step(share=then))

    def _drawn(self) -> float:
        table = self.table.random_steps
        assert table is not None
        if self._rng.random() < table.zero_share:
            return 0.0
        return self._rng.uniform(table.low, table.high)

    def _tell(self, steps: Iterable[tuple[float, float | None]]) -> None:
        limits = [(after_s, None if share is None else int(share * self.full_w)) for after_s, share in steps]
        self.dispatcher.quota(*limits, last_s=2 * 86_400)
        if self.dispatcher.leasing:
            self.dispatcher.lease()

    def _silence(self) -> None:
        self.dispatcher.leasing = False

    def _speak(self) -> None:
        self.dispatcher.leasing = True

    def cut(self) -> None:
        """The broker is gone."""
        if self.link is not None and self.link.connected:
            self.link.cut()

    def mend(self) -> None:
        """It is back."""
        if self.link is not None and self.daemon is not None and not self.link.connected:
            self.link.mend()

    # --- judgement --------------------------------------------------------------------------------

    async def _look_on(self) -> None:
        begun_s = self._loop.time()
        second = 0
        while True:
            second += 1
            await asyncio.sleep(begun_s + second + LOOK_S - self._loop.time())
            self._look()

    def _look(self) -> None:
        wall_s = self.clock.wall() - LOOK_S
        limit_w, state = None, "away"
        controller = self._controller
        if controller is not None:
            verdict = controller.verdict
            limit_w, state = float(verdict.limit_w), verdict.authority.state.value
        model = self.plant.truth
        unreachable = self._unreachable()
        # What jumps, jumps between two steps: the power is of before, the floor of after.
        before_w, self._last_floor_w = self._last_floor_w, self._floor_w(unreachable)
        floor_w = max(before_w, self._last_floor_w)
        now = Second(wall_s, model.true_power_w, floor_w, limit_w, state)
        self._failsafe_s = self._failsafe_s + 1.0 if state == "failsafe" else 0.0
        if limit_w is None:
            self.judge.gives_leeway(wall_s + LEEWAY_S)
        well = any(self.plant.faults[meter].sound for meter in self._meters)
        self._unmetered_s = 0.0 if well else self._unmetered_s + 1.0
        if self._unmetered_s > METER_LOST_S:
            self.oracle.doubtful(wall_s + METER_BACK_S)
        bounds = self.oracle.bounds(self.clock.wall())
        self.judge.look(now, bounds)
        self.judge.shed(now, model, ~unreachable)
        self._keep()

    def _keep(self) -> None:
        course, controller = self.judge.course, self._controller
        last = None if controller is None else controller.last
        metered_w = None if last is None else last.power.watts
        plan = None if last is None else last.plan
        expected_w = None if plan is None else plan.loads_w + plan.uncontrolled_w
        course.metered_w.append(np.nan if metered_w is None else metered_w)
        course.expected_w.append(np.nan if expected_w is None else expected_w)
        course.switches.append(self.switches)

    @property
    def _controller(self) -> Controller | None:
        # What the daemon would publish a moment later; looked at, never touched.
        return None if self.daemon is None else self.daemon._loop.controller

    @cached_property
    def _meters(self) -> list[str]:
        """Those that see the whole site."""
        return [device.id for device in self.plant.devices if device.role in METER_ROLES]

    @cached_property
    def _by_message(self) -> list[int]:
        """Rows of the loads that are reached by way of the broker."""
        index = self.plant.truth.fleet.index
        by_message = [device.id for device in self.plant.devices if device.address.startswith("mqtt:")]
        return [index[device] for device in by_message if device in index]

    def _unreachable(self) -> np.ndarray:
        """(loads,): that nobody can reach now, whatever is ordered; or came back a moment ago."""
        faults, fleet = self.plant.faults, self.plant.truth.fleet
        now_s = self._loop.time()
        if self.link is None or not self.link.connected:
            self._away_s[self._by_message] = now_s
        for load, row in fleet.index.items():
            fault = faults[load]
            if not fault.sound and (fault.refuse or fault.silent or fault.refuse_writes is not None):
                self._away_s[row] = now_s
        return now_s - self._away_s <= LEEWAY_S

    def _floor_w(self, unreachable: np.ndarray) -> float:
        model = self.plant.truth
        fleet = model.fleet
        shed_w = np.where(unreachable, fleet.draw_w, fleet.shed_w())
        return float(shed_w.sum()) + model.true_power_w - model.load_w

    def _listen_in(self) -> None:
        """Hear every order that reaches a load."""
        model = self.plant.truth
        order, fleet = model.order, model.fleet

        def heard(load_id: str, watts: float | None) -> None:
            row = fleet.index[load_id]
            before_w = fleet.ordered_w[row]
            order(load_id, watts)
            after_w = fleet.ordered_w[row]
            self.writes += 1
            if before_w == after_w or (np.isnan(before_w) and np.isnan(after_w)):
                return
            self.switches += 1
            wall_s = self.clock.wall()
            self.judge.note(f"{wall_s:.3f} {load_id} {watts}\n")
            full_w = fleet.rated.full_w[row]
            rise_w = np.nan_to_num(after_w, nan=full_w) - np.nan_to_num(before_w, nan=full_w)
            if rise_w > 0 and self._failsafe_s > IN_FAILSAFE_S:
                self.judge.rose(wall_s, f"{load_id} ordered up in failsafe", rise_w)

        model.order = heard  # type: ignore[method-assign] # listens in
