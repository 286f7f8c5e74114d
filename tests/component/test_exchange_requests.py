"""The exchange's checks of a request, before any record is looked at: contract §5, first rows."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.world.settlement_bench import SettlementBench, settlement_bench
from tests.world.settling_site import EPOCH, Key, SettlingSite, hash_text, word


@pytest.fixture
async def bench() -> AsyncIterator[SettlementBench]:
    async with settlement_bench() as bench:
        bench.site.open()
        bench.site.fill(4)
        yield bench


def tampered(bearer: str) -> str:
    return bearer[:-4] + ("AAAA" if bearer[-4:] != "AAAA" else "BBBB")


TWICE = b'{"aud":"exchange","exp":%d,"iat":%d,"iss":"lhe-01","jti":"a","jti":"b","sub":"lhe-01"}'
HALF = rb'{"aud":"exchange","exp":9,"iat":1,"iss":"\ud800","jti":"b","sub":"\ud800"}'

BAD_BEARERS: dict[str, Any] = {
    "missing": lambda _site: None,
    "another scheme": lambda _site: "Basic dXNlcjpwYXNz",
    "not a JWT": lambda _site: "Bearer nonsense",
    "bad signature": lambda site: tampered(site.bearer()),
    "expired": lambda site: site.bearer(iat=site.now_s - 100, exp=site.now_s - 40),
    "from the future": lambda site: site.bearer(iat=site.now_s + 30, exp=site.now_s + 60),
    "lives too long": lambda site: site.bearer(exp=site.now_s + 61),
    "another audience": lambda site: site.bearer(aud="somebody"),
    "sub is not iss": lambda site: site.bearer(sub="lhe-02"),
    "a claim too many": lambda site: site.bearer(nbf=site.now_s),
    "a claim too few": lambda site: site.bearer(jti=None),
    "a claim twice": lambda site: (
        "Bearer " + site.key.jws(TWICE % (site.now_s + 9, site.now_s), "JWT").decode()
    ),
    "half a surrogate pair": lambda site: "Bearer " + site.key.jws(HALF, "JWT").decode(),
    "nested too deeply": lambda site: "Bearer " + site.key.jws(b'{"aud":' * 9_000, "JWT").decode(),
    "another type": lambda site: site.bearer(typ="qw-rec+jws"),
    "unknown key": lambda site: site.bearer(Key("nobody")),
    "another key of the same name": lambda site: site.bearer(Key(site.key.kid)),
    "unknown site": lambda site: site.bearer(iss="lhe-09", sub="lhe-09"),
}


@pytest.mark.parametrize("how", BAD_BEARERS)
async def test_a_bearer_that_is_missing_bad_expired_or_unknown_is_unauthorized(
    bench: SettlementBench, how: str
) -> None:
    bearer = BAD_BEARERS[how](bench.site)
    answer = await bench.put(1, 5, headers={"Authorization": bearer})
    assert (answer.status_code, word(answer)) == (401, "unauthorized")
    assert (await bench.head())["epoch"] == 0


async def test_a_bearer_is_good_within_ten_seconds_of_skew(bench: SettlementBench) -> None:
    late = bench.site.bearer(iat=bench.site.now_s - 65, exp=bench.site.now_s - 5)
    assert (await bench.put(1, 5, headers={"Authorization": late})).status_code == 201
    early = bench.site.bearer(iat=bench.site.now_s + 5, exp=bench.site.now_s + 60)
    assert (await bench.put(1, 5, headers={"Authorization": early})).status_code == 200


async def test_the_bearer_of_another_site_is_forbidden(bench: SettlementBench) -> None:
    other = SettlingSite(site="lhe-02")
    bench.book.register_site(other.site, other.key.jwk, other.key.kid)
    bearer = other.bearer()
    for answer in (
        await bench.put(1, 5, headers={"Authorization": bearer}),
        await bench.get("ledger/head", bearer=bearer),
        await bench.get("statement?day=2027-01-15", bearer=bearer),
    ):
        assert (answer.status_code, word(answer)) == (403, "forbidden")


async def test_gets_need_a_bearer_too(bench: SettlementBench) -> None:
    for path in ("ledger/head", "statement?day=2027-01-15"):
        answer = await bench.get(path, bearer="Bearer nonsense")
        assert (answer.status_code, word(answer)) == (401, "unauthorized")


async def test_more_than_a_mebibyte_sent_is_too_large(bench: SettlementBench) -> None:
    answer = await bench.put(1, 5, body=b"x" * ((1 << 20) + 1))
    assert (answer.status_code, word(answer)) == (413, "too-large")


async def test_more_than_a_thousand_records_are_too_large(bench: SettlementBench) -> None:
    for answer in (await bench.put(1, 1001, body=b"x\n"), await bench.put(1, 1000, body=b"x\n" * 1001)):
        assert (answer.status_code, word(answer)) == (413, "too-large")


async def test_a_thousand_records_are_taken(bench: SettlementBench) -> None:
    for _ in range(995):
        bench.site.event()
    answer = await bench.put(1, 1000, packed=True)
    assert answer.status_code == 201
    assert bench.receipt(answer)["through_seq"] == 1000


async def test_more_than_four_mebibytes_unpacked_are_too_large(bench: SettlementBench) -> None:
    answer = await bench.put(1, 5, body=b"x" * ((4 << 20) + 1), packed=True)
    assert (answer.status_code, word(answer)) == (413, "too-large")


async def test_four_mebibytes_unpacked_are_not_too_large(bench: SettlementBench) -> None:
    answer = await bench.put(1, 5, body=b"x" * (4 << 20), packed=True)
    assert (answer.status_code, word(answer)) == (422, "invalid-record")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": None},
        {"Content-Type": "application/json"},
        {"Content-Encoding": "br"},
        {"Content-Encoding": "gzip"},
    ],
    ids=["no type", "another type", "another packing", "said to be gzip and is not"],
)
async def test_another_type_or_packing_is_unsupported(
    bench: SettlementBench, headers: dict[str, str | None]
) -> None:
    answer = await bench.put(1, 5, headers=headers)
    assert (answer.status_code, word(answer)) == (415, "unsupported-type")


@pytest.mark.parametrize(
    "cut", [lambda packed: packed[:-3], lambda packed: packed + b"x"], ids=["short", "long"]
)
async def test_broken_gzip_is_unsupported(bench: SettlementBench, cut: Any) -> None:
    body = cut(gzip.compress(bench.site.body(1, 5)))
    answer = await bench.put(1, 5, body=body, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, word(answer)) == (415, "unsupported-type")


@pytest.mark.parametrize(
    "digest",
    [
        None,
        "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:",
        "sha-512=:AAAA:",
        "sha-256=AAAA",
        "sha-256=:A:",
    ],
    ids=["missing", "wrong", "another algorithm", "another form", "not base64"],
)
async def test_a_missing_or_wrong_digest_is_a_mismatch(bench: SettlementBench, digest: str | None) -> None:
    answer = await bench.put(1, 5, headers={"Content-Digest": digest})
    assert (answer.status_code, word(answer)) == (400, "digest-mismatch")


async def test_the_digest_is_over_the_bytes_sent(bench: SettlementBench) -> None:
    unpacked = bench.site.put(1, 5).headers["content-digest"]
    answer = await bench.put(1, 5, packed=True, headers={"Content-Digest": unpacked})
    assert (answer.status_code, word(answer)) == (400, "digest-mismatch")
    assert (await bench.put(1, 5, packed=True)).status_code == 201


async def test_a_digest_among_others_counts(bench: SettlementBench) -> None:
    digest = bench.site.put(1, 5).headers["content-digest"]
    answer = await bench.put(1, 5, headers={"Content-Digest": f"sha-512=:AAAA:, {digest}"})
    assert answer.status_code == 201


async def test_the_checks_come_in_the_contracts_order(bench: SettlementBench) -> None:
    wrong: dict[str, Any] = {
        "Authorization": "Bearer nonsense",
        "Content-Type": "text/plain",
        "Content-Digest": None,
    }
    big, bad = b"x" * ((1 << 20) + 1), b"x\n"
    words = [word(await bench.put(1, 1, body=big, headers=wrong))]
    del wrong["Authorization"]
    words += [word(await bench.put(1, 1, body=big, headers=wrong))]
    words += [word(await bench.put(1, 1, body=bad, headers=wrong))]
    del wrong["Content-Type"]
    words += [word(await bench.put(1, 1, body=bad, headers=wrong))]
    del wrong["Content-Digest"]
    words += [word(await bench.put(1, 1, body=bad, headers=wrong))]
    assert words == ["unauthorized", "too-large", "unsupported-type", "digest-mismatch", "invalid-record"]


async def test_the_head_of_nothing_is_zeros_and_null(bench: SettlementBench) -> None:
    nothing = {"epoch": 0, "seq": 0, "head_hash": None, "head_jws": None}
    assert await bench.head() == nothing
    await bench.put(1, 5)
    assert await bench.head("?epoch=7") == nothing


async def test_the_head_is_the_last_record_of_the_newest_epoch_or_of_one_named(
    bench: SettlementBench,
) -> None:
    await bench.put(1, 5)
    old = bench.site.records[EPOCH, 5]
    bench.site.open(EPOCH + 1, before=bench.site.before())
    await bench.put(1, 1)
    new = bench.site.records[EPOCH + 1, 1]
    assert await bench.head() == {
        "epoch": EPOCH + 1,
        "seq": 1,
        "head_hash": hash_text(new),
        "head_jws": new.decode(),
    }
    named = await bench.head(f"?epoch={EPOCH}")
    assert named == {"epoch": EPOCH, "seq": 5, "head_hash": hash_text(old), "head_jws": old.decode()}


@pytest.mark.parametrize(
    "path", ["ledger/head?epoch=01", "ledger/head?epoch=x", "statement", "statement?day=2027-1-5"]
)
async def test_a_query_that_cannot_be_read_is_a_problem(bench: SettlementBench, path: str) -> None:
    answer = await bench.get(path)
    assert (answer.status_code, word(answer)) == (400, "invalid-request")


@pytest.mark.parametrize(
    "path", ["ledger/1/0-5", "ledger/1/5", "ledger/01/1-5", "ledger/1/1-9007199254740992", "x"]
)
async def test_there_is_no_such_path(bench: SettlementBench, path: str) -> None:
    request = bench.site.put(1, 5)
    request.url = request.url.copy_with(path=f"/v1/sites/{bench.site.site}/{path}")
    answer = await bench.client.send(request)
    assert (answer.status_code, word(answer)) == (404, "not-found")


async def test_another_method_is_a_problem(bench: SettlementBench) -> None:
    answer = await bench.client.post(bench.site.put(1, 5).url)
    assert (answer.status_code, word(answer)) == (405, "method-not-allowed")
