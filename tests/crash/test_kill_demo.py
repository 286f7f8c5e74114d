"""Kill -9 of the daemon in the middle of the demo's scenario, and another start."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.timestamps import parse_utc
from sim_devices.demo.command import Options, run_demo
from sim_devices.demo.scenario import SHORTEST, StepName
from sim_devices.demo.stage import Stage


@pytest.mark.timeout(150)
async def test_no_interval_is_lost_or_doubled_and_the_limit_does_not_rise(tmp_path: Path) -> None:
    stages: list[Stage] = []
    killed_s: list[float] = []

    async def kill_and_start(stage: Stage) -> None:
        stages.append(stage)
        # Away over the end of an interval, and while slow loads are still on their way down.
        interval_s = stage.terms.interval_s
        await asyncio.sleep(3 + (interval_s - 0.5 - (stage.wall() + 3)) % interval_s)
        await stage.daemon.kill()
        killed_s.append(stage.wall())
        await asyncio.sleep(1.5)
        await stage.daemon.start()

    timing = replace(SHORTEST, limited_s=24)
    options = Options(tmp_path / "site", miners=60, seed=3, timing=timing)
    result = await run_demo(options, {StepName.LIMITED: kill_and_start})
    (stage,), (killed,) = stages, killed_s

    assert result.problems() == []
    assert result.settlement.due == result.settlement.receipted >= 8
    assert result.energy is not None
    assert result.energy.agrees

    announced = next(step for step in stage.chronicle.steps if step.name == StepName.ANNOUNCED)
    said = [(at_s, state) for at_s, state in stage.dispatcher.states if state["online"]]
    before = [state for at_s, state in said if at_s < killed]
    after = [state for at_s, state in said if killed < at_s < announced.at_s]
    assert before[-1]["boot"] != after[0]["boot"]
    assert before[-1]["state"] == "limited"
    assert all(state["limit_w"] <= before[-1]["limit_w"] for state in after)
    assert all(parse_utc(state["ts"]) >= int(killed) for state in after)

    # The plant went on as it was ordered: the start raised nothing above what was allowed.
    since = [moment for moment in stage.plant.history if killed <= moment.wall_s < announced.at_s]
    allowed_w = max(since[0].true_power_w, stage.documents.limit_w(killed))
    assert max(moment.true_power_w for moment in since) <= allowed_w
