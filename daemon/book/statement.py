"""The exchange's statement of a day, asked for over HTTP."""

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemon.book.overview import Statement
from daemon.clock import Clock, Entropy
from daemon.config.settings import Settlement
from daemon.errors import QuotawattError
from daemon.signing import MalformedError, PrivateKey, bearer_token, loads


class ExchangeSilentError(QuotawattError):
    """The exchange does not answer, or not as one: ask again later."""


class ExchangeRefusedError(QuotawattError):
    """The exchange does not accept this site's key."""


class _Through(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    epoch: int = Field(ge=1)
    seq: int = Field(ge=1)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    site: str
    day: str
    closed: bool
    count: int = Field(ge=0)
    wh: int
    root: str
    corrections_wh: int
    through: _Through


class StatementDesk:
    """Asks one exchange for one site. Redirects are not followed."""

    def __init__(
        self,
        http: httpx2.Client,
        settlement: Settlement,
        site: str,
        key: PrivateKey,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._http = http
        self._settlement = settlement
        self._site = site
        self._key = key
        self._clock = clock
        self._entropy = entropy

    def ask(self, day: str) -> Statement | None:
        """The statement of a UTC day; `None` = the exchange has no data of it.

        Raises:
            ExchangeSilentError: no answer, or one that the contract does not know.
            ExchangeRefusedError: 401 or 403.
        """
        url = f"{self._settlement.url.rstrip('/')}/v1/sites/{self._site}/statement"
        try:
            answer = self._http.get(
                url,
                params={"day": day},
                headers={"Authorization": f"Bearer {self._bearer()}"},
                follow_redirects=False,
            )
        except httpx2.HTTPError as error:
            raise ExchangeSilentError(f"{url}: {type(error).__name__}: {error}") from error
        return self._read(answer, day)

    def _read(self, answer: httpx2.Response, day: str) -> Statement | None:
        if answer.status_code == 200:
            return self._statement(answer.content, day)
        try:
            problem = loads(answer.content)
        except MalformedError:
            problem = None
        word, detail = "", ""
        if isinstance(problem, dict):
            word, detail = (
                str(problem.get("type", "")).rpartition("/")[2],
                str(problem.get("detail", ""))[:200],
            )
        if (answer.status_code, word) == (404, "no-data"):
            return None
        said = f"{answer.status_code} {word}: {detail}"
        if answer.status_code in {401, 403}:
            raise ExchangeRefusedError(f"{said}; is key {self._key.kid} registered, and the clock set?")
        raise ExchangeSilentError(said)

    def _statement(self, body: bytes, day: str) -> Statement:
        try:
            told = _Answer.model_validate(loads(body))
        except (MalformedError, ValidationError) as error:
            raise ExchangeSilentError("the answer is no statement") from error
        if (told.site, told.day) != (self._site, day):
            raise ExchangeSilentError(f"the answer is for {told.site} on {told.day}")
        through = (told.through.epoch, told.through.seq)
        return Statement(told.closed, told.count, told.wh, told.root, told.corrections_wh, through)

    def _bearer(self) -> str:
        return bearer_token(
            self._key,
            site=self._site,
            audience=self._settlement.audience,
            iat=int(self._clock.wall()),
            jti=self._entropy.uuid(),
        )
