"""The faults that the reference exchange can be told to have."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from cryptography.exceptions import InvalidSignature

from sim_devices.exchange import Exchange, WrongReceipt
from sim_devices.exchange.encoding import FormError
from sim_devices.exchange.fault_words import arm
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.settling_site import DAY_START_S, EPOCH, SettlingSite, hash_text, receipt_of, word


@pytest.fixture
def site() -> SettlingSite:
    site = SettlingSite()
    site.open()
    site.fill(2)
    return site


@pytest.fixture
async def exchange(site: SettlingSite) -> AsyncIterator[Exchange]:
    exchange = Exchange(clock=lambda: float(site.now_s))
    exchange.register_site(site.site, site.key.jwk, site.key.kid)
    yield exchange
    exchange.close()


@pytest.fixture
async def client(exchange: Exchange) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=exchange.transport()) as client:
        yield client


async def test_it_can_be_down_for_a_number_of_requests(
    exchange: Exchange, site: SettlingSite, client: httpx2.AsyncClient
) -> None:
    exchange.faults.refuse(429, retry_after_s=7, times=2)
    for _ in range(2):
        answer = await client.send(site.put(1, 3))
        assert (answer.status_code, word(answer), answer.headers["retry-after"]) == (429, "unavailable", "7")
    assert (await client.send(site.put(1, 3))).status_code == 201


async def test_it_can_be_down_until_cleared(
    exchange: Exchange, site: SettlingSite, client: httpx2.AsyncClient
) -> None:
    exchange.faults.refuse()
    assert [(await client.send(site.put(1, 3))).status_code for _ in range(3)] == [503, 503, 503]
    exchange.faults.clear()
    assert (await client.send(site.put(1, 3))).status_code == 201


async def test_a_request_lost_before_the_commit_changed_nothing(
    exchange: Exchange, site: SettlingSite, client: httpx2.AsyncClient
) -> None:
    exchange.faults.drop_before_commit()
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.send(site.put(1, 3))
    assert (await client.send(site.put(1, 3))).status_code == 201


async def test_an_answer_lost_after_the_commit_is_given_again(
    exchange: Exchange, site: SettlingSite, client: httpx2.AsyncClient
) -> None:
    exchange.faults.drop_after_commit()
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.send(site.put(1, 3))
    answer = await client.send(site.put(1, 3))
    assert answer.status_code == 200
    assert receipt_of(answer, exchange.public_jwk, exchange.kid)["through_seq"] == 3


async def test_it_can_answer_late(exchange: Exchange, site: SettlingSite, client: httpx2.AsyncClient) -> None:
    exchange.faults.delay(30, times=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.send(site.put(1, 3))
    assert (await client.send(site.put(1, 3))).status_code == 200


@pytest.mark.parametrize("kind", WrongReceipt)
async def test_a_wrong_receipt_is_wrong_and_the_right_one_is_kept(
    exchange: Exchange, site: SettlingSite, client: httpx2.AsyncClient, kind: WrongReceipt
) -> None:
    exchange.faults.falsify(kind)
    wrong = await client.send(site.put(1, 3))
    assert wrong.status_code == 201
    assert not convincing(wrong, exchange, site)
    right = await client.send(site.put(1, 3))
    assert right.status_code == 200
    assert convincing(right, exchange, site)


def convincing(answer: httpx2.Response, exchange: Exchange, site: SettlingSite) -> bool:
    try:
        claims = receipt_of(answer, exchange.public_jwk, exchange.kid)
    except (InvalidSignature, ValueError, AssertionError):
        return False
    expected = (site.site, EPOCH, 3, hash_text(site.records[EPOCH, 3]))
    return (claims["site"], claims["epoch"], claims["through_seq"], claims["head_hash"]) == expected


def test_it_works_in_virtual_time(site: SettlingSite) -> None:
    async def settle_late(loop: VirtualLoop) -> float:
        exchange = Exchange(clock=lambda: float(site.now_s))
        exchange.register_site(site.site, site.key.jwk, site.key.kid)
        exchange.faults.delay(3_600)
        began = loop.time()
        async with httpx2.AsyncClient(transport=exchange.transport()) as client:
            assert (await client.send(site.put(1, 3))).status_code == 201
        exchange.close()
        return loop.time() - began

    assert run_virtual(settle_late) == pytest.approx(3_600)


async def test_an_answer_that_breaks_off_is_given_again(
    exchange: Exchange, site: SettlingSite, client: httpx2.AsyncClient
) -> None:
    exchange.faults.truncate()
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.send(site.put(1, 3))
    assert (await client.send(site.put(1, 3))).status_code == 200


async def test_it_can_lose_its_last_day(
    exchange: Exchange, site: SettlingSite, client: httpx2.AsyncClient
) -> None:
    site.day_close([site.records[EPOCH, seq] for seq in (2, 3)], 200)
    site.interval(DAY_START_S + 86_400)
    site.event()
    assert (await client.send(site.put(1, 6))).status_code == 201
    assert exchange.book.lose_last_day(site.site) == (EPOCH, 4)
    answer = await client.send(site.put(6, 6))
    assert (word(answer), answer.json()["expected_seq"]) == ("sequence-gap", 5)
    assert (await client.send(site.put(5, 6))).status_code == 201
    assert exchange.book.lose_last_day("nobody") is None


@pytest.mark.parametrize(
    ("text", "status"),
    [("status=502*1", 502), ("busy=7*1", 429), ("receipt=garbage*1", 201), ("delay=0*1", 201)],
)
def test_a_fault_is_put_in_words(site: SettlingSite, text: str, status: int) -> None:
    async def send(loop: VirtualLoop) -> list[int]:
        del loop
        exchange = Exchange(clock=lambda: float(site.now_s))
        exchange.register_site(site.site, site.key.jwk, site.key.kid)
        arm(text, exchange.faults, exchange.book)
        async with httpx2.AsyncClient(transport=exchange.transport()) as client:
            answers = [(await client.send(site.put(1, 3))).status_code for _ in range(2)]
        exchange.close()
        return answers

    first, second = run_virtual(send)
    assert first == status
    assert second == (201 if status >= 400 else 200)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "status=200", "status", "busy=soon", "receipt=polite", "truncate=1", "delay=1*0"],
)
def test_a_word_for_no_fault_is_refused(exchange: Exchange, text: str) -> None:
    with pytest.raises(FormError):
        arm(text, exchange.faults, exchange.book)
