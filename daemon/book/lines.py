"""A line of a book as the record in it: form, header, canonical JSON, members. Not its signature."""

import json
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Annotated, Any

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemon.ledger.records import (
    COMMON,
    MAX_RECORD_BYTES,
    RECORD_TYP,
    Body,
    DayCloseBody,
    EventBody,
    Id,
    Natural,
    RecordError,
    check_body,
)
from daemon.signing import MAX_INTEGER, MalformedError, b64url_decode, jws_hash, loads, parse
from daemon.signing.ijson import MAX_DEPTH
from daemon.signing.jws import Header

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_HASH = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
# The C encoder; for all but names with characters beyond the BMP it writes RFC 8785's bytes.
_canonical = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


class LineError(Exception):
    """A line that is no record; says why and what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; right would be: {right}")
        self.wrong = wrong
        self.right = right


class _Detail(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MeterChange(_Detail):
    """Detail of `meter-changed`."""

    point: Id
    before: Annotated[str | None, Field(alias="from")]
    after: Annotated[str | None, Field(alias="to")]
    reg_end_wh: Natural | None
    reg_start_wh: Natural | None


class KeyChange(_Detail):
    """Detail of `key-change`."""

    kid: str
    jwk: dict[str, str]


@dataclass(frozen=True, slots=True)
class BookRecord:
    """A record as it stands in a file, well-formed; its signature was not looked at."""

    line: int
    jws: bytes
    kid: str
    signature: bytes
    site: str
    epoch: int
    seq: int
    prev: str | None
    hash: str
    body: Body
    change: MeterChange | KeyChange | None

    @property
    def signing_input(self) -> bytes:
        """What the signature covers."""
        return self.jws.rpartition(b".")[0]


def read_line(line: int, text: bytes) -> BookRecord:
    """The record on a line, given without its end.

    Raises:
        LineError: it is none.
    """
    if len(text) > MAX_RECORD_BYTES:
        raise LineError(f"{len(text)} bytes", f"at most {MAX_RECORD_BYTES}")
    try:
        header, payload, signature = _parts(text)
        members = _members(payload)
    except MalformedError as error:
        raise LineError(str(error), "a compact JWS of strict base64url, as the site wrote it") from error
    if header.typ != RECORD_TYP:
        raise LineError(f"typ is {header.typ}", RECORD_TYP)
    if not isinstance(members, dict):
        raise LineError("the payload is no JSON object", "a record")
    if not is_canonical(payload, members):
        raise LineError("the payload is not canonical", "RFC 8785")
    _check_common(members)
    body = _body(members)
    return BookRecord(
        line=line,
        jws=text,
        kid=header.kid,
        signature=signature,
        site=members["site"],
        epoch=members["epoch"],
        seq=members["seq"],
        prev=members["prev"],
        hash=jws_hash(text),
        body=body,
        change=_change(body),
    )


def is_canonical(payload: bytes, members: dict[str, Any]) -> bool:
    """Whether `payload` is the RFC 8785 form of the members that were read from it."""
    try:
        return _canonical(members).encode("utf-8") == payload or rfc8785.dumps(members) == payload
    except (UnicodeEncodeError, rfc8785.CanonicalizationError):
        return False  # what the faster reading let through: a lone surrogate, an integer without bound


def _members(payload: bytes) -> Any:
    """The JSON value of a payload: as `loads` reads it, or faster where the checks that follow are as strict.

    What is ASCII and turns out canonical has no name twice, no second spelling of an integer and no lone
    surrogate; outside of events every integer has a bound of its own.
    """
    if not payload.isascii() or _EVENT in payload or payload.count(b"{") + payload.count(b"[") > MAX_DEPTH:
        return loads(payload)
    try:
        return _DECODER.decode(payload.decode("ascii"))
    except ValueError as error:
        raise MalformedError(f"not JSON: {error}") from error


def _refuse(text: str) -> Any:
    raise MalformedError(f"{text[:24]} is not an integer")


_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse)
_EVENT = b'"kind":"event"'


def _parts(text: bytes) -> tuple[Header, bytes, bytes]:
    parts = text.split(b".")
    if len(parts) != 3:
        raise MalformedError("not a compact JWS: it must have three parts")
    return _header(parts[0]), b64url_decode(parts[1]), b64url_decode(parts[2])


@lru_cache(maxsize=16)  # a ledger has one header, and another after each change of key
def _header(part: bytes) -> Header:
    return parse(part + b"..").header


def _check_common(members: dict[str, Any]) -> None:
    """The members that all records have."""
    version = members.get("v")
    if version != 1 or isinstance(version, bool):
        raise LineError(f"v is {version!r}", "1")
    site, prev, fw = members.get("site"), members.get("prev", ""), members.get("fw")
    if not isinstance(site, str) or not _ID.fullmatch(site):
        raise LineError("site is no id", "1-64 of A-Z a-z 0-9 . _ -")
    for name in ("epoch", "seq"):
        number = members.get(name)
        if type(number) is not int or not 1 <= number <= MAX_INTEGER:
            raise LineError(f"{name} is {number!r}", "an integer from 1 on")
    if prev is not None and not (isinstance(prev, str) and _HASH.fullmatch(prev)):
        raise LineError("prev is no hash", "base64url SHA-256 of the record before, null in the first")
    if not isinstance(fw, str) or not fw:
        raise LineError("fw is no text", "the program's version")


def _body(members: dict[str, Any]) -> Body:
    try:
        body = check_body({name: value for name, value in members.items() if name not in COMMON})
        if isinstance(body, DayCloseBody):
            date.fromisoformat(body.day)
    except (RecordError, ValueError) as error:
        raise LineError(str(error), "the members of this kind of record, and no others") from error
    return body


def _change(body: Body) -> MeterChange | KeyChange | None:
    if not isinstance(body, EventBody):
        return None
    try:
        match body.what:
            case "meter-changed":
                return MeterChange.model_validate(body.detail)
            case "key-change":
                return KeyChange.model_validate(body.detail)
            case _:
                return None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LineError(
            f"detail.{where}: {first['msg']}", f"the detail of {body.what} in docs/ledger.md"
        ) from error
