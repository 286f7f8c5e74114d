"""The daemon and its samples: it goes on without them, and keeps its own course in them."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.world.inline_store import InlineConnection
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import VirtualSite


def test_the_daemon_goes_on_without_samples_and_says_so(tmp_path: Path) -> None:
    async def refuse(_path: Path) -> InlineConnection:
        raise sqlite3.OperationalError("no")

    async def main(loop: VirtualLoop) -> tuple[Mapping[str, Any], int]:
        async with VirtualSite(loop, tmp_path, miners=2, racks=0) as site:
            site.connect_samples = refuse
            await site.start()
            site.dispatcher.quota((0, None))
            await site.run(700)
            state = site.state
            await site.stop()
            return state, state["ledger"]["acked_seq"]

    state, acked = run_virtual(main)
    assert state["state"] == "controlled"
    assert [alarm["type"] for alarm in state["alarms"]] == ["samples"]
    assert acked >= 2


def test_the_daemon_keeps_its_course(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> tuple[float, float]:
        async with VirtualSite(loop, tmp_path, miners=2, racks=0) as site:
            await site.start()
            site.dispatcher.quota((0, None))
            await site.run(200)
            await site.stop()
            return site.full_w, site.clock.wall()

    full_w, ended_s = run_virtual(main)
    connection = sqlite3.connect(tmp_path / "state" / "samples.db")
    rows = connection.execute("SELECT name, power_w FROM by_minute ORDER BY start_s").fetchall()
    ((newest_s,),) = connection.execute("SELECT max(start_s) FROM by_minute").fetchall()
    connection.close()
    # The minute that a stop cuts short is there too.
    assert newest_s == ended_s // 60 * 60
    last = dict(rows)
    assert {name for name, _ in rows} > {"@power", "@limit", "@expected"}
    assert last["@power"] == pytest.approx(full_w, rel=0.1)
    assert last["@limit"] == pytest.approx(full_w * 1.15, rel=0.01)
    assert last["@expected"] == pytest.approx(full_w, rel=0.1)
    assert len(last) == 3 + 2 + 3
