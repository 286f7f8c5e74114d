"""Samples reach their file, give way to the ledger, and nothing that befalls them befalls the daemon."""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from daemon.samples.recorder import RETRY_S, SampleRecorder
from daemon.samples.retention import CYCLES_S, KEEP_S, Space
from daemon.samples.rollup import QUANTITIES, Width
from daemon.samples.seen import Seen
from daemon.store.database import Connect, connect_file
from tests.world.hand_clock import HandClock
from tests.world.inline_store import InlineConnection, connect_inline

NOON = 1_789_992_000.0
DAY_S = 86_400
GIB = 1 << 30
ROOMY = Space(50 * GIB, 100 * GIB)


class Bench:
    """A recorder of two devices, and a second that passes when the test says so."""

    def __init__(self, folder: Path, connect: Connect = connect_inline, devices: int = 2) -> None:
        self.path = folder / "samples.db"
        self.clock = HandClock(NOON)
        self.space = ROOMY
        self.power_w: float | None = 5000.0
        self.device_w = 1000.0
        self.devices, self._connect = devices, connect
        self.restart()

    def restart(self) -> None:
        names = [f"d-{number}" for number in range(self.devices)]
        self.recorder = SampleRecorder(names, self.path, self.clock, self._connect, lambda _: self.space)
        self.cycle()

    def cycle(self) -> None:
        known = np.full(self.devices, np.nan)
        known[0] = self.device_w
        hashing = np.full(self.devices, np.nan)
        hashing[0] = 50.0
        self.recorder.observe(
            Seen(
                wall_s=self.clock.wall_s,
                monotonic_s=self.clock.monotonic_s,
                fresh=(known, hashing, *[np.full(self.devices, np.nan)] * (len(QUANTITIES) - 2)),
                age_s=np.zeros(self.devices),
                limit_w=6000,
                power_w=self.power_w,
                expected_w=None,
                state="controlled",
            )
        )

    async def run(self, seconds: int, *, write_every: int = 10) -> None:
        for second in range(1, seconds + 1):
            self.clock.advance(1)
            self.cycle()
            if second % write_every == 0:
                await self.recorder.write()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.path.parent.iterdir())

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def starts(self, view: str, name: str = "d-0") -> list[float]:
        return [at - NOON for (at,) in self.query(f"SELECT start_s FROM {view} WHERE name = '{name}'")]

    def alarm(self) -> str | None:
        alarm = self.recorder.alarms().get("samples")
        return None if alarm is None else alarm.text


class Refusing(InlineConnection):
    """A connection of which some statements fail."""

    def __init__(self, path: Path, judge: Callable[[str], None]) -> None:
        super().__init__(path)
        self._judge = judge

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Any:
        self._judge(sql)
        return await super().execute(sql, parameters)

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Any:
        self._judge(sql)
        return await super().executemany(sql, parameters)


class Disk:
    """Refuses what begins with some words while it is told to."""

    def __init__(self, code: int) -> None:
        self.broken = False
        self.words = "INSERT"
        self.opened = 0
        self._code = code

    async def connect(self, path: Path) -> Refusing:
        self.opened += 1
        return Refusing(path, self._judge)

    def _judge(self, sql: str) -> None:
        if self.broken and sql.startswith(self.words):
            error = sqlite3.OperationalError("refused")
            error.sqlite_errorcode = self._code
            raise error


async def test_rows_of_a_minute_and_a_quarter_are_there_under_their_names(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.run(910)

    columns = "name, power_w, power_low_w, energy_wh, hash_ths, samples, coverage_s"
    rows = bench.query(f"SELECT {columns} FROM by_minute WHERE start_s = {NOON + 60} ORDER BY name")
    assert rows == [
        ("@limit", 6000, 6000, None, None, 60, 60),
        ("@power", 5000, 5000, None, None, 60, 60),
        ("d-0", 1000, 1000, None, 50, 60, 60),
    ]
    assert bench.starts("by_minute") == [60 * minute for minute in range(15)]
    assert bench.starts("by_quarter") == [0]
    assert bench.alarm() is None
    await bench.recorder.close()


async def test_the_sites_own_course_is_kept_second_by_second(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.power_w = None
    await bench.run(20)

    rows = bench.query("SELECT * FROM cycles ORDER BY at_s")
    assert rows[:2] == [
        (NOON, 6000, 5000, None, "controlled"),
        (NOON + 1, 6000, None, None, "controlled"),
    ]
    assert len(rows) == 21
    await bench.recorder.close()


async def test_a_minute_that_restarts_cut_in_pieces_is_one_row(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.device_w = np.nan
    await bench.run(10)
    for device_w, seconds in ((1000.0, 20), (np.nan, 5), (400.0, 11), (np.nan, 70)):
        await bench.recorder.close()
        bench.device_w = device_w
        bench.restart()
        await bench.run(seconds)

    columns = "power_w, power_low_w, power_high_w, hash_ths, samples, coverage_s"
    rows = bench.query(f"SELECT {columns} FROM by_minute WHERE start_s = {NOON} AND name = 'd-0'")
    # What is known of the power counts for as long as anything was known.
    assert rows == [(pytest.approx((35 * 1000 + 11 * 400) / 46), 400, 1000, 50, 59, 59)]
    await bench.recorder.close()


async def test_a_device_keeps_its_number_whatever_the_order_of_the_configuration(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.run(60)
    await bench.recorder.close()
    before = dict(bench.query("SELECT name, number FROM series"))
    bench.devices = 5
    bench.restart()
    await bench.run(10)

    after = dict(bench.query("SELECT name, number FROM series"))
    assert before.items() <= after.items()
    assert len(set(after.values())) == 5 + 3
    await bench.recorder.close()


async def test_devices_come_and_go_within_a_minute(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.recorder.go_by(["d-0", "d-1"])  # as they are: nothing happens
    await bench.run(30)
    # The first is the second now.
    bench.devices = 3
    bench.recorder.go_by(["d-2", "d-0", "d-3"])
    await bench.run(60, write_every=20)
    await bench.recorder.close()

    rows = bench.query("SELECT start_s, name, samples FROM by_minute WHERE name LIKE 'd-%' ORDER BY 1, 2")
    assert [(start_s - NOON, name) for start_s, name, _ in rows] == [(0, "d-0"), (0, "d-2"), (60, "d-2")]
    assert sum(samples for *_, samples in rows) >= 88
    site = bench.query(f"SELECT samples FROM by_minute WHERE start_s = {NOON} AND name = '@power'")
    assert site[0][0] >= 58


async def test_with_a_thread_as_in_the_daemon(tmp_path: Path) -> None:
    bench = Bench(tmp_path, connect_file, devices=2_500)
    await bench.run(60, write_every=60)
    await bench.recorder.close()

    assert bench.starts("by_minute") == [0, 60]


async def test_what_is_too_old_is_deleted_and_no_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.run(70)
    for width, view in ((Width.MINUTE, "by_minute"), (Width.QUARTER, "by_quarter")):
        bench.clock.wall_s = NOON + KEEP_S[width] - 70
        await bench.run(60)
        assert 0 in bench.starts("by_minute") + bench.starts("by_quarter")
        assert 0 in bench.starts(view)
        bench.clock.wall_s = NOON + KEEP_S[width] + 2 * width
        await bench.run(60)
        assert 0 not in bench.starts(view)
        await bench.recorder.close()
        bench.restart()


async def test_seconds_are_kept_for_an_hour(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.run(CYCLES_S + 300, write_every=60)

    ((oldest, newest),) = bench.query("SELECT min(at_s), max(at_s) FROM cycles")
    assert CYCLES_S <= newest - oldest <= CYCLES_S + 120
    await bench.recorder.close()


def fill(bench: Bench, minutes: int) -> None:
    """As many rows of earlier minutes as an earlier run of 1,000 devices would have left."""
    first = int(NOON) // Width.MINUTE - minutes
    keys = [(minute << 20 | number,) for minute in range(first, first + minutes) for number in range(1, 1001)]
    connection = sqlite3.connect(bench.path)
    with connection:
        connection.executemany("INSERT INTO minutes VALUES (?, 1, 1, 1, 1, 1, 1, 1, 60)", keys)
    connection.close()


async def test_when_space_is_short_the_oldest_go_and_the_file_shrinks(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.run(10)
    fill(bench, 150)
    await bench.recorder.close()
    size = bench.path.stat().st_size
    bench.space = Space(int(1.5 * GIB), 100 * GIB)
    await bench.run(10)

    # Not all at once, and the oldest first.
    ((left, oldest),) = bench.query("SELECT count(*), min(key >> 20) * 60 FROM minutes")
    assert (left, oldest) == (50_000 + 3, NOON - 50 * Width.MINUTE)
    assert bench.path.stat().st_size < size / 2
    # What is new is written, and nobody is alarmed.
    await bench.run(60)
    assert bench.alarm() is None
    bench.space = ROOMY
    await bench.run(60)
    assert bench.starts("by_minute")[-1] == 60
    await bench.recorder.close()


async def test_when_the_rest_is_the_ledgers_nothing_is_written_and_an_alarm_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.run(70)
    bench.space = Space(GIB // 2, 100 * GIB)
    with capture_logs() as said:
        await bench.run(120)

    assert bench.alarm() == (
        "only 0.5 GB are free: samples for charts are not written, the rest is the ledger's; free the disk"
    )
    assert [line["log_level"] for line in said] == ["warning"]
    assert bench.query("SELECT count(*) FROM minutes") == [(0,)]
    assert bench.query(f"SELECT count(*) FROM cycles WHERE at_s > {NOON + 70}") == [(0,)]
    bench.space = ROOMY
    await bench.run(120)
    assert bench.alarm() is None
    assert bench.starts("by_minute")[-1] == 240
    await bench.recorder.close()


async def test_a_site_that_starts_on_a_full_disk_makes_no_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.space = Space(0, 100 * GIB)
    await bench.run(60)
    await bench.recorder.close()

    assert bench.alarm() is not None
    assert bench.files() == []


async def test_a_full_disk_costs_the_samples_not_the_ledgers_space(tmp_path: Path) -> None:
    disk = Disk(sqlite3.SQLITE_FULL)
    bench = Bench(tmp_path, disk.connect)
    await bench.run(70)
    disk.broken = True
    with capture_logs() as said:
        await bench.run(10)
        assert bench.files() == []
        await bench.run(3 * int(RETRY_S))

    assert "the disk is full: the samples for charts were deleted" in (bench.alarm() or "")
    assert len(said) == 1
    assert disk.opened == 1 + 3
    disk.broken = False
    await bench.run(2 * int(RETRY_S))
    assert bench.alarm() is None
    assert bench.starts("by_minute")
    await bench.recorder.close()


@pytest.mark.parametrize("left", [b"no database, and longer than a header of SQLite is" * 50, b""])
async def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, left: bytes) -> None:
    bench = Bench(tmp_path)
    bench.path.write_bytes(left)
    bench.path.with_name("samples.db-wal").write_bytes(b"torn")
    with capture_logs() as said:
        await bench.run(10)
        alarm = bench.alarm()
        await bench.run(120)

    if left:
        assert "damaged and begin anew" in (alarm or "")
        assert [line["trouble"] for line in said if "trouble" in line] == [alarm]
        assert bench.path.with_name("samples.db.damaged").read_bytes() == left
    assert bench.alarm() is None
    assert bench.starts("by_minute")[-1] == 60
    await bench.recorder.close()


async def test_pages_that_rot_are_found_and_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.run(10)
    fill(bench, 20)
    await bench.recorder.close()
    whole = bench.path.read_bytes()
    bench.path.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    bench.restart()
    await bench.run(200)

    assert bench.path.with_name("samples.db.damaged").exists()
    assert bench.starts("by_minute")
    assert bench.alarm() is None
    await bench.recorder.close()


async def test_a_file_of_a_newer_version_is_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    connection = sqlite3.connect(bench.path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    await bench.run(10)

    assert "newer" in (bench.alarm() or "")
    await bench.run(60)
    assert bench.alarm() is None
    await bench.recorder.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR_FSYNC])
async def test_a_disk_that_refuses_is_asked_again_later_and_the_file_is_kept(
    tmp_path: Path, code: int
) -> None:
    disk = Disk(code)
    bench = Bench(tmp_path, disk.connect)
    await bench.run(70)
    disk.broken = True
    await bench.run(100)

    assert "cannot be written" in (bench.alarm() or "")
    disk.broken = False
    await bench.run(2 * int(RETRY_S))
    assert bench.alarm() is None
    assert bench.starts("by_minute")[0] == 0
    assert not bench.path.with_name("samples.db.damaged").exists()
    await bench.recorder.close()


async def test_a_file_that_cannot_be_set_aside_is_only_an_alarm(tmp_path: Path) -> None:
    disk = Disk(sqlite3.SQLITE_READONLY)
    bench = Bench(tmp_path, disk.connect)
    bench.path.with_name("samples.db.damaged").mkdir()
    disk.broken = True
    await bench.run(100)

    assert "cannot be written" in (bench.alarm() or "")
    await bench.recorder.close()


async def test_a_folder_that_is_gone_is_only_an_alarm(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "gone", connect_file)
    await bench.run(100)

    assert "cannot be written" in (bench.alarm() or "")
    await bench.recorder.close()


async def test_a_file_that_cannot_be_opened_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = threading.active_count()

    with pytest.raises(sqlite3.OperationalError):
        await connect_file(tmp_path / "gone" / "samples.db")

    assert threading.active_count() <= before
