"""What the exchange takes into a ledger and what it refuses: contract §5, the rows about records."""

import json
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.world.settlement_bench import SettlementBench, settlement_bench
from tests.world.settling_site import (
    DAY_START_S,
    EPOCH,
    SITE_ONLY,
    Key,
    b64,
    canonical,
    hash_text,
    unb64,
    utc,
    word,
)


@pytest.fixture
async def bench() -> AsyncIterator[SettlementBench]:
    async with settlement_bench() as bench:
        bench.site.open()
        bench.site.fill(9)
        yield bench


def members_of(jws: bytes) -> dict[str, Any]:
    members = json.loads(unb64(jws.split(b".")[1].decode()))
    assert isinstance(members, dict)
    return members


async def test_new_and_contiguous_records_get_a_receipt_through_the_last(bench: SettlementBench) -> None:
    answer = await bench.put(1, 10)
    assert answer.status_code == 201
    receipt = bench.receipt(answer)
    assert receipt.pop("receipt_id")
    assert receipt == {
        "site": "lhe-01",
        "epoch": EPOCH,
        "through_seq": 10,
        "head_hash": hash_text(bench.site.records[EPOCH, 10]),
        "received_at": utc(bench.site.now_s),
    }


async def test_gzip_and_plain_are_the_same_to_the_ledger(bench: SettlementBench) -> None:
    assert (await bench.put(1, 5, packed=True)).status_code == 201
    assert (await bench.put(6, 10)).status_code == 201
    assert (await bench.put(1, 10, packed=True)).status_code == 200


async def test_a_known_prefix_with_a_new_rest_is_taken(bench: SettlementBench) -> None:
    await bench.put(1, 5)
    answer = await bench.put(3, 10)
    assert answer.status_code == 201
    assert bench.receipt(answer)["through_seq"] == 10


async def test_known_records_get_the_stored_receipt_with_the_smallest_through_seq_that_covers_them(
    bench: SettlementBench,
) -> None:
    stored = {last: (await bench.put(first, last)).content for first, last in ((1, 4), (5, 7), (8, 10))}
    bench.site.now_s += 3_600
    for first, last, through in (
        (1, 4, 4),
        (2, 3, 4),
        (1, 6, 7),
        (5, 5, 7),
        (1, 7, 7),
        (8, 8, 10),
        (1, 10, 10),
    ):
        answer = await bench.put(first, last)
        assert (answer.status_code, answer.content) == (200, stored[through])
        bench.receipt(answer)


async def test_records_without_a_receipt_are_not_kept(bench: SettlementBench, monkeypatch: Any) -> None:
    def fail(*_args: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(bench.book, "add_receipt", fail)
        with pytest.raises(sqlite3.OperationalError):
            await bench.put(1, 10)
    assert (await bench.head())["seq"] == 0
    assert (await bench.put(1, 10)).status_code == 201


async def test_each_receipt_has_its_own_id(bench: SettlementBench) -> None:
    ids = {bench.receipt(await bench.put(seq, seq))["receipt_id"] for seq in range(1, 11)}
    assert len(ids) == 10


async def test_records_signed_with_the_other_name_of_the_algorithm_are_taken(bench: SettlementBench) -> None:
    members = members_of(bench.site.records[EPOCH, 1])
    jws = bench.site.key.jws(canonical(members), "qw-rec+jws", alg="Ed25519")
    assert (await bench.put(1, 1, body=jws + b"\n")).status_code == 201


# --- invalid-record ---


def changed(**members: Any) -> Any:
    """A record as it should be but for some members; `...` leaves one out."""

    def make(bench: SettlementBench, jws: bytes) -> bytes:
        record = {**members_of(jws), **members}
        return bench.site.signed({name: value for name, value in record.items() if value is not ...})

    return make


def resealed(payload: Any, typ: str = "qw-rec+jws", **header: Any) -> Any:
    def make(bench: SettlementBench, jws: bytes) -> bytes:
        return bench.site.key.jws(payload(members_of(jws)), typ, **header)

    return make


def second_spelling(_bench: SettlementBench, jws: bytes) -> bytes:
    # 64 bytes of signature leave 4 unused bits in the last character.
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return jws[:-1] + alphabet[alphabet.index(jws[-1]) + 1 :][:1]


def broken_signature(_bench: SettlementBench, jws: bytes) -> bytes:
    head, payload, signature = jws.split(b".")
    flipped = bytearray(unb64(signature.decode()))
    flipped[7] ^= 1
    return b".".join((head, payload, b64(bytes(flipped)).encode()))


INVALID: dict[str, Any] = {
    "not a JWS": lambda _bench, _jws: b"nonsense",
    "not ASCII": lambda _bench, jws: jws[:-1] + b"\xff",
    "ended by CR LF": lambda _bench, jws: jws + b"\r",
    "padded base64url": lambda _bench, jws: jws + b"==",
    "unused bits not zero": second_spelling,
    "bad signature": broken_signature,
    "unknown key": lambda _bench, jws: Key("nobody").jws(canonical(members_of(jws)), "qw-rec+jws"),
    "another key of the same name": lambda bench, jws: Key(bench.site.key.kid).jws(
        canonical(members_of(jws)), "qw-rec+jws"
    ),
    "another typ": resealed(canonical, "qw-rsp+jws"),
    "another alg": resealed(canonical, alg="HS256"),
    "a header member too many": resealed(canonical, cty="json"),
    "a header member that is no text": resealed(canonical, kid=1),
    "not JSON": resealed(lambda _members: b"{"),
    "not an object": resealed(lambda _members: b"[]"),
    "not canonical": resealed(lambda members: json.dumps(members).encode()),
    "a name twice": resealed(lambda members: canonical(members)[:-1] + b',"wh":7}'),
    "a float": resealed(lambda members: canonical({**members, "coverage_s": 299.5})),
    "an integer as a float": resealed(lambda members: canonical({**members, "coverage_s": 300.0})),
    "beyond 2**53": changed(reg_end_wh=2**53),
    "a boolean for a number": changed(samples=True),
    "a text for a number": changed(samples="300"),
    "a member too many": changed(note="x"),
    "a member too few": changed(meter_sn=...),
    "a nested member too many": changed(output={"hashes_th": 1, "gpu_s": 1, "x": 1}),
    "another version": changed(v=2),
    "another kind": changed(kind="reading"),
    "another time form": changed(start="2027-01-15T00:00:00+00:00"),
    "no such time": changed(start="2027-02-30T00:00:00Z"),
    "unknown quality": changed(quality=18),
    "unknown time status": changed(time_status="X"),
    "unknown state": changed(state_s={"asleep": 300}),
    "a hash that is none": changed(prev="abc"),
    "no energy": changed(wh=None),
    "another site": changed(site="lhe-02"),
    "another epoch": changed(epoch=EPOCH + 1),
    "another seq": changed(seq=6),
    "a point that the epoch has not": changed(point="elsewhere", **dict.fromkeys(SITE_ONLY)),
    "the site meter's members on another point": changed(point="feeder"),
    "an opening inside": changed(
        **dict.fromkeys(
            (
                "point", "meter_sn", "start", "dur_s", "reg_start_wh", "reg_end_wh", "wh", "max_w",
                "samples", "coverage_s", "quality", "time_status", *SITE_ONLY,
            ),
            ...,
        ),
        kind="epoch_open", at=utc(EPOCH), reason="new", interval_s=300, points=["poi"], before=None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", INVALID)
async def test_an_unreadable_or_wrong_record_is_invalid_and_nothing_of_the_upload_is_taken(
    bench: SettlementBench, how: str
) -> None:
    wrong = INVALID[how](bench, bench.site.records[EPOCH, 4])
    body = bench.site.body(1, 3) + wrong + b"\n" + bench.site.body(5, 10)
    answer = await bench.put(1, 10, body=body)
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", 4)
    assert (await bench.head())["seq"] == 0


@pytest.mark.parametrize("bad", [(5,), (90,), (47, 93), (60, 61), (60, 20), (91, 90)])
async def test_of_many_records_the_first_that_is_wrong_is_named(
    bench: SettlementBench, bad: tuple[int, ...]
) -> None:
    bench.site.fill(110)
    lines = bench.site.body(1, 100).splitlines()
    for seq in bad[:1]:
        lines[seq - 1] = broken_signature(bench, lines[seq - 1])
    for seq in bad[1:]:
        lines[seq - 1] = changed(v=2)(bench, lines[seq - 1])
    answer = await bench.put(1, 100, body=b"".join(line + b"\n" for line in lines))
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", min(bad))
    assert (await bench.head())["seq"] == 0
    assert (await bench.put(1, 100)).status_code == 201


async def test_the_first_record_must_be_the_opening(bench: SettlementBench) -> None:
    bench.site.epoch = EPOCH + 1
    jws = bench.site.record(1, "event", at=utc(EPOCH), what="alarm", detail={})
    answer = await bench.put(1, 1, body=jws + b"\n")
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", 1)


@pytest.mark.parametrize(
    "members",
    [
        {"interval_s": 7},
        {"points": []},
        {"points": ["poi", "poi"]},
        {"reason": "boredom"},
        {"before": {"epoch": 1, "seq": 1}},
    ],
)
async def test_an_opening_that_opens_nothing_is_invalid(
    bench: SettlementBench, members: dict[str, Any]
) -> None:
    bench.site.open(EPOCH + 1, **members)
    answer = await bench.put(1, 1)
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", 1)


@pytest.mark.parametrize(
    ("first", "last", "lines", "seq"),
    [(1, 10, 9, 10), (1, 9, 10, 10), (1, 10, 0, 1), (5, 4, 1, 5)],
    ids=["too few", "too many", "none", "backwards"],
)
async def test_another_number_of_lines_than_the_path_says_is_invalid(
    bench: SettlementBench, first: int, last: int, lines: int, seq: int
) -> None:
    answer = await bench.put(first, last, body=bench.site.body(1, lines))
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", seq)


async def test_a_last_line_without_its_end_is_invalid(bench: SettlementBench) -> None:
    answer = await bench.put(1, 10, body=bench.site.body(1, 10)[:-1])
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", 10)


async def test_bytes_after_the_last_line_are_invalid(bench: SettlementBench) -> None:
    answer = await bench.put(1, 9, body=bench.site.body(1, 9) + b"x")
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", 10)


async def test_every_kind_of_record_is_taken(bench: SettlementBench) -> None:
    site = bench.site
    site.interval(DAY_START_S, point="feeder")
    site.interval(
        DAY_START_S + 2_700, meter_sn=None, reg_start_wh=None, reg_end_wh=None, max_w=None, quality=10
    )
    for reason in ("down", "no-meter", "no-clock", "partial"):
        site.gap(DAY_START_S + 3_000, reason=reason)
    site.gap(DAY_START_S + 3_300, reg_start_wh=1, reg_end_wh=5, wh=4)
    site.event("state", {"from": "init", "to": "failsafe", "cause": ["start", {"n": -1}]})
    change = {"point": "poi", "from": "SN1", "to": None, "reg_end_wh": 5, "reg_start_wh": 0}
    site.event("meter-changed", change)
    site.correction(5, -10, site.now_s)
    site.day_close([], 0)
    assert (await bench.put(1, site.seq())).status_code == 201


@pytest.mark.parametrize("detail", [{}, {"point": "poi"}, {"kid": "k", "jwk": {"kty": "RSA"}}])
@pytest.mark.parametrize("what", ["meter-changed", "key-change"])
async def test_an_event_of_the_contract_has_the_detail_of_the_contract(
    bench: SettlementBench, what: str, detail: dict[str, Any]
) -> None:
    bench.site.event(what, detail)
    answer = await bench.put(1, 11)
    assert (answer.status_code, word(answer), answer.json()["seq"]) == (422, "invalid-record", 11)


# --- fork, gap, chain ---


async def test_a_known_seq_with_other_bytes_is_a_fork_and_overwrites_nothing(bench: SettlementBench) -> None:
    await bench.put(1, 10)
    before = await bench.head()
    forked = changed(wh=99)(bench, bench.site.records[EPOCH, 10])
    answer = await bench.put(10, 10, body=forked + b"\n")
    assert (answer.status_code, word(answer)) == (422, "ledger-fork")
    assert await bench.head() == before
    assert (await bench.put(1, 10)).status_code == 200


async def test_a_fork_is_told_before_a_broken_chain(bench: SettlementBench) -> None:
    await bench.put(1, 9)
    forked = changed(wh=99)(bench, bench.site.records[EPOCH, 9])
    answer = await bench.put(9, 10, body=forked + b"\n" + bench.site.body(10, 10))
    assert (answer.status_code, word(answer)) == (422, "ledger-fork")


async def test_records_beyond_the_head_leave_a_gap(bench: SettlementBench) -> None:
    await bench.put(1, 4)
    answer = await bench.put(6, 10)
    assert (answer.status_code, word(answer)) == (409, "sequence-gap")
    assert (answer.json()["expected_epoch"], answer.json()["expected_seq"]) == (EPOCH, 5)


async def test_a_new_epoch_begins_with_its_first_record(bench: SettlementBench) -> None:
    answer = await bench.put(2, 10)
    assert (answer.status_code, word(answer)) == (409, "sequence-gap")
    assert (answer.json()["expected_epoch"], answer.json()["expected_seq"]) == (EPOCH, 1)


async def test_an_unknown_epoch_below_the_newest_is_a_gap_in_the_newest(bench: SettlementBench) -> None:
    await bench.put(1, 4)
    bench.site.open(EPOCH - 1)
    answer = await bench.put(1, 1)
    assert (answer.status_code, word(answer)) == (409, "sequence-gap")
    assert (answer.json()["expected_epoch"], answer.json()["expected_seq"]) == (EPOCH, 5)


async def test_an_epoch_stays_open_for_its_own_records_after_a_newer_one_began(
    bench: SettlementBench,
) -> None:
    await bench.put(1, 4)
    bench.site.open(EPOCH + 1, before=bench.site.before())
    assert (await bench.put(1, 1)).status_code == 201
    answer = await bench.put(5, 10, epoch=EPOCH)
    assert answer.status_code == 201
    assert (bench.receipt(answer)["epoch"], bench.receipt(answer)["through_seq"]) == (EPOCH, 10)
    assert (await bench.head())["epoch"] == EPOCH + 1


async def test_a_prev_that_does_not_match_at_the_start_breaks_the_chain(bench: SettlementBench) -> None:
    await bench.put(1, 4)
    wrong = changed(prev=b64(bytes(32)))(bench, bench.site.records[EPOCH, 5])
    answer = await bench.put(5, 5, body=wrong + b"\n")
    assert (answer.status_code, word(answer)) == (409, "chain-broken")
    expected = (4, hash_text(bench.site.records[EPOCH, 4]))
    assert (answer.json()["head_seq"], answer.json()["head_hash"]) == expected


async def test_a_prev_that_does_not_match_inside_breaks_the_chain_and_nothing_is_taken(
    bench: SettlementBench,
) -> None:
    await bench.put(1, 2)
    head = await bench.head()
    wrong = changed(prev=b64(bytes(32)))(bench, bench.site.records[EPOCH, 7])
    body = bench.site.body(2, 6) + wrong + b"\n" + bench.site.body(8, 10)
    answer = await bench.put(2, 10, body=body)
    assert (answer.status_code, word(answer)) == (409, "chain-broken")
    assert (answer.json()["head_seq"], answer.json()["head_hash"]) == (2, head["head_hash"])
    assert await bench.head() == head


async def test_a_first_record_that_points_back_breaks_the_chain(bench: SettlementBench) -> None:
    wrong = changed(prev=b64(bytes(32)))(bench, bench.site.records[EPOCH, 1])
    answer = await bench.put(1, 1, body=wrong + b"\n")
    assert (answer.status_code, word(answer)) == (409, "chain-broken")
    assert (answer.json()["head_seq"], answer.json()["head_hash"]) == (0, None)


async def test_an_exchange_restored_from_a_backup_asks_for_what_it_lost(bench: SettlementBench) -> None:
    await bench.put(1, 4)
    await bench.put(5, 10)
    bench.book.restore("lhe-01", (EPOCH, 4))
    bench.site.event()
    answer = await bench.put(11, 11)
    assert (answer.json()["expected_epoch"], answer.json()["expected_seq"]) == (EPOCH, 5)
    assert (await bench.put(5, 11)).status_code == 201


async def test_what_a_restored_exchange_holds_without_a_receipt_gets_a_new_one(
    bench: SettlementBench,
) -> None:
    await bench.put(1, 10)
    bench.book.restore("lhe-01", (EPOCH, 4))
    answer = await bench.put(2, 3)
    assert (answer.status_code, bench.receipt(answer)["through_seq"]) == (200, 4)
    assert (await bench.put(1, 4)).content == answer.content
