"""Kill -9 at any moment, again and again: the ledger goes on without a hole, a double or a lost watt-hour."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from daemon.ledger.chain import payload_of, verify_run
from daemon.store import Store
from tests.world.metered_site import MIDNIGHT, audit
from tests.world.settling_process import INTERVAL_S, KEY, POINTS, open_ledger, site_at


async def _live_and_die(path: Path, start_s: float, rng: random.Random) -> float:
    """Start the process, let it live for a while, kill it; returns the last second that it told."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.world.settling_process",
        str(path),
        str(start_s),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    last_s = start_s
    for _ in range(rng.randint(1, 40)):
        last_s = float(await process.stdout.readline())
    # It is in the middle of something by now.
    await asyncio.sleep(rng.uniform(0, 0.02))
    process.kill()
    told = (await process.stdout.read()).split(b"\n")[:-1]
    await process.wait()
    return float(told[-1]) if told else last_s


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "ledger.sqlite"
    now_s = float(MIDNIGHT + 86_370)
    for _ in range(5):
        # The next life begins no earlier than a second that the last one may have got to.
        now_s = await _live_and_die(path, now_s, rng) + rng.choice([1.0, 2.5, 7.0, 23.0])
    store = await Store.open(path)
    try:
        site = site_at(now_s)
        ledger = await open_ledger(store, site)
        baselines = await ledger.baselines()
        (state,) = ledger.epochs
        records = await ledger.records(state.epoch, 1, 100_000)
    finally:
        await store.close()
    assert ledger.damage is None
    verify_run(records, "lhe-01", KEY.public())
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    members = [payload_of(record.jws) for record in records]
    common = {"v", "site", "epoch", "seq", "prev", "fw"}
    bodies = [{name: value for name, value in each.items() if name not in common} for each in members]
    for point in POINTS:
        measured = [each for each in bodies if each.get("point") == point and each["wh"] is not None]
        flowed_wh = (baselines[point].register_wh or 0) - measured[0]["reg_start_wh"]
        assert audit(bodies, INTERVAL_S, point) == flowed_wh
