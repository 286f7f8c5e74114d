"""Another key for a site: the record that says so, and who knows which key when."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
import pytest

from daemon.book import verify_file
from daemon.config.settings import ExchangeKey, Settlement
from daemon.errors import ConfigurationError
from daemon.ledger import Beginning, EpochReason, Ledger, event
from daemon.ledger.chain import payload_of
from daemon.ledger.epochs import request_new_epoch
from daemon.signing import PrivateKey, parse
from daemon.store import Store
from daemon.uplink import Uplink
from sim_devices.exchange import Exchange
from sim_devices.exchange.settlement import Settlement as Rules
from tests.world.hand_clock import HandClock
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.metered_site import MIDNIGHT, MeteredSite
from tests.world.virtual_site import SITE, SeededEntropy, VirtualSite

NOW = float(MIDNIGHT + 3_600)
FIRST, SECOND, THIRD = (PrivateKey.from_seed(bytes([number]) * 32) for number in (1, 2, 3))


@dataclass
class Bench:
    """A site, its exchange, and the keys that the exchange was spoken to with."""

    folder: Path
    exchange: Exchange
    site: MeteredSite = field(default_factory=MeteredSite)
    spoken: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def opened(self, key: PrivateKey, previous: PrivateKey | None = None) -> AsyncIterator[Ledger]:
        store = await Store.open(self.folder / "site.db")
        try:
            yield await Ledger.open(
                store,
                site="lhe-01",
                key=key,
                previous_key=previous,
                fw="1",
                clock=HandClock(NOW),
                interval_s=300,
                points=["poi"],
            )
        finally:
            await store.close()

    async def measure(self, ledger: Ledger, seconds: float = 900) -> None:
        before = len(self.site.bodies)
        self.site.run(seconds, cycle_s=10)
        await ledger.append(self.site.bodies[before:], baselines=list(self.site.saved.values()))

    async def deliver(self, ledger: Ledger) -> Uplink:
        """Until everything has its receipt."""
        keys = (ExchangeKey(self.exchange.kid, self.exchange.public_jwk),)
        settings = Settlement("https://exchange.test/", keys, None, None, None, "exchange")
        http = httpx2.AsyncClient(
            transport=self.exchange.transport(), event_hooks={"request": [self._overhear]}
        )
        uplink = Uplink(ledger, http, settings, HandClock(NOW), SeededEntropy(1))
        task = asyncio.create_task(uplink.run(), name="uplink")
        try:
            await until(lambda: ledger.position.backlog == 0 and not uplink.alarms)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await http.aclose()
        return uplink

    async def _overhear(self, request: httpx2.Request) -> None:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.spoken.append(parse(token.encode("ascii")).header.kid)

    def at_exchange(self) -> list[bytes]:
        return lines_at(self.exchange, "lhe-01")

    def stated_wh(self) -> int:
        """The site meter's energy by the exchange's statement."""
        rules = Rules(self.exchange.book, self.exchange.key, lambda: NOW)
        told = rules.statement("lhe-01", self.site.records()[0]["start"][:10])
        assert told is not None
        return told.wh

    def registered_wh(self) -> int:
        """What the site has drawn since the first interval began."""
        first, last = self.site.records()[0], self.site.records()[-1]
        return int(last["reg_end_wh"] - first["reg_start_wh"])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - states of many objects
            await asyncio.sleep(0.002)


def lines_at(exchange: Exchange, site: str) -> list[bytes]:
    """All records of a site."""
    lines: list[bytes] = []
    for epoch in sorted(exchange.book.openings(site)):
        head = exchange.book.head(site, epoch)
        assert head is not None
        lines += [bytes(jws) for _, jws in sorted(exchange.book.known(site, epoch, 1, head.seq).items())]
    return lines


def signers(lines: list[bytes]) -> list[tuple[str, str]]:
    """Kind (or what happened) and the key that signed, of each."""
    found = []
    for line in lines:
        members = payload_of(line)
        found.append((members.get("what", members["kind"]), parse(line).header.kid))
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.uplink.uplink.delay_s", lambda *_: 0.0)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    exchange = Exchange(clock=lambda: NOW)
    exchange.register_site("lhe-01", FIRST.public_jwk(), FIRST.kid)
    bench = Bench(tmp_path, exchange)
    async with bench.opened(FIRST) as ledger:
        await bench.measure(ledger)
        await bench.deliver(ledger)
    bench.spoken.clear()
    yield bench
    exchange.close()


async def test_the_old_key_signs_that_the_new_one_follows_and_nothing_more(bench: Bench) -> None:
    async with bench.opened(SECOND, FIRST) as ledger:
        await bench.measure(ledger)
        await bench.deliver(ledger)
    lines = bench.at_exchange()
    told = signers(lines)
    at = told.index(("key-change", FIRST.kid))
    assert {kid for _, kid in told[: at + 1]} == {FIRST.kid}
    assert {kid for _, kid in told[at + 1 :]} == {SECOND.kid}
    assert len(told) > at + 2
    assert payload_of(lines[at])["detail"] == {"kid": SECOND.kid, "jwk": SECOND.public_jwk()}


async def test_the_exchange_is_spoken_to_with_the_old_key_until_it_has_receipted_the_change(
    bench: Bench,
) -> None:
    bench.exchange.faults.drop_after_commit(times=2)
    async with bench.opened(SECOND, FIRST) as ledger:
        await bench.deliver(ledger)
        assert set(bench.spoken) == {FIRST.kid}
        bench.spoken.clear()
        await bench.measure(ledger)
        await bench.deliver(ledger)
    assert set(bench.spoken) == {SECOND.kid}


async def test_what_the_old_key_had_signed_and_nobody_had_sent_goes_first(bench: Bench) -> None:
    async with bench.opened(FIRST) as ledger:
        await bench.measure(ledger)
        unsent = ledger.position.backlog
    async with bench.opened(SECOND, FIRST) as ledger:
        assert ledger.position.backlog == unsent + 1
        await bench.measure(ledger)
        await bench.deliver(ledger)
        assert len(ledger.epochs) == 1


async def test_it_is_told_once_and_the_old_key_can_go_when_it_is_receipted(bench: Bench) -> None:
    for _ in range(2):
        async with bench.opened(SECOND, FIRST) as ledger:
            await bench.deliver(ledger)
    async with bench.opened(SECOND) as ledger:
        await bench.measure(ledger)
        await bench.deliver(ledger)
        # What the old key signed is still ours: the audit goes through all of it.
        while await ledger.audit():
            pass
        assert ledger.damage is None
    async with bench.opened(THIRD, SECOND) as ledger:
        await bench.measure(ledger)
        await bench.deliver(ledger)
        while await ledger.audit():
            pass
        assert ledger.damage is None
    changes = [kid for what, kid in signers(bench.at_exchange()) if what == "key-change"]
    assert changes == [FIRST.kid, SECOND.kid]


async def test_a_stranger_who_trusts_the_first_key_alone_finds_nothing(bench: Bench) -> None:
    for key, previous in ((SECOND, FIRST), (THIRD, SECOND)):
        async with bench.opened(key, previous) as ledger:
            await bench.measure(ledger)
            await bench.deliver(ledger)
    file = bench.folder / "ledger.jws"
    file.write_bytes(b"".join(line + b"\n" for line in bench.at_exchange()))
    assert verify_file(file, [FIRST.public()]).good
    assert not verify_file(file, [THIRD.public()]).good


async def test_a_fork_before_the_change_is_receipted_tells_it_again(bench: Bench) -> None:
    async with bench.opened(SECOND, FIRST) as ledger:
        await bench.measure(ledger)
        epoch = await ledger.open_epoch(Beginning(EpochReason.FORK, supersede=True))
        records = await ledger.records(epoch, 1, 100)
        await bench.measure(ledger)
        await bench.deliver(ledger)
    told = signers([record.jws.encode("ascii") for record in records])
    assert told[:2] == [("epoch_open", FIRST.kid), ("key-change", FIRST.kid)]
    assert {kid for _, kid in told[2:]} == {SECOND.kid}
    assert bench.stated_wh() == bench.registered_wh()


async def test_a_fork_after_the_change_was_receipted_needs_the_new_key_alone(bench: Bench) -> None:
    async with bench.opened(SECOND, FIRST) as ledger:
        await bench.deliver(ledger)
        await bench.measure(ledger)
        epoch = await ledger.open_epoch(Beginning(EpochReason.FORK, supersede=True))
        records = await ledger.records(epoch, 1, 100)
        await bench.deliver(ledger)
    assert {kid for _, kid in signers([each.jws.encode("ascii") for each in records])} == {SECOND.kid}


async def test_a_copy_of_before_the_change_goes_on_with_the_key_that_the_exchange_knows(
    bench: Bench, tmp_path: Path
) -> None:
    shutil.copy(tmp_path / "site.db", tmp_path / "copy.db")
    async with bench.opened(SECOND, FIRST) as ledger:
        await bench.measure(ledger)
        await bench.deliver(ledger)
    (tmp_path / "site.db").unlink()
    shutil.copy(tmp_path / "copy.db", tmp_path / "site.db")
    async with bench.opened(SECOND, FIRST) as ledger:
        await bench.measure(ledger)
        await bench.deliver(ledger)
        newest = ledger.epochs[-1]
        records = await ledger.records(newest.epoch, 1, 100)
    assert len(ledger.epochs) == 2
    assert {kid for _, kid in signers([each.jws.encode("ascii") for each in records])} == {SECOND.kid}


async def test_a_damaged_ledger_changes_its_key_in_the_operators_new_epoch(bench: Bench) -> None:
    store = await Store.open(bench.folder / "site.db")
    async with store.transaction() as tx:
        await tx.execute("UPDATE records SET hash = 'x' WHERE seq = 3")
    await store.close()
    async with bench.opened(SECOND, FIRST) as ledger:
        assert ledger.damage is not None
        assert not [each for each in signers(await own(ledger)) if each[0] == "key-change"]
        await bench.measure(ledger)
    await request_new_epoch(bench.folder / "site.db", "looked into it")
    async with bench.opened(SECOND, FIRST) as ledger:
        assert ledger.damage is None
        told = signers(await own(ledger))
        await bench.deliver(ledger)
    assert told[:2] == [("epoch_open", FIRST.kid), ("key-change", FIRST.kid)]
    assert {kid for _, kid in told[2:]} == {SECOND.kid}
    assert bench.stated_wh() == bench.registered_wh()


async def own(ledger: Ledger) -> list[bytes]:
    """The records of the newest epoch."""
    records = await ledger.records(ledger.epochs[-1].epoch, 1, 100)
    return [record.jws.encode("ascii") for record in records]


async def test_another_key_without_the_old_one_is_refused_before_anything_is_written(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match=r"keys\.previous"):
        async with bench.opened(SECOND):
            pass
    async with bench.opened(FIRST) as ledger:
        assert ledger.position.backlog == 0


@pytest.mark.parametrize("previous", [None, SECOND])
async def test_a_key_that_was_replaced_never_signs_again(bench: Bench, previous: PrivateKey | None) -> None:
    async with bench.opened(SECOND, FIRST) as ledger:
        await bench.deliver(ledger)
    with pytest.raises(ConfigurationError, match=r"was this site's before|signed by key"):
        async with bench.opened(FIRST, previous):
            pass


async def test_an_old_key_that_is_named_by_mistake_changes_nothing(bench: Bench) -> None:
    async with bench.opened(FIRST, THIRD) as ledger:
        await ledger.append([event(NOW, "note", {})])
        await bench.deliver(ledger)
    assert {kid for _, kid in signers(bench.at_exchange())} == {FIRST.kid}


def test_the_daemon_changes_its_key_at_a_start_with_both(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with VirtualSite(loop, tmp_path, miners=2, racks=0, period_s=30) as site:
            site.dispatcher.leasing = False
            await site.start()
            await site.run(100)
            await site.stop()
            first = site.key
            site.config = replace(
                site.config,
                site_key_path=kept_key(tmp_path / "site-2.jwk", SECOND),
                previous_key_path=site.config.site_key_path,
            )
            await site.start()
            await site.run(400)
            told = signers(lines_at(site.exchange, SITE))
        at = told.index(("key-change", first.kid))
        assert {kid for _, kid in told[: at + 1]} == {first.kid}
        assert {kid for _, kid in told[at + 1 :]} == {SECOND.kid}
        assert "interval" in {what for what, _ in told[at + 1 :]}

    run_virtual(main)


def kept_key(path: Path, key: PrivateKey) -> Path:
    path.touch(mode=0o600)
    path.write_text(json.dumps(key.private_jwk()), encoding="ascii")
    return path
