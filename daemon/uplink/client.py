"""The exchange's HTTP interface as the uplink uses it."""

import asyncio
from collections.abc import Callable

import httpx2

from daemon.clock import Clock, Entropy
from daemon.config.settings import Settlement
from daemon.errors import QuotawattError
from daemon.signing import PrivateKey, bearer_token
from daemon.uplink.answers import Answer
from daemon.uplink.delivery import Delivery

REQUEST_S = 60.0
"""One request with its answer, whatever the connection does."""

MAX_ANSWER_BYTES = 256 * 1024
"""Far above any head or receipt; a longer answer is none."""


class UnreachableError(QuotawattError):
    """No answer: try again later."""


class ExchangeClient:
    """Requests with a fresh bearer each, by what is the site's `key` then. Redirects are not followed."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        settings: Settlement,
        site: str,
        key: Callable[[], PrivateKey],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._http = http
        self._base = f"{settings.url.rstrip('/')}/v1/sites/{site}/ledger"
        self._audience = settings.audience
        self._site = site
        self._key = key
        self._clock = clock
        self._entropy = entropy

    async def put(self, delivery: Delivery) -> Answer:
        """Deliver records.

        Raises:
            UnreachableError: no answer, or none that is worth reading.
        """
        url = f"{self._base}/{delivery.epoch}/{delivery.first}-{delivery.last}"
        return await self._ask("PUT", url, delivery.headers, delivery.body)

    async def head(self, epoch: int | None = None) -> Answer:
        """Ask where the exchange stands, in its newest epoch or in one of its epochs.

        Raises:
            UnreachableError: no answer, or none that is worth reading.
        """
        query = "" if epoch is None else f"?epoch={epoch}"
        return await self._ask("GET", f"{self._base}/head{query}", {}, None)

    async def _ask(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Answer:
        request = self._http.build_request(
            method, url, headers={**headers, "Authorization": f"Bearer {self._bearer()}"}, content=body
        )
        try:
            async with asyncio.timeout(REQUEST_S):
                response = await self._http.send(request, stream=True, follow_redirects=False)
                try:
                    return await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise UnreachableError(f"no answer within {REQUEST_S:.0f} s") from error
        except httpx2.HTTPError as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error

    def _bearer(self) -> str:
        return bearer_token(
            self._key(),
            site=self._site,
            audience=self._audience,
            iat=int(self._clock.wall()),
            jti=self._entropy.uuid(),
        )


async def _read(response: httpx2.Response) -> Answer:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise UnreachableError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    return Answer(
        response.status_code,
        response.headers.get("content-type"),
        response.headers.get("retry-after"),
        body,
    )
