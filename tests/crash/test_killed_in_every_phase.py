"""Kill -9 of the whole daemon with a flaky exchange, in every phase of a record's way to its receipt."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from daemon.ledger.records import GapReason

CYCLES = 50
"""`make crash` does a thousand."""
EACH = 6
"""Deaths in each phase at least, of the twelve that are aimed at it."""


@pytest.mark.timeout(400)
async def test_nothing_is_lost_or_doubled_whatever_it_was_about(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.world.killed_daemon", str(tmp_path), "--cycles", str(CYCLES)),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    found = json.loads(told)
    died = found["died"]
    assert sum(died.values()) == CYCLES
    assert min(died[phase] for phase in ("inside", "committed", "sent", "receipt")) >= EACH, died
    assert (found["epochs"], found["lost"], found["doubled"]) == (1, 0, 0)
    assert found["same"]
    assert found["kinds"]["interval"] > 0
    assert found["kinds"]["day_close"] == 1
    assert set(found["gaps"]) >= {GapReason.DOWN, GapReason.PARTIAL}
    assert set(found["counted_wh"].values()) == {found["true_wh"]}
    assert found["true_wh"] > 0
