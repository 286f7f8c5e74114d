"""What the demo reads from the exchange's book."""

import json

from sim_devices.demo.judge import Settled
from sim_devices.demo.settlement import settled
from sim_devices.exchange import ExchangeKey
from sim_devices.exchange.receipts import sign_receipt
from tests.world.settlement_bench import SettlementBench, settlement_bench
from tests.world.settling_site import DAY_START_S, hash_text

SPAN = (DAY_START_S + 10.0, DAY_START_S + 1000.0)


async def settle(bench: SettlementBench) -> None:
    bench.site.open()
    bench.site.interval()
    bench.site.interval(point="feeder")
    bench.site.event()
    bench.site.gap(DAY_START_S + 300)
    answer = await bench.put(1, 5)
    assert answer.status_code == 201


def read(bench: SettlementBench, key: ExchangeKey | None = None) -> list[Settled]:
    key = key or bench.key
    return settled(bench.book, bench.site.site, key.kid, key.public_jwk, *SPAN)


async def test_the_site_meters_records_with_their_receipts() -> None:
    async with settlement_bench() as bench:
        await settle(bench)
        assert read(bench) == [
            Settled(DAY_START_S, 300, True, 100, True),  # noqa: FBT003
            Settled(DAY_START_S + 300, 300, False, None, True),  # noqa: FBT003
        ]


async def test_another_day_and_another_site_have_none() -> None:
    async with settlement_bench() as bench:
        await settle(bench)
        key = bench.key
        later = (SPAN[0] + 86_400, SPAN[1] + 86_400)
        assert settled(bench.book, bench.site.site, key.kid, key.public_jwk, *later) == []
        assert settled(bench.book, "another", key.kid, key.public_jwk, *SPAN) == []


async def test_a_receipt_by_another_key_is_none() -> None:
    async with settlement_bench() as bench:
        await settle(bench)
        assert {record.receipted for record in read(bench, ExchangeKey.generate("exchange-1"))} == {False}


async def test_a_receipt_that_names_other_bytes_is_none() -> None:
    async with settlement_bench() as bench:
        await settle(bench)
        right = {"site": bench.site.site, "epoch": bench.site.epoch, "through_seq": 5}
        head = bench.site.records[bench.site.epoch, 5]
        for wrong in ({"head_hash": hash_text(b"other")}, {"epoch": 7}, {"site": "x"}, {"through_seq": 4}):
            claims = {**right, "head_hash": hash_text(head), **wrong}
            forged = sign_receipt(claims, bench.key)
            bench.book._db.execute("UPDATE receipts SET jws = ?", (forged,))
            assert {record.receipted for record in read(bench)} == {False}, json.dumps(wrong)
