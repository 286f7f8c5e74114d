"""The curtailment scenario: what is signed when, and what fails when."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from math import ceil
from typing import Self

from daemon.commands.orders import ScheduleEntry
from sim_devices.demo.errors import DemoError
from sim_devices.demo.judge import Step
from sim_devices.demo.shadow import Shadow
from sim_devices.demo.stage import Stage

LIMITED_SHARE = 0.6
ANNOUNCED_SHARE = 0.8
QUOTA_S = 3600
READY_S = 40.0
"""A daemon that has not taken up the quota by then does not work."""
DRAIN_S = 25.0


class StepName(StrEnum):
    """The scenario's steps, in order."""

    FULL = "full"
    LIMITED = "quota_60"
    ANNOUNCED = "announced_80"
    OFF = "quota_0"
    FAILSAFE = "failsafe"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that each part takes at least; `restored_s` goes on to the end of an interval."""

    full_s: float = 7
    limited_s: float = 18
    announced_s: float = 11
    off_s: float = 20
    silent_s: float = 9
    """Without heartbeats, still at 0. Together with `off_s` the slowest loads need 27 s."""
    restored_s: float = 26
    outage_s: float = 8
    """Of the exchange, within `restored_s`, around the end of an interval."""

    @property
    def total_s(self) -> float:
        """Length of the scenario, without start and drain."""
        parts = (self.full_s, self.limited_s, self.announced_s, self.off_s, self.silent_s, self.restored_s)
        return sum(parts)

    @classmethod
    def lasting(cls, duration_s: float) -> Self:
        """A scenario of about this length; what is held is held longer or shorter.

        Raises:
            ValueError: shorter than `SHORTEST`.
        """
        if duration_s < SHORTEST.total_s:
            raise ValueError(f"the scenario needs {SHORTEST.total_s:.0f} s")
        share = (duration_s - SHORTEST.total_s) / (Timing().total_s - SHORTEST.total_s)
        return cls(
            **{
                field.name: getattr(SHORTEST, field.name)
                + share * (getattr(Timing(), field.name) - getattr(SHORTEST, field.name))
                for field in fields(cls)
            }
        )


SHORTEST = Timing(full_s=4, limited_s=14, announced_s=8, restored_s=20)

Hook = Callable[[Stage], Awaitable[None]]
"""Something that happens beside the scenario from the beginning of a step on."""


async def play(stage: Stage, timing: Timing, hooks: Mapping[StepName, Hook] | None = None) -> None:
    """Play the scenario on a stage whose dispatcher runs; the daemon is started and stopped here.

    Raises:
        DemoError: the daemon does not take up its quota, or does not end when told to.
    """
    async with asyncio.TaskGroup() as beside:
        scenario = _Scenario(stage, timing, hooks or {}, beside)
        await scenario.start()
        await scenario.full_load()
        await scenario.limited()
        await scenario.off()
        await scenario.restored()
        await scenario.drained()
    await stage.stop()


class _Scenario:
    def __init__(
        self, stage: Stage, timing: Timing, hooks: Mapping[StepName, Hook], beside: asyncio.TaskGroup
    ) -> None:
        self._stage = stage
        self._timing = timing
        self._hooks = hooks
        self._beside = beside
        self._full_w = stage.full_w

    async def start(self) -> None:
        """Quota and heartbeats first, so that the daemon finds both."""
        stage = self._stage
        self._quota((0.0, None))
        stage.note(f"quota 1 signed: released, at most {_kw(stage.terms.contract_max_w)}")
        await stage.daemon.start()
        try:
            async with asyncio.timeout(READY_S):
                while stage.dispatcher.state.get("state") != "controlled":
                    stage.dispatcher.said.clear()
                    await stage.dispatcher.said.wait()
        except TimeoutError:
            said = stage.dispatcher.state.get("state", "silent")
            raise DemoError(f"after {READY_S:.0f} s the daemon is {said}; {stage.daemon.tail()}") from None

    async def full_load(self) -> None:
        """The site draws what it likes, below the contract."""
        self._step(StepName.FULL, None, f"full load, {_kw(self._full_w)}")
        self._stage.dispatcher.ping()
        await asyncio.sleep(self._timing.full_s)

    async def limited(self) -> None:
        """60 % at once; the same document announces 80 %."""
        limited_w, announced_w = (round(share * self._full_w) for share in (LIMITED_SHARE, ANNOUNCED_SHARE))
        change_s = ceil(self._stage.wall() + self._timing.limited_s)
        self._quota((0.0, limited_w), (change_s - self._stage.wall(), announced_w), lowers=True)
        text = f"quota 2 signed: 60 % = {_kw(limited_w)} at once, 80 % from {change_s % 60:02} s past on"
        self._step(StepName.LIMITED, limited_w, text, unannounced=True)
        await self._until(change_s)
        self._step(
            StepName.ANNOUNCED, announced_w, f"the announced 80 % = {_kw(announced_w)} begin", change_s
        )
        await asyncio.sleep(self._timing.announced_s)

    async def off(self) -> None:
        """Everything off; and then nobody speaks any more."""
        stage = self._stage
        self._quota((0.0, 0), lowers=True)
        self._step(StepName.OFF, 0, "quota 3 signed: 0, everything sheddable off", unannounced=True)
        await asyncio.sleep(self._timing.off_s)
        stage.dispatcher.leasing = False
        stage.note("the heartbeats stop")
        silent_from_s = stage.wall()
        lapses_s = stage.documents.fresh_until_s(silent_from_s) or silent_from_s
        await self._until(lapses_s)
        text = "authority has lapsed: failsafe, and still not above the quota held"
        self._step(StepName.FAILSAFE, stage.documents.limit_w(lapses_s), text, lapses_s)
        await self._until(silent_from_s + self._timing.silent_s)
        stage.note_unshed()

    async def restored(self) -> None:
        """Released again; while the load returns the exchange is away for a while."""
        stage, timing = self._stage, self._timing
        stage.end_shadows()
        self._quota((0.0, None))
        stage.dispatcher.leasing = True
        stage.dispatcher.lease()
        self._step(StepName.RESTORED, None, "heartbeats again, quota 4 signed: released, staged restore")
        until_s = self._end_of_interval(stage.wall() + timing.restored_s)
        middle_s = self._end_of_interval(stage.wall() + timing.outage_s / 2)
        await self._until(middle_s - timing.outage_s / 2)
        await stage.exchange.stop()
        stage.note("the exchange goes down")
        await self._until(middle_s + timing.outage_s / 2)
        await stage.exchange.start()
        stage.note(f"the exchange is back, waiting for it: {_intervals(stage.unsettled())}")
        await self._until(until_s)

    async def drained(self) -> None:
        """Wait until every interval so far has its receipt; the judge says so if one never gets it."""
        deadline_s = self._stage.wall() + DRAIN_S
        # The book is SQLite: there is nothing in it to wait for but time.
        while self._stage.unsettled() and self._stage.wall() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        self._stage.note(f"without a receipt: {_intervals(self._stage.unsettled())}")

    def _quota(self, *steps: tuple[float, int | None], lowers: bool = False) -> None:
        """Publish (seconds from now, limit), each until the next, the last for an hour."""
        stage = self._stage
        wall_s = stage.wall()
        starts = [int(wall_s + after_s + 0.001) for after_s, _ in steps]
        ends = [*starts[1:], starts[0] + QUOTA_S]
        entries = [
            ScheduleEntry(start, end, limit_w)
            for start, end, (_, limit_w) in zip(starts, ends, steps, strict=True)
        ]
        stage.end_shadows()
        if lowers:
            history = stage.plant.history
            stage.shadows.append(Shadow.of(stage.plant.truth, first=len(history), published_s=wall_s))
        stage.dispatcher.quota(entries)

    def _step(
        self,
        name: StepName,
        limit_w: float | None,
        text: str,
        at_s: float | None = None,
        *,
        unannounced: bool = False,
    ) -> None:
        stage = self._stage
        begins_s = stage.wall() if at_s is None else at_s
        stage.chronicle.step(Step(name.value, begins_s, limit_w, unannounced=unannounced), text)
        if name in self._hooks:
            self._beside.create_task(_hooked(self._hooks[name], stage), name=f"demo hook {name}")

    def _end_of_interval(self, wall_s: float) -> float:
        """The first end of an interval at or after a time."""
        interval_s = self._stage.terms.interval_s
        return ceil(wall_s / interval_s) * float(interval_s)

    async def _until(self, wall_s: float) -> None:
        await asyncio.sleep(max(0.0, wall_s - self._stage.wall()))


async def _hooked(hook: Hook, stage: Stage) -> None:
    await hook(stage)


def _intervals(count: int) -> str:
    return {0: "no interval", 1: "1 interval"}.get(count, f"{count} intervals")


def _kw(watts: float) -> str:
    return f"{watts / 1e3:,.0f} kW"
