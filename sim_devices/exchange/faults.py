"""What can go wrong between a site and its exchange, on order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar, assert_never

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sim_devices.exchange import receipts
from sim_devices.exchange.encoding import encode_base64url, parse_json_object
from sim_devices.exchange.envelopes import open_envelope
from sim_devices.exchange.problems import ProblemError, problem_response
from sim_devices.exchange.receipts import ExchangeKey, sign_receipt

T = TypeVar("T")


class HungUpError(Exception):
    """The connection is cut without an answer, or within it: `sent` is what had been sent of it."""

    def __init__(self, when: str, sent: Sequence[Message] = ()) -> None:
        super().__init__(when)
        self.sent = sent


class WrongReceipt(StrEnum):
    """A 2xx that is no acknowledgement."""

    EMPTY = "empty"
    GARBAGE = "garbage"
    UNKNOWN_KEY = "unknown-key"
    BAD_SIGNATURE = "bad-signature"
    OTHER_SITE = "other-site"
    OTHER_EPOCH = "other-epoch"
    OTHER_HASH = "other-hash"
    BEYOND = "beyond"


@dataclass(slots=True)
class Armed(Generic[T]):
    """A fault that is on for `times` requests, for all if `None`; off while `value` is `None`."""

    value: T | None = None
    times: int | None = None

    def take(self) -> T | None:
        """The fault for one request."""
        value = self.value
        if value is not None and self.times is not None:
            self.times -= 1
            if self.times <= 0:
                self.value = None
        return value


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of the endpoint's own."""

    status: int
    retry_after_s: int | None


@dataclass(slots=True)
class Faults:
    """The faults that are on. Each is for the next `times` requests, until `clear` if `None`."""

    refusal: Armed[Refusal] = field(default_factory=Armed)
    lost_request: Armed[bool] = field(default_factory=Armed)
    lost_answer: Armed[bool] = field(default_factory=Armed)
    delay_s: Armed[float] = field(default_factory=Armed)
    receipt: Armed[WrongReceipt] = field(default_factory=Armed)
    broken_off: Armed[bool] = field(default_factory=Armed)

    def refuse(
        self, status: int = 503, *, retry_after_s: int | None = None, times: int | None = None
    ) -> None:
        """Answer with a status, without looking at the request."""
        self.refusal = Armed(Refusal(status, retry_after_s), times)

    def drop_before_commit(self, times: int | None = 1) -> None:
        """Cut the connection before anything happens."""
        self.lost_request = Armed(value=True, times=times)

    def drop_after_commit(self, times: int | None = 1) -> None:
        """Do as asked, then cut the connection instead of answering."""
        self.lost_answer = Armed(value=True, times=times)

    def delay(self, seconds: float, *, times: int | None = None) -> None:
        """Do as asked, and answer late."""
        self.delay_s = Armed(seconds, times)

    def falsify(self, kind: WrongReceipt, *, times: int | None = 1) -> None:
        """Keep the right receipt and send a wrong one."""
        self.receipt = Armed(kind, times)

    def truncate(self, times: int | None = 1) -> None:
        """Do as asked, then cut the connection in the middle of the answer."""
        self.broken_off = Armed(value=True, times=times)

    def clear(self) -> None:
        """Everything works again."""
        self.refusal, self.lost_request, self.lost_answer = Armed(), Armed(), Armed()
        self.delay_s, self.receipt, self.broken_off = Armed(), Armed(), Armed()


class FaultyApp:
    """An ASGI application with faults around it. A cut connection is raised as `HungUpError`."""

    def __init__(self, app: ASGIApp, faults: Faults, key: ExchangeKey) -> None:
        self._app = app
        self._faults = faults
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (refusal := self._faults.refusal.take()) is not None:
            await _refuse(refusal)(scope, receive, send)
            return
        if self._faults.lost_request.take():
            raise HungUpError("before the request was looked at")
        answer = _Answer()
        await self._app(scope, receive, answer.keep)
        if (seconds := self._faults.delay_s.take()) is not None:
            await asyncio.sleep(seconds)
        if self._faults.lost_answer.take():
            raise HungUpError("after the request was carried out")
        if answer.is_receipt and (kind := self._faults.receipt.take()) is not None:
            answer.replace(falsified(answer.body, kind, self._key))
        if self._faults.broken_off.take():
            raise HungUpError("in the middle of the answer", answer.half())
        await answer.pass_on(send)


def truncating(app: ASGIApp) -> ASGIApp:
    """`app` for a server: an answer that breaks off is the one way in ASGI to cut a connection."""

    async def cut(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except HungUpError as error:
            nothing = {"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"1")]}
            for message in error.sent or (nothing,):
                await send(message)

    return cut


def falsified(receipt: bytes, kind: WrongReceipt, key: ExchangeKey) -> bytes:
    """A receipt that must not be believed, made of a right one."""
    claims = parse_json_object(open_envelope(receipt).payload)
    match kind:
        case WrongReceipt.EMPTY:
            wrong = b""
        case WrongReceipt.GARBAGE:
            wrong = b"received with thanks"
        case WrongReceipt.UNKNOWN_KEY:
            wrong = sign_receipt(claims, ExchangeKey.generate())
        case WrongReceipt.BAD_SIGNATURE:
            wrong = sign_receipt(claims, ExchangeKey.generate(key.kid))
        case WrongReceipt.OTHER_SITE:
            wrong = sign_receipt({**claims, "site": "another-site"}, key)
        case WrongReceipt.OTHER_EPOCH:
            wrong = sign_receipt({**claims, "epoch": claims["epoch"] + 1}, key)
        case WrongReceipt.OTHER_HASH:
            wrong = sign_receipt({**claims, "head_hash": encode_base64url(bytes(32))}, key)
        case WrongReceipt.BEYOND:
            wrong = sign_receipt({**claims, "through_seq": claims["through_seq"] + 1}, key)
        case _:
            assert_never(kind)
    return wrong


def _refuse(refusal: Refusal) -> ASGIApp:
    headers = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
    return problem_response(
        ProblemError(refusal.status, "unavailable", "not now, by order of the test", headers=headers)
    )


class _Answer:
    """An answer held back until it is known what becomes of it."""

    def __init__(self) -> None:
        self._start: Message = {}
        self.body = b""

    async def keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self.body += message.get("body", b"")

    @property
    def is_receipt(self) -> bool:
        return (b"content-type", receipts.MEDIA_TYPE.encode()) in self._start["headers"]

    def replace(self, body: bytes) -> None:
        self.body = body
        length = (b"content-length", str(len(body)).encode())
        kept = [header for header in self._start["headers"] if header[0] != b"content-length"]
        self._start = {**self._start, "headers": [*kept, length]}

    def half(self) -> Sequence[Message]:
        """The head of the answer and half of its body; the length that it names is the whole."""
        part = {"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True}
        return self._start, part

    async def pass_on(self, send: Send) -> None:
        await send(self._start)
        await send({"type": "http.response.body", "body": self.body})
