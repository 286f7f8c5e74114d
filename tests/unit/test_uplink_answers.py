"""What an answer asks for, how long to wait, how much fits."""

import gzip
import json
from typing import Any

import pytest

from daemon.ledger import StoredRecord
from daemon.uplink.answers import Answer, Later, Missing, Refused, Taken, TooLarge, Unauthorized, Word, judge
from daemon.uplink.backoff import delay_s, parse_retry_after
from daemon.uplink.delivery import MAX_BYTES, MAX_RECORDS, pack


class Highest:
    def uuid(self) -> str:
        return ""

    def uniform(self, _low: float, high: float) -> float:
        return high


def answer(status: int, word: str = "", *, retry_after: str | None = None, **members: Any) -> Answer:
    body = json.dumps({"type": f"https://exchange.test/problems/{word}", **members}).encode()
    return Answer(status, "application/problem+json", retry_after, body)


@pytest.mark.parametrize("status", [200, 201])
def test_a_success_is_worth_its_body(status: int) -> None:
    assert judge(Answer(status, "text/html", None, b"ok"), 0.0) == Taken(b"ok", "text/html")


def test_a_gap_names_the_record_to_go_on_from() -> None:
    assert judge(answer(409, "sequence-gap", expected_epoch=5, expected_seq=7), 0.0) == Missing(5, 7)


@pytest.mark.parametrize("members", [{}, {"expected_epoch": 5}, {"expected_epoch": 5, "expected_seq": 0}])
def test_a_gap_without_a_record_is_no_instruction(members: dict[str, Any]) -> None:
    verdict = judge(answer(409, "sequence-gap", **members), 0.0)
    assert isinstance(verdict, Later)
    assert not verdict.expected


@pytest.mark.parametrize(
    ("status", "word"), [(409, "chain-broken"), (422, "ledger-fork"), (422, "invalid-record")]
)
def test_refused_records_are_named(status: int, word: str) -> None:
    verdict = judge(answer(status, word), 0.0)
    assert isinstance(verdict, Refused)
    assert verdict.word is Word(word)


@pytest.mark.parametrize("status", [401, 403])
def test_not_known_is_told_apart_from_not_now(status: int) -> None:
    assert isinstance(judge(answer(status, "unauthorized"), 0.0), Unauthorized)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
def test_an_outage_is_expected(status: int) -> None:
    verdict = judge(answer(status, retry_after="30"), 0.0)
    assert isinstance(verdict, Later)
    assert (verdict.expected, verdict.retry_after_s) == (True, 30.0)


@pytest.mark.parametrize("status", [204, 301, 302, 307, 400, 404, 409, 410, 415, 422])
def test_any_other_answer_decides_nothing(status: int) -> None:
    verdict = judge(Answer(status, None, None, b"<html>"), 0.0)
    assert isinstance(verdict, Later)
    assert not verdict.expected


def test_too_large_asks_for_less() -> None:
    assert judge(answer(413, "too-large"), 0.0) == TooLarge()


def test_the_back_off_doubles_up_to_five_minutes() -> None:
    assert [delay_s(failures, None, Highest()) for failures in (1, 2, 3, 8, 9, 1000)] == [
        2, 4, 8, 256, 300, 300
    ]  # fmt: skip


def test_the_exchange_can_ask_for_patience_but_not_for_ever() -> None:
    assert delay_s(1, 120.0, Highest()) == 121
    assert delay_s(1, 1e9, Highest()) == 3601
    assert delay_s(9, 0.0, Highest()) == 300


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("soon", None),
        ("-3", None),
        ("١٢", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, 100.0) == seconds


def stored(seq: int, size: int) -> StoredRecord:
    return StoredRecord(1, seq, "event", "x" * size, "h")


def test_a_delivery_has_the_records_in_order_one_a_line() -> None:
    delivery = pack([stored(4, 3), stored(5, 2)])
    assert delivery is not None
    assert (delivery.epoch, delivery.first, delivery.last) == (1, 4, 5)
    assert gzip.decompress(delivery.body) == b"xxx\nxx\n"


def test_a_delivery_stays_within_the_contracts_bounds() -> None:
    many = pack([stored(seq, 10) for seq in range(1, 1500)])
    big = pack([stored(seq, 60_000) for seq in range(1, 100)])
    assert many is not None
    assert big is not None
    assert many.last == MAX_RECORDS
    assert len(gzip.decompress(big.body)) <= MAX_BYTES


def test_the_same_records_are_the_same_bytes() -> None:
    assert pack([stored(1, 9)]) == pack([stored(1, 9)])
    assert pack([]) is None
