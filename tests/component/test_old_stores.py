"""Every schema that was ever released is brought up to date, and its ledger goes on."""

import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.errors import NewerStoreError
from daemon.ledger.chain import payload_of, verify_run
from daemon.store import Store
from tests.world.hand_clock import HandClock
from tests.world.metered_site import MIDNIGHT, MeteredSite
from tests.world.old_store import INTERVALS, KEY, SITE, dump_of, open_ledger, scripts

SCHEMAS = range(1, len(scripts()) + 1)


def restored(schema: int, path: Path) -> None:
    """The file as that version left it."""
    with sqlite3.connect(path) as file:
        file.executescript(dump_of(schema).read_text(encoding="utf-8"))
        file.execute(f"PRAGMA user_version={schema}")


def shape(path: Path) -> list[tuple[str, ...]]:
    """Tables and indexes, without the comments in them."""
    with sqlite3.connect(path) as file:
        names = [row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [(name, str(file.execute(f"PRAGMA table_xinfo({name})").fetchall())) for name in names]
        indexes = file.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'").fetchall()
    return sorted([*columns, *indexes])


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_it_is_brought_up_to_date_and_the_ledger_goes_on(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "site.db"
    restored(schema, path)
    with sqlite3.connect(path) as file:
        before = file.execute("SELECT epoch, seq, jws, hash FROM records ORDER BY epoch, seq").fetchall()

    store = await Store.open(path)
    try:
        ledger = await open_ledger(store, HandClock(MIDNIGHT + 300 * INTERVALS))
        baselines = await ledger.baselines()
        # The site goes on where the file ends.
        (end_s, register_wh) = baselines["poi"].next_start, baselines["poi"].register_wh
        assert register_wh is not None
        site = MeteredSite(true_s=float(end_s), energy_wh=float(register_wh), saved=baselines)
        site.run(600)
        await ledger.append(site.bodies, baselines=list(site.saved.values()))
        assert await store.fetch_one("PRAGMA user_version") == (len(scripts()),)
        assert await store.fetch_one("SELECT seq FROM last_seqs") == (7,)
        assert await store.fetch_one("SELECT jws FROM answers") == ("d.e.f",)
        (epoch,) = {row[0] for row in before}
        records = await ledger.records(epoch, 1, 1_000)
    finally:
        await store.close()

    assert ledger.damage is None
    verify_run(records, SITE, KEY.public())
    assert [record.jws for record in records][: len(before)] == [row[2] for row in before]
    intervals = [
        body for body in map(payload_of, (each.jws for each in records)) if body["kind"] == "interval"
    ]
    assert [body["start"] for body in intervals] == sorted({body["start"] for body in intervals})
    assert len(intervals) > INTERVALS
    for earlier, later in pairwise(intervals):
        assert later["reg_start_wh"] == earlier["reg_end_wh"]


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_it_ends_in_the_shape_of_a_new_store(tmp_path: Path, schema: int) -> None:
    restored(schema, tmp_path / "old.db")

    for name in ("old.db", "new.db"):
        await (await Store.open(tmp_path / name)).close()

    assert shape(tmp_path / "old.db") == shape(tmp_path / "new.db")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_released_migration_is_never_edited(tmp_path: Path, schema: int) -> None:
    restored(schema, tmp_path / "left.db")
    with sqlite3.connect(tmp_path / "now.db") as file:
        for script in scripts()[:schema]:
            file.executescript(script)

    assert shape(tmp_path / "now.db") == shape(tmp_path / "left.db")


async def test_a_newer_one_is_refused_untouched_and_the_cure_is_said(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    restored(SCHEMAS[-1], path)
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version=99")

    with pytest.raises(NewerStoreError, match=r"schema 99 .* by a newer quotawatt.*install the newer"):
        await Store.open(path)

    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (99,)
