"""Kill -9 of the whole daemon with a flaky exchange, in every phase of a record's way to its receipt."""

import json
import sys
from pathlib import Path

import pytest

from daemon.ledger.records import GapReason
from tests.world.finished import finished

CYCLES = 50
"""`make crash` does a thousand."""
EACH = 6
"""Deaths in each phase at least, of the twelve that are aimed at it."""


@pytest.mark.timeout(420)
async def test_nothing_is_lost_or_doubled_whatever_it_was_about(tmp_path: Path) -> None:
    ended = await finished(
        *(sys.executable, "-m", "tests.world.killed_daemon", str(tmp_path), "--cycles", str(CYCLES)),
        within_s=400,
        cwd=Path(__file__).parents[2],
    )
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
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
