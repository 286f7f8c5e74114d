"""The ledger on a real SQLite file: identity, atomicity, restarts."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import ConfigurationError, LedgerDamagedError, StoreError
from daemon.ledger import Baseline, Beginning, EpochReason, IntervalBuilder, Ledger, Recorder, event
from daemon.ledger.chain import payload_of, verify_run
from daemon.ledger.epochs import request_new_epoch
from daemon.ledger.merkle import day_root
from daemon.ledger.records import RecordError
from daemon.signing import PrivateKey
from daemon.store import Store
from tests.world.hand_clock import HandClock
from tests.world.metered_site import MIDNIGHT, MeteredSite, audit

KEY = PrivateKey.from_seed(b"\x07" * 32, "site-key")


async def opened(
    store: Store,
    *,
    clock: HandClock | None = None,
    site: str = "lhe-01",
    key: PrivateKey = KEY,
    interval_s: int = 300,
    points: Sequence[str] = ("poi",),
) -> Ledger:
    return await Ledger.open(
        store,
        site=site,
        key=key,
        fw="1.0",
        clock=clock or HandClock(MIDNIGHT),
        interval_s=interval_s,
        points=points,
    )


async def contents(ledger: Ledger) -> list[dict[str, Any]]:
    """Every record's members, after the chain of each epoch was verified."""
    members: list[dict[str, Any]] = []
    for state in ledger.epochs:
        records = await ledger.records(state.epoch, 1, 100_000)
        verify_run(records, ledger.site, KEY.public())
        assert [record.seq for record in records] == list(range(1, state.last_seq + 1))
        members += [payload_of(record.jws) for record in records]
    return members


def bodies_of(members: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    common = {"v", "site", "epoch", "seq", "prev", "fw"}
    return [{name: value for name, value in each.items() if name not in common} for each in members]


Reopen = Callable[[], Awaitable[Store]]


@pytest.fixture
async def reopen(tmp_path: Path) -> AsyncIterator[Reopen]:
    """Opens the site's file anew, as a restart does; what is still open is closed after the test."""
    stores: list[Store] = []

    async def again() -> Store:
        for store in stores:
            await store.close()
        stores[:] = [await Store.open(tmp_path / "ledger.sqlite")]
        return stores[0]

    yield again
    for store in stores:
        await store.close()


@pytest.fixture
async def store(reopen: Reopen) -> Store:
    return await reopen()


async def test_a_new_site_begins_with_an_epoch(store: Store) -> None:
    ledger = await opened(store)
    (first,) = await contents(ledger)
    assert (first["kind"], first["reason"], first["seq"], first["prev"]) == ("epoch_open", "new", 1, None)
    assert (first["epoch"], first["points"], first["before"]) == (MIDNIGHT, ["poi"], None)


async def test_reopening_adds_nothing(reopen: Reopen) -> None:
    for _ in range(3):
        store = await reopen()
        ledger = await opened(store)
    assert ledger.position.seq == 1
    assert ledger.damage is None


async def test_a_rolled_back_append_uses_up_no_identity(store: Store) -> None:
    ledger = await opened(store)
    with pytest.raises(ZeroDivisionError):
        await _append_and_fail(store, ledger)
    async with store.transaction() as tx:
        await ledger.append([event(MIDNIGHT, "kept", {"n": 1})], tx=tx)
    await ledger.refresh()
    members = await contents(ledger)
    assert [each.get("what") for each in members] == [None, "kept"]


async def _append_and_fail(store: Store, ledger: Ledger) -> None:
    async with store.transaction() as tx:
        await ledger.append([event(MIDNIGHT, "lost", {})], tx=tx)
        raise ZeroDivisionError


async def test_records_and_baselines_are_stored_together_or_not_at_all(store: Store) -> None:
    ledger = await opened(store)
    with pytest.raises(RecordError):
        await ledger.append(
            [{"kind": "gap", "point": "poi"}], baselines=[Baseline("poi", MIDNIGHT, 5, MIDNIGHT)]
        )
    assert await ledger.baselines() == {}
    assert ledger.position.seq == 1


async def test_the_same_finished_interval_is_stored_once(store: Store) -> None:
    ledger = await opened(store)
    site = MeteredSite()
    site.run(300)
    baselines = [site.saved["poi"]]
    for _ in range(2):
        await ledger.append(site.bodies, baselines=baselines)
    assert ledger.position.seq == 2
    assert await ledger.baselines() == site.saved


async def test_the_closed_day_is_the_merkle_root_of_its_records(store: Store) -> None:
    ledger = await opened(store, points=("poi", "feeder"))
    site = MeteredSite(points=("poi", "feeder"), true_s=MIDNIGHT + 80_000.0)
    site.run(7_000)
    await ledger.append(site.bodies)
    members = await contents(ledger)
    closed = next(each for each in members if each["kind"] == "day_close")
    day = [each for each in members if each.get("start", "").startswith("2026-05-29")]
    jws = [record.jws for record in await ledger.records(MIDNIGHT, 1, 10_000)]
    assert (closed["day"], closed["count"]) == ("2026-05-29", len(day))
    assert closed["wh"] == sum(each["wh"] for each in day if each["point"] == "poi")
    assert closed["root"] == day_root([jws[each["seq"] - 1] for each in day])


@pytest.mark.parametrize(
    ("interval_s", "points", "reason"),
    [(600, ("poi",), "interval-change"), (300, ("poi", "feeder"), "operator")],
)
async def test_another_layout_opens_an_epoch(
    store: Store, interval_s: int, points: tuple[str, ...], reason: str
) -> None:
    await opened(store)
    ledger = await opened(store, interval_s=interval_s, points=points)
    first, second = await contents(ledger)
    before = {"epoch": MIDNIGHT, "seq": 1, "head_hash": await ledger.hash_of(MIDNIGHT, 1)}
    assert (second["reason"], second["epoch"], second["before"]) == (reason, first["epoch"] + 1, before)


async def test_another_site_or_key_is_refused_and_nothing_is_written(store: Store) -> None:
    ledger = await opened(store)
    with pytest.raises(ConfigurationError, match="lhe-02"):
        await opened(store, site="lhe-02")
    with pytest.raises(ConfigurationError, match=r"keys\.site"):
        await opened(store, key=PrivateKey.generate())
    await ledger.refresh()
    assert ledger.position.seq == 1


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE records SET hash = replace(hash, substr(hash, 1, 4), 'AAAA') WHERE seq = 3",
        "UPDATE records SET jws = replace(jws, substr(jws, 200, 4), 'AAAA') WHERE seq = 3",
        "DELETE FROM records WHERE seq = 3",
        "DELETE FROM records WHERE seq = 1",
    ],
)
async def test_a_damaged_tail_is_not_extended(store: Store, damage: str) -> None:
    ledger = await opened(store)
    site = MeteredSite()
    site.run(1500)
    await ledger.append(site.bodies, baselines=list(site.saved.values()))
    seq = ledger.position.seq
    async with store.transaction() as tx:
        await tx.execute(damage)
    for _ in range(2):
        ledger = await opened(store)
        assert re.search(rf"record {MIDNIGHT}/[134]:", ledger.damage or "")
        await ledger.append([event(MIDNIGHT, "hold", {})])
        assert ledger.position.seq == seq
    with pytest.raises(LedgerDamagedError):
        await ledger.open_epoch(Beginning(EpochReason.FORK, supersede=True))


@pytest.mark.parametrize("receipted", [0, 3, 8])
@pytest.mark.parametrize("edited", [[2], [4], [5, 6, 7], [13], [14], [15], [11, 15]])
async def test_an_operator_goes_past_a_damage_and_no_interval_and_no_energy_is_lost(
    store: Store, edited: list[int], receipted: int
) -> None:
    clock = HandClock(MIDNIGHT)
    ledger = await opened(store, clock=clock, points=("poi", "feeder"))
    site = MeteredSite(points=("poi", "feeder"))
    site.run(2100)
    await ledger.append(site.bodies, baselines=list(site.saved.values()))
    assert ledger.position.seq == 15
    if receipted:
        await ledger.store_receipt(MIDNIGHT, receipted, "receipt")
    good = [payload_of(record.jws) for record in await ledger.records(MIDNIGHT, 1, receipted)]
    async with store.transaction() as tx:
        for seq in edited:
            await tx.execute("UPDATE records SET jws = replace(jws, '.', '.e') WHERE seq = ?", (seq,))
    ledger = await opened(store, clock=clock, points=("poi", "feeder"))
    assert f"{MIDNIGHT}/{edited[0]}:" in (ledger.damage or "")
    # What ends meanwhile waits.
    waited = len(site.bodies)
    site.run(600)
    await ledger.append(site.bodies[waited:], baselines=list(site.saved.values()))
    assert ledger.position.seq == 15
    await request_new_epoch(store.path, "the file was edited by hand")
    ledger = await opened(store, clock=clock, points=("poi", "feeder"))
    assert ledger.damage is None
    assert ledger.epochs[0].retired
    again = [payload_of(record.jws) for record in await ledger.records(ledger.position.epoch, 1, 100)]
    told = next(each for each in again if each["kind"] == "event" and each["what"] == "new-epoch")
    assert told["detail"]["reason"] == "the file was edited by hand"
    assert f"{MIDNIGHT}/{edited[0]}" in told["detail"]["damage"]
    assert again[0]["reason"] == "operator"
    for point in site.points:
        counted = audit(bodies_of([*good, *again]), 300, point)
        # The very first reading is in a record that may be lost, with the first interval's energy.
        lost_wh = (
            site.records(point)[0]["wh"] if receipted < 2 and site.points[0] == point and 2 in edited else 0
        )
        assert counted == sum(each["wh"] for each in site.records(point)) - lost_wh
    await opened(store, clock=clock, points=("poi", "feeder"))
    ledger = await opened(store, clock=clock, points=("poi", "feeder"))
    for _ in range(3):
        await ledger.audit()
    assert ledger.damage is None
    assert len(ledger.epochs) == 2


async def test_an_edited_record_of_long_ago_is_found_while_the_site_runs(store: Store) -> None:
    ledger = await opened(store)
    await ledger.append([event(MIDNIGHT, "note", {"n": number}) for number in range(700)])
    async with store.transaction() as tx:
        await tx.execute("UPDATE records SET jws = replace(jws, '.', '.e') WHERE seq = 120")
    ledger = await opened(store)
    before = ledger.damage
    for _ in range(4):
        await ledger.audit()
    assert before is None
    assert f"{MIDNIGHT}/120:" in (ledger.damage or "")
    ledger = await opened(store)
    assert f"{MIDNIGHT}/120:" in (ledger.damage or "")


async def test_only_receipted_records_of_more_than_400_days_ago_are_deleted(store: Store) -> None:
    ledger = await opened(store, interval_s=21_600)
    site = MeteredSite(interval_s=21_600, true_s=float(MIDNIGHT))
    site.run(403 * 86_400, cycle_s=21_600)
    await ledger.append(site.bodies, baselines=list(site.saved.values()))
    assert not await ledger.prune(), "nothing is receipted"
    await ledger.store_receipt(MIDNIGHT, 8, "first")
    assert await ledger.prune()
    assert await _oldest(store) == 9, "what has no receipt stays"
    await ledger.store_receipt(MIDNIGHT, 30, "second")
    while await ledger.prune():
        await ledger.refresh()
    assert await _oldest(store) == 11, "the third day stays, receipted or not"
    assert await ledger.receipts() == ["second"]
    await ledger.store_receipt(MIDNIGHT, 2000, "third")
    site.run(4 * 86_400, cycle_s=21_600)
    before = ledger.position
    await ledger.append(site.bodies[-2:])
    while await ledger.prune():
        await ledger.refresh()
    assert await _oldest(store) == 31
    assert ledger.position.acked_seq == before.acked_seq
    again = await opened(store, interval_s=21_600)
    for _ in range(60):
        await again.audit()
    assert again.damage is None
    assert len(again.epochs) == 1


async def _oldest(store: Store) -> int:
    """Seq of the oldest record but the one that opens the epoch."""
    row = await store.fetch_one("SELECT min(seq) FROM records WHERE seq > 1")
    assert row is not None
    return int(row[0])


async def test_a_store_that_is_behind_what_was_committed_begins_a_new_epoch(store: Store) -> None:
    ledger = await opened(store)
    await ledger.append([event(MIDNIGHT, "note", {"n": number}) for number in range(5)])
    async with store.transaction() as tx:
        await tx.execute("DELETE FROM records WHERE seq > 4")
    await ledger.append([event(MIDNIGHT, "after", {})])
    (before, after) = ledger.epochs
    assert (before.last_seq, after.last_seq) == (4, 3)
    opening, lost, last = [payload_of(record.jws) for record in await ledger.records(after.epoch, 1, 9)]
    assert (opening["reason"], opening["before"]["seq"]) == ("storage-loss", 6)
    assert (lost["what"], lost["detail"]["seq"], last["what"]) == ("storage-loss", 6, "after")


async def test_a_superseded_epoch_is_told_again_as_gaps_with_the_same_energy(store: Store) -> None:
    clock = HandClock(MIDNIGHT)
    ledger = await opened(store, clock=clock)
    site = MeteredSite(true_s=MIDNIGHT + 85_500.0)
    site.run(1800)
    await ledger.append(site.bodies, baselines=list(site.saved.values()))
    await ledger.store_receipt(MIDNIGHT, 3, "receipt")
    epoch = await ledger.open_epoch(Beginning(EpochReason.FORK, supersede=True))
    again = [payload_of(record.jws) for record in await ledger.records(epoch, 1, 100)]
    old = [payload_of(record.jws) for record in await ledger.records(MIDNIGHT, 1, 3)]
    assert [each["kind"] for each in again] == ["epoch_open", "gap", "day_close", "gap", "gap", "gap"]
    assert again[0]["before"]["seq"] == 3
    assert [each["wh"] for each in again[1:] if each["kind"] == "gap"] == [None, None, None, 300_000]
    assert again[2]["count"] == 3
    assert again[2]["wh"] == 150_000
    assert audit(bodies_of([*old, *again]), 300) == 450_000
    assert ledger.position.backlog == 6


class Power:
    """Writes to the disk fail while it is off."""

    def __init__(self, ledger: Ledger) -> None:
        self.off = False
        self._append = ledger.append
        ledger.append = self.append  # type: ignore[method-assign] # a disk that refuses

    async def append(self, *args: Any, **options: Any) -> None:
        if self.off:
            raise StoreError("no space left on device")
        await self._append(*args, **options)


async def test_while_the_disk_refuses_intervals_wait_and_nothing_is_lost(store: Store) -> None:
    ledger = await opened(store)
    site = MeteredSite()
    power = Power(ledger)
    recorder = Recorder(ledger, IntervalBuilder(300, ("poi",), {}))
    site.run(0)
    for second in range(1500):
        site.run(1)
        recorder.observe(site.observation())
        power.off = 400 < second < 1000
        if second % 50 == 0:
            assert await recorder.flush() is not power.off or recorder.failing is None
    await recorder.flush()
    members = await contents(ledger)
    assert recorder.failing is None
    assert audit(bodies_of(members), 300) == pytest.approx(75_000 * 5, abs=260)


async def test_the_recorder_stores_by_itself(store: Store) -> None:
    ledger = await opened(store)
    recorder = Recorder(ledger, IntervalBuilder(10, ("poi",), {}))
    site = MeteredSite(interval_s=10)
    task = asyncio.create_task(recorder.run(), name="recorder")
    for _ in range(25):
        site.run(1)
        recorder.observe(site.observation())
    async with asyncio.timeout(5):
        while ledger.position.seq < 3:
            ledger.changed.clear()
            await ledger.changed.wait()
            await ledger.refresh()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("seed", range(6))
async def test_random_kills_leave_neither_hole_nor_double_on_disk(reopen: Reopen, seed: int) -> None:
    rng = random.Random(seed)
    clock = HandClock(MIDNIGHT)
    site = MeteredSite(interval_s=10, points=("poi", "feeder"), true_s=MIDNIGHT + 86_300.0)
    for _ in range(12):
        store = await reopen()
        clock.wall_s = site.wall_s
        ledger = await opened(store, clock=clock, interval_s=10, points=site.points)
        builder = IntervalBuilder(10, site.points, await ledger.baselines())
        recorder = Recorder(ledger, builder)
        for _ in range(rng.randint(1, 40)):
            recorder.observe(site.observation())
            if rng.random() < 0.5:
                await _interrupted(recorder, rng)
            site.run(1)
        site.down(rng.choice([0.1, 3, 12, 45]))
    ledger = await opened(await reopen(), clock=clock, interval_s=10, points=site.points)
    members = await contents(ledger)
    register_wh = {point: baseline.register_wh for point, baseline in (await ledger.baselines()).items()}
    assert ledger.damage is None
    for point in site.points:
        measured = [each for each in members if each.get("point") == point and each["wh"] is not None]
        flowed_wh = (register_wh[point] or 0) - measured[0]["reg_start_wh"]
        assert audit(bodies_of(members), 10, point) == flowed_wh


async def _interrupted(recorder: Recorder, rng: random.Random) -> None:
    """Store what waits; sometimes cancelled in the middle, committed or not."""
    task = asyncio.create_task(recorder.flush(), name="flush")
    for _ in range(rng.randint(0, 12)):
        await asyncio.sleep(0)
    if rng.random() < 0.5:
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
