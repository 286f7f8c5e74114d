"""Faults in words: as options of `sim exchange`, and over HTTP while it runs."""

import re
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sim_devices.exchange.book import Book
from sim_devices.exchange.encoding import FormError
from sim_devices.exchange.faults import Faults, WrongReceipt

_FORM = re.compile(
    r"(?P<word>[a-z-]+)(?:=(?P<value>[A-Za-z0-9._-]+))?(?:\*(?P<times>[1-9][0-9]{0,5}))?", re.ASCII
)

WORDS = """\
status=CODE              answer with this status (503, 500, 408 …)
busy=SECONDS             answer 429 with Retry-After
drop-before-commit       cut the connection before anything happens
drop-after-commit        do as asked, then cut the connection
delay=SECONDS            answer late
truncate                 break off in the middle of the answer
receipt=KIND             a wrong receipt: {kinds}
lose-last-day=SITE       forget the newest day of a site, once, now
WORD*N is for the next N requests, without *N for all.""".format(kinds=" ".join(WrongReceipt))
"""What `arm` understands."""

PATH = "/faults"


def arm(text: str, faults: Faults, book: Book) -> None:
    """Turn a fault on.

    Raises:
        FormError: there is no such fault.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise FormError(f"{text[:80]!r} is not WORD, WORD=VALUE or WORD=VALUE*TIMES")
    word, value = match["word"], match["value"]
    times = None if match["times"] is None else int(match["times"])
    plain: Mapping[str, Callable[[int | None], None]] = {
        "drop-before-commit": faults.drop_before_commit,
        "drop-after-commit": faults.drop_after_commit,
        "truncate": faults.truncate,
    }
    if word in plain and value is None:
        plain[word](times)
    elif value is not None:
        _arm_with(word, value, times, faults, book)
    else:
        raise FormError(f"{word}: no such fault, or its value is missing:\n{WORDS}")


def _arm_with(word: str, value: str, times: int | None, faults: Faults, book: Book) -> None:
    match word:
        case "status" if (code := _number(word, value)) in range(400, 600):
            faults.refuse(code, times=times)
        case "busy":
            faults.refuse(429, retry_after_s=_number(word, value), times=times)
        case "delay":
            faults.delay(_number(word, value), times=times)
        case "receipt" if value in set(WrongReceipt):
            faults.falsify(WrongReceipt(value), times=times)
        case "lose-last-day":
            if book.lose_last_day(value) is None:
                raise FormError(f"of site {value} there is no day to lose")
        case _:
            raise FormError(f"{word}={value}: no such fault:\n{WORDS}")


def _number(word: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 6:
        raise FormError(f"{word}={value}: a whole number is needed")
    return int(value)


def controlled(app: ASGIApp, faults: Faults, book: Book) -> ASGIApp:
    """`app`, with its faults at /faults: POST turns on one a line, DELETE clears all. No bearer is asked."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await app(scope, receive, send)
            return
        request = Request(scope, receive)
        status, text = 200, WORDS
        try:
            if request.method == "POST":
                for line in (await request.body()).decode("ascii", "replace").split():
                    arm(line, faults, book)
            elif request.method == "DELETE":
                faults.clear()
        except FormError as error:
            status, text = 400, str(error)
        await PlainTextResponse(text + "\n", status_code=status)(scope, receive, send)

    return serve
