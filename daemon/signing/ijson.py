"""I-JSON (RFC 7493), narrower still: integers only, in one spelling."""

import json
import re
from typing import Any

from daemon.signing.errors import MalformedError

MAX_INTEGER = 2**53 - 1
"""Largest magnitude of an integer on any wire."""

MAX_DEPTH = 16
"""Deepest nesting that is read; the deepest message of the contract has 4 levels."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,15}", re.ASCII)
# The closing quote is optional, so that an open string is passed over once, not once per quote in it.
_BRACKET_OR_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_PLANES = range(0, 0x110000, 0x10000)
_NONCHARACTERS = "".join(chr(plane + last) for plane in _PLANES for last in (0xFFFE, 0xFFFF))
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_UNFIT_FOR_EXCHANGE = re.compile(f"[\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")


def loads(data: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        MalformedError: not UTF-8, not JSON, a name twice in an object, a fraction or exponent, NaN, an
            integer spelt otherwise than `0` or `-?[1-9][0-9]*` or beyond 2**53 - 1, a surrogate or
            noncharacter in a string, nested deeper than `MAX_DEPTH`.
    """
    _check_depth(data)
    try:
        # json.loads would guess UTF-16 or UTF-32, and pass over a byte order mark
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"not JSON: {error}") from error
    _check_member(value)
    return value


def dumps(value: Any) -> bytes:
    """A compact JSON text of a value made of objects, arrays, strings, integers, booleans and `None`."""
    return _COMPACT.encode(value).encode("utf-8")


def _check_depth(data: bytes) -> None:
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return  # it cannot be deeper than it has brackets
    depth = 0
    for match in _BRACKET_OR_STRING.finditer(data):
        token = match.group()[:1]
        if token in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MalformedError(f"not JSON that is read here: nested deeper than {MAX_DEPTH}")
        elif token in b"]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedError("an object has a name twice")
    for name, member in pairs:
        _check_text(name)
        _check_member(member)
    return value


def _check_member(member: Any) -> None:
    match member:
        case str():
            _check_text(member)
        case list():
            for item in member:
                _check_member(item)
        case _:
            pass  # numbers are checked where they are read, objects where they close


def _check_text(text: str) -> None:
    if _UNFIT_FOR_EXCHANGE.search(text):
        raise MalformedError("a string has a surrogate or a noncharacter")


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or abs(int(text)) > MAX_INTEGER:
        raise MalformedError(f"{text[:24]} is not an integer within 2**53 - 1 in its one spelling")
    return int(text)


def _no_number(text: str) -> Any:
    raise MalformedError(f"{text[:24]} is not an integer")
