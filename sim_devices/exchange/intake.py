"""From the bytes of an upload to its lines: size, type, packing and digest, in the contract's order."""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from sim_devices.exchange.encoding import MAX_INTEGER
from sim_devices.exchange.problems import ProblemError

MAX_RECORDS = 1_000
MAX_SENT = 1 << 20
MAX_UNPACKED = 4 << 20
MEDIA_TYPE = "application/jose-seq"

_NUMBER = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]*={0,2}):(?:;.*)?", re.ASCII)


class Span(NamedTuple):
    """The records that a request's path names."""

    epoch: int
    first: int
    last: int


def parse_number(text: str) -> int | None:
    """A positive integer as the contract writes it; `None` for any other text."""
    if not _NUMBER.fullmatch(text) or int(text) > MAX_INTEGER:
        return None
    return int(text)


def parse_span(epoch: str, span: str) -> Span:
    """The span of `{epoch}/{first}-{last}`.

    Raises:
        ProblemError: 404, there is no such path.
    """
    first, _, last = span.partition("-")
    numbers = [parse_number(text) for text in (epoch, first, last)]
    if None in numbers:
        raise ProblemError(404, "not-found", "the path is /v1/sites/{site}/ledger/{epoch}/{first}-{last}")
    return Span(*(number for number in numbers if number is not None))


async def read_sent(chunks: AsyncIterator[bytes]) -> bytes:
    """The body as sent.

    Raises:
        ProblemError: 413, after reading no more than was needed to know it.
    """
    sent = bytearray()
    async for chunk in chunks:
        sent += chunk
        if len(sent) > MAX_SENT:
            raise _too_large(f"more than {MAX_SENT} bytes sent")
    return bytes(sent)


def open_body(sent: bytes, headers: Mapping[str, str], span: Span) -> bytes:
    """The unpacked body of an upload of `span`.

    Raises:
        ProblemError: 413, 415 or 400, whichever comes first in this order.
    """
    if span.last - span.first >= MAX_RECORDS:
        raise _too_large(f"more than {MAX_RECORDS} records")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    unpacked = _gunzip(sent) if encoding == "gzip" else sent
    if unpacked is not None and unpacked.count(b"\n") > MAX_RECORDS:
        raise _too_large(f"more than {MAX_RECORDS} lines")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise _unsupported(f"the Content-Type is not {MEDIA_TYPE}")
    if encoding not in {"gzip", "identity"} or unpacked is None:
        raise _unsupported("the only packing is gzip")
    if _digest(headers.get("content-digest", "")) != hashlib.sha256(sent).digest():
        raise ProblemError(400, "digest-mismatch", "Content-Digest has no sha-256 of the bytes sent")
    return unpacked


def _gunzip(sent: bytes) -> bytes | None:
    """Unpack without ever holding much more than the limit; `None` if it is not gzip."""
    unpacked = bytearray()
    rest = sent
    while rest or not unpacked:
        member = zlib.decompressobj(wbits=31)
        try:
            unpacked += member.decompress(rest, MAX_UNPACKED + 1 - len(unpacked))
        except zlib.error:
            return None
        if len(unpacked) > MAX_UNPACKED:
            raise _too_large(f"more than {MAX_UNPACKED} bytes unpacked")
        if not member.eof:
            return None
        rest = member.unused_data
        if not rest:
            break
    return bytes(unpacked)


def _digest(header: str) -> bytes | None:
    for member in reversed(header.split(",")):
        if match := _SHA256.fullmatch(member.strip()):
            try:
                return base64.b64decode(match[1], validate=True)
            except binascii.Error:
                return None
    return None


def _too_large(detail: str) -> ProblemError:
    return ProblemError(413, "too-large", detail)


def _unsupported(detail: str) -> ProblemError:
    return ProblemError(415, "unsupported-type", detail, headers={"Accept-Encoding": "gzip"})
