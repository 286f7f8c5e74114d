"""Kill -9 of a settling process with a flaky exchange, in every phase of a record's way to its receipt."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

CYCLES = 50
"""`make crash` does a thousand."""
EACH = 6
"""Deaths in each phase at least, of the twelve that are aimed at it."""


@pytest.mark.timeout(300)
async def test_nothing_is_lost_or_doubled_whatever_it_was_about(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.world.killed_ledger", str(tmp_path), "--cycles", str(CYCLES)),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    found = json.loads(told)
    died = found["died"]
    assert sum(died.values()) == CYCLES
    assert min(died[phase] for phase in ("inside", "committed", "sent", "receipt")) >= EACH, died
    assert (found["damage"], found["epochs"]) == (None, 1)
    assert found["missing_at_exchange"] == found["doubled_at_exchange"] == 0
    assert found["same_at_exchange"]
    assert found["kinds"]["gap"] > 0
    for energy in found["energy"].values():
        assert energy["counted_wh"] == energy["true_wh"] > 0
