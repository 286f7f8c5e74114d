"""How a site changes its key with the exchange: by a record, for records and bearers."""

from collections.abc import AsyncIterator

import pytest

from sim_devices.exchange.encoding import FormError
from tests.world.settlement_bench import SettlementBench, settlement_bench
from tests.world.settling_site import EPOCH, Key, utc, word


@pytest.fixture
async def bench() -> AsyncIterator[SettlementBench]:
    async with settlement_bench() as bench:
        bench.site.open()
        yield bench


async def test_a_receipted_key_change_registers_the_next_key_for_records_and_bearers(
    bench: SettlementBench,
) -> None:
    old = bench.site.key
    bench.site.key_change(Key("site-key-2"))
    answer = await bench.put(1, 2, headers={"Authorization": bench.site.bearer(old)})
    assert answer.status_code == 201
    bench.site.event()
    assert (await bench.put(3, 3)).status_code == 201
    assert (await bench.head())["seq"] == 3


async def test_the_next_key_signs_within_the_same_upload(bench: SettlementBench) -> None:
    old = bench.site.key
    for name in ("site-key-2", "site-key-3"):
        bench.site.key_change(Key(name))
        bench.site.event()
    answer = await bench.put(1, 5, headers={"Authorization": bench.site.bearer(old)})
    assert answer.status_code == 201


async def test_the_next_key_is_unknown_until_its_change_is_receipted(bench: SettlementBench) -> None:
    bench.site.key_change(Key("site-key-2"))
    answer = await bench.put(1, 2)
    assert (answer.status_code, word(answer)) == (401, "unauthorized")


async def test_the_old_key_signs_no_record_after_the_change(bench: SettlementBench) -> None:
    old = bench.site.key
    bench.site.key_change(Key("site-key-2"))
    await bench.put(1, 2, headers={"Authorization": bench.site.bearer(old)})
    bench.site.key = old
    bench.site.event()
    answer = await bench.put(3, 3)
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", 3)


async def test_the_old_key_signs_nothing_after_the_change_in_the_same_upload(
    bench: SettlementBench,
) -> None:
    old = bench.site.key
    bench.site.key_change(Key("site-key-2"))
    bench.site.key = old
    bench.site.event()
    answer = await bench.put(1, 3)
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", 3)


async def test_the_old_key_does_not_open_the_next_epoch(bench: SettlementBench) -> None:
    old = bench.site.key
    bench.site.key_change(Key("site-key-2"))
    await bench.put(1, 2, headers={"Authorization": bench.site.bearer(old)})
    bench.site.key = old
    bench.site.open(EPOCH + 1)
    answer = await bench.put(1, 1)
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", 1)


async def test_the_next_key_signs_no_record_before_the_change(bench: SettlementBench) -> None:
    old, new = bench.site.key, Key("site-key-2")
    bench.site.event()
    bench.site.key_change(new)
    await bench.put(1, 3, headers={"Authorization": bench.site.bearer(old)})
    early = bench.site.record(2, "event", at=utc(EPOCH), what="alarm", detail={})
    answer = await bench.put(2, 2, body=early + b"\n")
    assert (answer.status_code, word(answer)) == (422, "invalid-record")
    assert "does not sign" in answer.json()["detail"]


async def test_when_the_receipt_of_the_change_is_lost_the_old_bearer_gets_it_again(
    bench: SettlementBench,
) -> None:
    old = bench.site.key
    bench.site.key_change(Key("site-key-2"))
    first = await bench.put(1, 2, headers={"Authorization": bench.site.bearer(old)})
    again = await bench.put(1, 2, headers={"Authorization": bench.site.bearer(old)})
    assert (again.status_code, again.content) == (200, first.content)


async def test_records_from_before_the_change_are_known_after_it(bench: SettlementBench) -> None:
    old = bench.site.key
    bench.site.key_change(Key("site-key-2"))
    bench.site.event()
    await bench.put(1, 3, headers={"Authorization": bench.site.bearer(old)})
    assert (await bench.put(1, 3)).status_code == 200


async def test_a_refused_upload_registers_no_key(bench: SettlementBench) -> None:
    old, new = bench.site.key, Key("site-key-2")
    bench.site.key_change(new)
    body = bench.site.body(1, 2) + b"nonsense\n"
    answer = await bench.put(1, 3, body=body, headers={"Authorization": bench.site.bearer(old)})
    assert word(answer) == "invalid-record"
    answer = await bench.get("ledger/head", bearer=bench.site.bearer(new))
    assert answer.status_code == 401


@pytest.mark.parametrize("case", ["the signing key", "its kid", "its bytes under another kid"])
async def test_a_change_to_a_key_that_cannot_be_told_from_the_old_is_invalid(
    bench: SettlementBench, case: str
) -> None:
    old = bench.site.key
    new = {
        "the signing key": old,
        "its kid": Key(old.kid),
        "its bytes under another kid": Key("site-key-2", old.private),
    }[case]
    bench.site.key_change(new)
    answer = await bench.put(1, 2, headers={"Authorization": bench.site.bearer(old)})
    assert (word(answer), answer.json()["seq"]) == ("invalid-record", 2)


async def test_a_key_does_not_come_back(bench: SettlementBench) -> None:
    first = bench.site.key
    bench.site.key_change(Key("site-key-2"))
    bench.site.key_change(first)
    answer = await bench.put(1, 3, headers={"Authorization": bench.site.bearer(first)})
    assert (word(answer), answer.json()["seq"]) == ("invalid-record", 3)


async def test_a_change_that_names_its_private_key_is_invalid(bench: SettlementBench) -> None:
    bench.site.event("key-change", {"kid": "site-key-2", "jwk": {**Key("site-key-2").jwk, "d": "AAAA"}})
    answer = await bench.put(1, 2)
    assert (word(answer), answer.json()["seq"]) == ("invalid-record", 2)


async def test_a_restored_exchange_goes_on_once_the_present_key_is_registered_again(
    bench: SettlementBench,
) -> None:
    old, new = bench.site.key, Key("site-key-2")
    bench.site.key_change(new)
    await bench.put(1, 2, headers={"Authorization": bench.site.bearer(old)})
    bench.site.event()
    bench.book.restore("lhe-01", (EPOCH, 1))
    assert (await bench.put(3, 3)).status_code == 401
    bench.book.register_site("lhe-01", new.jwk, new.kid)
    assert word(await bench.put(3, 3)) == "sequence-gap"
    assert (await bench.put(2, 3)).status_code == 201


async def test_another_key_is_not_registered_over_a_known_kid(bench: SettlementBench) -> None:
    with pytest.raises(FormError, match="another key"):
        bench.book.register_site("lhe-01", Key("x").jwk, bench.site.key.kid)
