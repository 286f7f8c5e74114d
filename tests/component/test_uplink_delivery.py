"""The uplink against the reference exchange: nothing is lost, nothing is believed unproven."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from daemon.config.settings import ExchangeKey, Settlement
from daemon.ledger import Beginning, EpochReason, Ledger, event
from daemon.signing import PrivateKey, parse
from daemon.store import Store
from daemon.uplink import Uplink, backoff
from daemon.uplink.alarms import UplinkAlarm
from daemon.uplink.answers import Answer
from daemon.uplink.delivery import Delivery
from daemon.uplink.uplink import COMPARE_EVERY_S
from sim_devices.exchange import Exchange
from sim_devices.exchange.faults import WrongReceipt
from sim_devices.exchange.settlement import Settlement as Rules
from tests.world.hand_clock import HandClock
from tests.world.metered_site import MIDNIGHT, MeteredSite

SITE = "lhe-01"
KEY = PrivateKey.from_seed(b"\x07" * 32)
NOW = float(MIDNIGHT + 90_000)


class Fixed:
    """Waits that take no time in a test, and are remembered."""

    def __init__(self) -> None:
        self.number = 0

    def uuid(self) -> str:
        self.number += 1
        return f"00000000-0000-4000-8000-{self.number:012}"

    def uniform(self, low: float, _high: float) -> float:
        return low


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting after a failure takes no time; how long it would have been is noted."""
    noted: list[float] = []
    true_delay_s = backoff.delay_s

    def delay_s(failures: int, retry_after_s: float | None, entropy: Fixed) -> float:
        noted.append(true_delay_s(failures, retry_after_s, entropy))
        return 0.0

    monkeypatch.setattr("daemon.uplink.uplink.delay_s", delay_s)
    return noted


@contextmanager
def _exchange() -> Iterator[Exchange]:
    exchange = Exchange(clock=lambda: NOW)
    exchange.register_site(SITE, KEY.public_jwk(), KEY.kid)
    try:
        yield exchange
    finally:
        exchange.close()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with _exchange() as each:
        yield each


OpenLedger = Callable[..., Awaitable[Ledger]]


@pytest.fixture
async def open_ledger(tmp_path: Path) -> AsyncIterator[OpenLedger]:
    stores: list[Store] = []

    async def once(name: str = "ledger", interval_s: int = 300) -> Ledger:
        stores.append(await Store.open(tmp_path / f"{name}.sqlite"))
        return await Ledger.open(
            stores[-1],
            site=SITE,
            key=KEY,
            fw="1.0",
            clock=HandClock(NOW),
            interval_s=interval_s,
            points=["poi"],
        )

    yield once
    for store in stores:
        await store.close()


@pytest.fixture
async def ledger(open_ledger: OpenLedger) -> Ledger:
    return await open_ledger()


def make_uplink(ledger: Ledger, exchange: Exchange) -> Uplink:
    keys = (ExchangeKey(exchange.kid, exchange.public_jwk),)
    settings = Settlement("https://exchange.test/", keys, None, None, None, "exchange")
    http = httpx2.AsyncClient(transport=exchange.transport())
    return Uplink(ledger, http, settings, HandClock(NOW), Fixed())


@asynccontextmanager
async def running(uplink: Uplink) -> AsyncIterator[Uplink]:
    task = asyncio.create_task(uplink.run(), name="uplink")
    try:
        yield uplink
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - states of many objects
            await asyncio.sleep(0.005)


async def drained(ledger: Ledger) -> None:
    await until(lambda: ledger.position.backlog == 0)


async def meter(ledger: Ledger, seconds: float, site: MeteredSite | None = None) -> MeteredSite:
    site = site or MeteredSite()
    before = len(site.bodies)
    site.run(seconds)
    await ledger.append(site.bodies[before:], baselines=list(site.saved.values()))
    return site


def statement(exchange: Exchange, day: str = "2026-05-29") -> dict[str, Any]:
    told = Rules(exchange.book, exchange.key, lambda: NOW).statement(SITE, day)
    return {} if told is None else told.model_dump()


async def test_everything_gets_its_receipt_and_the_exchange_has_the_same_energy(
    ledger: Ledger, exchange: Exchange, waits: list[float]
) -> None:
    site = await meter(ledger, 90_000)
    async with running(make_uplink(ledger, exchange)) as uplink:
        await drained(ledger)
        assert not uplink.alarms
    assert ledger.position.acked_seq == ledger.position.seq > 290
    told = statement(exchange)
    day = [body for body in site.records() if body["start"].startswith("2026-05-29")]
    assert (told["count"], told["wh"], told["closed"]) == (len(day), sum(each["wh"] for each in day), True)
    assert waits == []


async def test_what_is_appended_later_is_delivered_at_once(ledger: Ledger, exchange: Exchange) -> None:
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
        await ledger.append([event(NOW, "hold", {"limit_w": 0})])
        await drained(ledger)
    assert ledger.position.acked_seq == 2


@pytest.mark.parametrize("answered", [True, False])
async def test_an_outage_is_waited_out(
    ledger: Ledger, exchange: Exchange, waits: list[float], *, answered: bool
) -> None:
    await meter(ledger, 3000)
    if answered:
        exchange.faults.refuse(503, retry_after_s=77)
    else:
        exchange.faults.drop_before_commit(times=None)
    async with running(make_uplink(ledger, exchange)) as uplink:
        await until(lambda: len(waits) > 4)
        assert UplinkAlarm.UNREACHABLE in uplink.alarms
        assert ledger.position.acked_seq == 0
        exchange.faults.clear()
        await drained(ledger)
        assert not uplink.alarms
    assert min(waits) >= (77 if answered else 1)


async def test_an_answer_lost_after_the_commit_doubles_nothing(
    ledger: Ledger, exchange: Exchange, waits: list[float]
) -> None:
    await meter(ledger, 3000)
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
        exchange.faults.drop_after_commit(times=3)
        await ledger.append([event(NOW, "first", {})])
        await until(lambda: len(waits) > 1)
        await ledger.append([event(NOW, "second", {})])
        await drained(ledger)
    assert exchange.book.head(SITE).seq == ledger.position.seq  # type: ignore[union-attr] # it holds something


@pytest.mark.parametrize("kind", list(WrongReceipt))
async def test_a_bare_success_or_a_wrong_receipt_retires_nothing(
    ledger: Ledger, exchange: Exchange, waits: list[float], kind: WrongReceipt
) -> None:
    await meter(ledger, 900)
    exchange.faults.falsify(kind, times=None)
    async with running(make_uplink(ledger, exchange)) as uplink:
        await until(lambda: len(waits) > 1)
        assert UplinkAlarm.RECEIPT in uplink.alarms
        assert ledger.position.acked_seq == 0
        assert await ledger.receipts() == []
        exchange.faults.clear()
        await drained(ledger)
        assert not uplink.alarms


@pytest.mark.parametrize("status", [401, 403])
async def test_an_unknown_site_is_an_alarm_and_is_tried_again(
    ledger: Ledger, exchange: Exchange, waits: list[float], status: int
) -> None:
    exchange.faults.refuse(status)
    async with running(make_uplink(ledger, exchange)) as uplink:
        await until(lambda: len(waits) > 1)
        assert KEY.kid in uplink.alarms[UplinkAlarm.UNAUTHORIZED]
        exchange.faults.clear()
        await drained(ledger)


async def test_an_exchange_restored_from_a_backup_gets_everything_again(
    ledger: Ledger, exchange: Exchange, waits: list[float]
) -> None:
    site = await meter(ledger, 3000)
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
    with _exchange() as restored:
        uplink = make_uplink(ledger, restored)
        uplink._compared = True  # it was running when the exchange was replaced
        async with running(uplink):
            await meter(ledger, 300, site)
            await until(lambda: restored.book.head(SITE) is not None)
            await drained(ledger)
            await until(lambda: not uplink.alarms)
        assert restored.book.head(SITE).seq == ledger.position.seq  # type: ignore[union-attr] # just looked
        assert statement(restored)["wh"] == site.audit()
    assert len(waits) == 0


async def test_what_a_restored_exchange_lost_of_older_epochs_comes_before_a_newer_one(
    ledger: Ledger, exchange: Exchange
) -> None:
    """Once it has the newer one it would take no older one that it does not know."""
    site = await meter(ledger, 3000)
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
        kept = ledger.position
        await ledger.open_epoch(Beginning(EpochReason.OPERATOR))
        await meter(ledger, 900, site)
        await drained(ledger)
        exchange.book.restore(SITE, (kept.epoch, kept.seq))
        await ledger.open_epoch(Beginning(EpochReason.OPERATOR))
        await meter(ledger, 900, site)
        await drained(ledger)
        await until(lambda: len(exchange.book.openings(SITE)) == 3)
        told = statement(exchange)
        assert (told["count"], told["wh"]) == (len(site.records()), site.audit())


async def test_what_the_exchange_has_lost_for_good_stays_an_alarm(ledger: Ledger, exchange: Exchange) -> None:
    site = await meter(ledger, 3000)
    uplink = make_uplink(ledger, exchange)
    async with running(uplink):
        await drained(ledger)
        kept = ledger.position
        lost = await ledger.open_epoch(Beginning(EpochReason.OPERATOR))
        await meter(ledger, 900, site)
        await drained(ledger)
        exchange.book.restore(SITE, (kept.epoch, kept.seq))
        # Somebody brings it a newer epoch before this one.
        uplink._known.add(lost + 1)
        newest = await ledger.open_epoch(Beginning(EpochReason.OPERATOR))
        assert newest == lost + 1
        await meter(ledger, 900, site)
        await drained(ledger)
        assert not uplink.alarms
        uplink._resend[lost] = 1
        await ledger.append([event(NOW, "later", {})])
        await until(lambda: UplinkAlarm.RESTORED in uplink.alarms)
        await drained(ledger)
        assert str(lost) in uplink.alarms[UplinkAlarm.RESTORED]
        assert ledger.position.epoch == newest


async def test_heads_are_compared_every_hour(ledger: Ledger, exchange: Exchange) -> None:
    await meter(ledger, 3000)
    uplink = make_uplink(ledger, exchange)
    asked: list[int | None] = []
    head = uplink._client.head

    async def count(epoch: int | None = None) -> Answer:
        asked.append(epoch)
        return await head(epoch)

    uplink._client.head = count  # type: ignore[method-assign] # to count
    clock = uplink._clock
    assert isinstance(clock, HandClock)
    async with running(uplink):
        await drained(ledger)
        assert asked == [None]
        clock.monotonic_s += COMPARE_EVERY_S - 1
        await ledger.append([event(NOW, "a", {})])
        await drained(ledger)
        assert asked == [None]
        # The exchange is put back to a backup, and nothing new is recorded.
        exchange.book.restore(SITE, (ledger.position.epoch, 5))
        clock.monotonic_s += 2
        ledger.changed.set()
        await until(lambda: exchange.book.head(SITE).seq == ledger.position.seq)  # type: ignore[union-attr] # it holds something
        assert asked[:2] == [None, None]


async def test_the_backup_is_noticed_at_a_start_even_without_anything_new(
    ledger: Ledger, exchange: Exchange
) -> None:
    site = await meter(ledger, 3000)
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
    with _exchange() as restored:
        async with running(make_uplink(ledger, restored)):
            await until(
                lambda: getattr(restored.book.head(SITE), "seq", 0) == ledger.position.seq,
            )
        assert statement(restored)["wh"] == site.audit()


async def test_a_fork_begins_a_new_epoch_with_the_unreceipted_energy_as_gaps(
    ledger: Ledger, open_ledger: OpenLedger, exchange: Exchange, tmp_path: Path
) -> None:
    site = await meter(ledger, 1500)
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
    # The disk goes back to this moment, after the exchange has seen more.
    for suffix in ("", "-wal"):
        copy = tmp_path / f"ledger.sqlite{suffix}"
        (tmp_path / f"old.sqlite{suffix}").write_bytes(copy.read_bytes())
    await ledger.append([event(NOW, "seen by the exchange only", {})])
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
    old = await open_ledger("old")
    await meter(old, 900, site)
    uplink = make_uplink(old, exchange)
    uplink._compared = True
    async with running(uplink):
        await drained(old)
        assert not uplink.alarms
    told = statement(exchange)
    assert told["wh"] == site.audit(), "the energy of the refused records comes with the gaps"
    assert old.epochs[0].retired
    assert old.position.epoch == ledger.position.epoch + 1


def _copy(folder: Path, name: str) -> None:
    """The disk as it is now."""
    for suffix in ("", "-wal"):
        (folder / f"{name}.sqlite{suffix}").write_bytes((folder / f"ledger.sqlite{suffix}").read_bytes())


@pytest.mark.usefixtures("waits")
async def test_what_the_exchange_holds_without_our_receipt_is_not_told_again(
    ledger: Ledger, exchange: Exchange
) -> None:
    """Its receipts were lost on their way; then it refuses a record."""
    site = await meter(ledger, 3000)
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
        await meter(ledger, 900, site)
        exchange.faults.drop_after_commit(times=None)
        await until(lambda: exchange.book.head(SITE).seq == ledger.position.seq)  # type: ignore[union-attr] # it holds something
    held, acked = ledger.position.seq, ledger.position.acked_seq
    assert held == acked + 3
    await meter(ledger, 900, site)
    exchange.faults.clear()
    uplink = make_uplink(ledger, exchange)
    uplink._compared = True
    ask = uplink._client.put
    refused = json.dumps({"type": "https://exchange.test/problems/invalid-record"}).encode()

    async def refuse_the_newest(delivery: Delivery) -> Answer:
        if delivery.last > held and delivery.epoch == ledger.epochs[0].epoch:
            return Answer(422, "application/problem+json", None, refused)
        return await ask(delivery)

    uplink._client.put = refuse_the_newest  # type: ignore[method-assign] # a fault that the exchange cannot play
    async with running(uplink):
        await until(lambda: len(ledger.epochs) == 2)
        await drained(ledger)
    assert ledger.epochs[0].acked_seq == held
    again = [json.loads(_payload(each.jws)) for each in await ledger.records(ledger.position.epoch, 1, 99)]
    assert [each["start"] for each in again if each["kind"] == "gap"] == [
        body["start"] for body in site.records()[-3:]
    ]
    told = statement(exchange)
    assert (told["count"], told["wh"]) == (len(site.records()), site.audit())


@pytest.mark.parametrize("apart", [False, True], ids=["ahead", "forked"])
async def test_an_old_copy_of_the_store_tells_nothing_twice(
    ledger: Ledger, open_ledger: OpenLedger, exchange: Exchange, tmp_path: Path, *, apart: bool
) -> None:
    """Receipts end before the copy, the copy ends before what the exchange holds."""
    site = await meter(ledger, 3000)
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
        exchange.faults.drop_after_commit(times=2)
        await meter(ledger, 600, site)
        await until(lambda: exchange.book.head(SITE).seq == ledger.position.seq)  # type: ignore[union-attr] # it holds something
    assert ledger.position.backlog == 2
    at_copy, saved = len(site.bodies), dict(site.saved)
    _copy(tmp_path, "old")
    exchange.faults.clear()
    async with running(make_uplink(ledger, exchange)):
        await meter(ledger, 900, site)
        await drained(ledger)
    old = await open_ledger("old")
    # The copy's site was down meanwhile and goes on from its own baselines.
    del site.bodies[at_copy:]
    site.saved = saved
    site.kill()
    if apart:
        await meter(old, 2100, site)
    async with running(make_uplink(old, exchange)):
        await until(lambda: len(old.epochs) == 2)
        await meter(old, 900, site)
        await drained(old)
    # A receipt for the two that the exchange had taken without one that arrived.
    assert old.epochs[0].acked_seq == at_copy + 1
    told = statement(exchange)
    assert (told["count"], told["wh"]) == (len(site.records()), site.audit())


async def test_a_restored_store_is_noticed_at_its_start(
    ledger: Ledger, open_ledger: OpenLedger, exchange: Exchange, tmp_path: Path
) -> None:
    await meter(ledger, 1500)
    for suffix in ("", "-wal"):
        (tmp_path / f"old.sqlite{suffix}").write_bytes((tmp_path / f"ledger.sqlite{suffix}").read_bytes())
    await ledger.append([event(NOW, "later", {})])
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
    old = await open_ledger("old")
    async with running(make_uplink(old, exchange)):
        await until(lambda: len(old.epochs) == 2)
        await drained(old)
    (opening,) = await old.records(old.position.epoch, 1, 1)
    assert '"reason":"restore"' in _payload(opening.jws)


async def test_a_lost_store_says_so_and_goes_on(
    ledger: Ledger, open_ledger: OpenLedger, exchange: Exchange
) -> None:
    await meter(ledger, 1500)
    epoch = await ledger.open_epoch(Beginning(EpochReason.OPERATOR, newest_known=int(NOW) + 10**6))
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
    lost = await open_ledger("new")
    async with running(make_uplink(lost, exchange)):
        await until(lambda: len(lost.epochs) == 2)
        await drained(lost)
    assert lost.position.epoch == epoch + 1, "above the newest that the exchange knows"
    (opening,) = await lost.records(lost.position.epoch, 1, 1)
    before = json.loads(_payload(opening.jws))["before"]
    assert before == {"epoch": epoch, "seq": 1, "head_hash": await ledger.hash_of(epoch, 1)}


async def test_a_head_without_our_signature_opens_no_epoch(ledger: Ledger, waits: list[float]) -> None:
    hint = {"epoch": int(NOW) + 5, "seq": 9, "head_hash": "A" * 43, "head_jws": "eyJ9.e30.AAAA"}
    with _exchange() as exchange:
        uplink = make_uplink(ledger, exchange)
        uplink._client._http = httpx2.AsyncClient(
            transport=httpx2.MockTransport(lambda _request: httpx2.Response(200, json=hint))
        )
        async with running(uplink):
            await until(lambda: len(waits) > 1)
        assert UplinkAlarm.UNEXPECTED in uplink.alarms
        assert len(ledger.epochs) == 1


async def test_an_epoch_refused_from_its_first_record_is_not_replaced_for_ever(
    ledger: Ledger, exchange: Exchange, waits: list[float]
) -> None:
    problem = {"type": "https://exchange.test/problems/invalid-record", "status": 422, "seq": 1}
    uplink = make_uplink(ledger, exchange)
    uplink._compared = True
    nothing = {"epoch": 0, "seq": 0, "head_hash": None, "head_jws": None}

    def refuse(request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=nothing)
        return httpx2.Response(422, json=problem)

    uplink._client._http = httpx2.AsyncClient(transport=httpx2.MockTransport(refuse))
    async with running(uplink):
        await until(lambda: len(waits) > 5)
    assert len(ledger.epochs) == 2
    assert UplinkAlarm.REFUSED in uplink.alarms


async def test_a_closed_epoch_is_still_delivered_after_a_newer_one_began(
    ledger: Ledger, open_ledger: OpenLedger, exchange: Exchange
) -> None:
    await meter(ledger, 900)
    newer = await open_ledger(interval_s=600)
    async with running(make_uplink(newer, exchange)):
        await drained(newer)
    assert [state.acked_seq == state.last_seq > 0 for state in newer.epochs] == [True, True]


async def test_a_restart_in_the_middle_of_a_delivery_doubles_nothing(
    ledger: Ledger, exchange: Exchange
) -> None:
    site = await meter(ledger, 30_000)
    for rounds in range(30):
        uplink = make_uplink(ledger, exchange)
        uplink._most = 7
        async with running(uplink):
            for _ in range(rounds * 3):
                await asyncio.sleep(0)
    async with running(make_uplink(ledger, exchange)):
        await drained(ledger)
    assert statement(exchange)["wh"] == site.audit()
    assert exchange.book.head(SITE).seq == ledger.position.seq  # type: ignore[union-attr] # drained


def _payload(jws: str) -> str:
    return parse(jws.encode()).payload.decode()
