"""Every single call to the disk fails once: the ledger stays whole, and the site never stops."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from daemon.errors import StoreError
from daemon.ledger import IntervalBuilder, Ledger, Recorder
from daemon.ledger.chain import payload_of, verify_run
from daemon.signing import PrivateKey
from daemon.store import Store
from tests.world.failing_disk import ApswConnection, Call, Disk, FailingVfs, settle_day
from tests.world.hand_clock import HandClock
from tests.world.metered_site import MIDNIGHT, MeteredSite, audit

KEY = PrivateKey.from_seed(b"\x07" * 32)
INTERVAL_S = int(os.environ.get("FAILING_DISK_INTERVAL_S", "43200"))
"""`make crash` takes shorter ones: more calls a day, each of which fails in a day of its own."""

_NAMES = itertools.count()


@pytest.fixture
def disk() -> Iterator[tuple[Disk, FailingVfs]]:
    disk = Disk()
    vfs = FailingVfs(f"failing-{next(_NAMES)}", disk)
    yield disk, vfs
    vfs.unregister()


async def _open_ledger(store: Store, site: MeteredSite) -> Ledger:
    return await Ledger.open(
        store,
        site="lhe-01",
        key=KEY,
        fw="1",
        clock=HandClock(site.wall_s),
        interval_s=site.interval_s,
        points=site.points,
    )


def _each_call(disk: Disk) -> Iterator[int]:
    """Numbers of calls, until a day has had none with that number twice."""
    number, spared = 1, 0
    while spared < 2:
        before = disk.failed
        yield number
        spared = spared + 1 if disk.failed == before else 0
        number += 1


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("fails", "lasting", "error"),
    [
        ({Call.WRITE, Call.TRUNCATE}, 1, apsw.IOError),
        ({Call.WRITE, Call.TRUNCATE}, 40, apsw.FullError),
        ({Call.SYNC}, 1, apsw.IOError),
        ({Call.SYNC}, 3, apsw.IOError),
        ({Call.READ}, 1, apsw.IOError),
        ({Call.WRITE, Call.SYNC, Call.TRUNCATE}, 25, apsw.ReadOnlyError),
    ],
    ids=["write", "full", "fsync", "fsyncs", "read", "read-only"],
)
async def test_every_call_of_a_day_fails_once(
    tmp_path: Path,
    disk: tuple[Disk, FailingVfs],
    fails: set[Call],
    lasting: int,
    error: type[apsw.Error],
) -> None:
    failing, vfs = disk
    path = tmp_path / "site.db"

    async def connect(path: Path) -> ApswConnection:
        return ApswConnection(path, vfs.name)

    site = MeteredSite(interval_s=INTERVAL_S, points=("poi", "feeder"), true_s=float(MIDNIGHT))
    store = await Store.open(path, connect)
    ledger = await _open_ledger(store, site)
    recorder = Recorder(ledger, IntervalBuilder(INTERVAL_S, site.points, {}))
    recorder.observe(site.observation())
    failing.arm(fails, 0, 1, error)
    store._suspect |= Call.READ in fails
    await settle_day(store, ledger, recorder, site)
    calls, refused, days = failing.calls, 0, 1
    assert calls > 0
    # A day has some calls more than another; so on until none is left to fail, twice.
    for number in _each_call(failing):
        failing.arm(fails, number, lasting, error)
        # What is in memory is not read: the day begins with a file that is opened anew.
        store._suspect |= Call.READ in fails
        refused += await settle_day(store, ledger, recorder, site)
        days += 1
        failing.disarm()
        assert await recorder.flush()
        assert recorder.failing is None
    assert days > calls - 20
    assert failing.synced_again == 0
    assert refused > 0
    await ledger.refresh()
    position = ledger.position
    await store.close()
    await _is_whole(path, site, position.seq, days)


async def _is_whole(path: Path, site: MeteredSite, last_seq: int, days: int) -> None:
    store = await Store.open(path)
    try:
        assert await store.fetch_one("PRAGMA integrity_check") == ("ok",)
        ledger = await _open_ledger(store, site)
        assert ledger.damage is None
        (state,) = ledger.epochs
        records = await ledger.records(state.epoch, 1, 10**7)
        baselines = await ledger.baselines()
    finally:
        await store.close()
    assert len(records) == state.last_seq == last_seq
    verify_run(records, "lhe-01", KEY.public())
    common = {"v", "site", "epoch", "seq", "prev", "fw"}
    bodies = [
        {name: value for name, value in payload_of(record.jws).items() if name not in common}
        for record in records
    ]
    for point in site.points:
        own = [each for each in bodies if each.get("point") == point]
        assert len(own) == days * 86_400 // INTERVAL_S
        assert (
            audit(bodies, INTERVAL_S, point) == (baselines[point].register_wh or 0) - own[0]["reg_start_wh"]
        )
    assert sum(each["kind"] == "day_close" for each in bodies) == days


async def test_a_failed_handle_is_replaced_and_its_tail_looked_at(
    tmp_path: Path, disk: tuple[Disk, FailingVfs]
) -> None:
    failing, vfs = disk

    async def connect(path: Path) -> ApswConnection:
        return ApswConnection(path, vfs.name)

    site = MeteredSite(true_s=float(MIDNIGHT))
    store = await Store.open(tmp_path / "site.db", connect)
    ledger = await _open_ledger(store, site)
    site.run(900)
    failing.arm({Call.SYNC}, 1, 1, apsw.IOError)
    with pytest.raises(StoreError):
        await ledger.append(site.bodies, baselines=list(site.saved.values()))
    failing.disarm()
    assert store.reopened == 0
    # While it was away somebody edited it.
    editor = apsw.Connection(str(tmp_path / "site.db"), vfs=vfs.name)
    editor.execute("UPDATE records SET hash = 'x' WHERE seq = 1")
    editor.close()
    with pytest.raises(StoreError, match="/1: its hash"):
        await ledger.append(site.bodies, baselines=list(site.saved.values()))
    assert store.reopened == 1
    assert ledger.position.seq == 1
    await ledger.append(site.bodies, baselines=list(site.saved.values()))
    assert ledger.position.seq == 1
    assert "/1: its hash" in (ledger.damage or "")
    await store.close()
