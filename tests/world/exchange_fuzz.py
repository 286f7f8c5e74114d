"""Strange requests for the reference exchange, drawn from its OpenAPI document by schemathesis.

`python -m tests.world.exchange_fuzz --examples 2000` for many more than the tests draw.
"""

import argparse
import asyncio
import base64
import gzip
import hashlib
from collections import Counter
from typing import Any

import httpx2
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    CHECKS,
    CheckFunction,
    load_all_checks,
    not_a_server_error,
)

from sim_devices.exchange import Exchange
from sim_devices.exchange.openapi import openapi_document
from tests.world.settling_site import DAY, EPOCH, SettlingSite

BASE = "http://exchange"
SENT = 30
"""Records that the site has; the exchange learns them in the order in which they are drawn."""


class ExchangeBench:
    """An exchange without a socket, a site that it knows, and a count of what it answered."""

    def __init__(self) -> None:
        self.site = SettlingSite()
        self.site.open()
        self.site.fill(SENT - 1)
        self.exchange = Exchange(clock=lambda: float(self.site.now_s))
        self.exchange.register_site(self.site.site, self.site.key.jwk, self.site.key.kid)
        self.answers: Counter[tuple[str, int]] = Counter()
        self._client = httpx2.AsyncClient(transport=self.exchange.transport(), base_url=BASE)
        self._loop = asyncio.new_event_loop()

    def send(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._loop.run_until_complete(self._client.send(request))
        self.answers[request.method, answer.status_code] += 1
        return answer

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()
        self.exchange.close()


def checks() -> list[CheckFunction]:
    """What every answer is held against; which requests must be refused is the contract's business."""
    load_all_checks()
    names = ("status_code", "content_type", "response_headers", "response_schema")
    named: Any = CHECKS.get_by_names([f"{name}_conformance" for name in names])
    return [not_a_server_error, *named]


def mended(case: Case[Any], bench: ExchangeBench, draw: Any) -> httpx2.Request:
    """The request that schemathesis has drawn, with so much put right that it gets somewhere."""
    path, query = dict(case.path_parameters or {}), dict(case.query or {})
    body = case.body if isinstance(case.body, bytes) else str(case.body or "").encode()
    headers = {name.lower(): str(value) for name, value in (case.headers or {}).items()}
    if draw(st.integers(0, 9)) > 0:
        path["site"] = bench.site.site
        headers["authorization"] = bench.site.bearer()
    if "span" in path and draw(st.integers(0, 9)) > 1:
        first, last = sorted((draw(st.just(1) | st.integers(1, SENT)), draw(st.integers(1, SENT))))
        path |= {"epoch": EPOCH, "span": f"{first}-{last}"}
        body = spoilt(bench.site.body(first, last), draw)
    if "epoch" in query and draw(st.booleans()):
        query["epoch"] = str(EPOCH)
    if "day" in query and draw(st.booleans()):
        query["day"] = DAY
    if case.method == "PUT":
        body = dressed(body, headers, draw)
    url = BASE + case.operation.path.format(**{name: quoted(value) for name, value in path.items()})
    content = body if case.method == "PUT" else None
    return httpx2.Request(case.method, url, params=query, headers=sent_as(headers), content=content)


def spoilt(body: bytes, draw: Any) -> bytes:
    """Records as they should be, or a few bytes of them changed."""
    if draw(st.booleans()):
        return body
    at = draw(st.integers(0, len(body) - 1))
    put_in: bytes = draw(st.binary(max_size=3))
    return body[:at] + put_in + body[at + draw(st.integers(0, 3)) :]


def dressed(body: bytes, headers: dict[str, str], draw: Any) -> bytes:
    """The bytes to send, with the headers that describe them."""
    if draw(st.booleans()):
        body = gzip.compress(body, 1)
        headers["content-encoding"] = "gzip"
    if draw(st.integers(0, 9)) > 0:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers["content-digest"] = f"sha-256=:{digest}:"
        headers["content-type"] = "application/jose-seq"
    return body


def quoted(value: Any) -> str:
    return "".join(f"%{byte:02X}" for byte in str(value).encode("utf-8", "replace")) or "%20"


def sent_as(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]


def fuzz(examples: int, start: int = 0) -> Counter[tuple[str, int]]:
    """Send so many requests to each operation, and hold every answer against the document."""
    schemathesis.openapi.media_type("application/jose-seq", st.binary(max_size=200))
    schema = schemathesis.openapi.from_dict(openapi_document())
    schema.config.base_url = BASE
    bench, wanted = ExchangeBench(), checks()
    try:
        for result in schema.get_all_operations():
            operation = result.ok()  # type: ignore[union-attr] # an operation that is none would raise
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @seed(start)
                @settings(
                    max_examples=examples,
                    database=None,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
                def answers_as_documented(case: Case[Any], data: st.DataObject) -> None:
                    answer = bench.send(mended(case, bench, data.draw))
                    case.validate_response(answer, checks=wanted)

                answers_as_documented()
    finally:
        bench.close()
    return bench.answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="requests to each operation (500)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for (method, status), count in sorted(fuzz(options.examples, options.seed).items()):
        print(f"{method} {status}: {count}")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
