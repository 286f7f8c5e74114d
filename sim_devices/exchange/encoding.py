"""The text forms of the contract: strict base64url, I-JSON with integers only, times, hashes.

Written for the exchange alone: a settlement endpoint that shared this code with the daemon could
not show that the daemon speaks the contract.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32

ID_FORM = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
KID_FORM = r"[A-Za-z0-9._-]{1,64}"

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
# The last characters whose unused bits are zero, where two or three are left over.
_LAST_OF_TWO = frozenset("AQgw")
_LAST_OF_THREE = frozenset("AEIMQUYcgkosw048")
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class FormError(ValueError):
    """Text that has not the form that the contract asks for."""


def encode_base64url(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """The bytes of unpadded base64url whose unused bits are zero.

    Raises:
        FormError: padding, a foreign character, or a second spelling of the same bytes.
    """
    left = len(text) % 4
    if not _BASE64URL.fullmatch(text) or left == 1:
        raise FormError("not base64url without padding")
    if (left == 2 and text[-1] not in _LAST_OF_TWO) or (left == 3 and text[-1] not in _LAST_OF_THREE):
        raise FormError("base64url with unused bits that are not zero")
    return binascii.a2b_base64(text.encode("ascii").translate(_TO_BASE64) + b"=="[: -left % 4])


def hash_of(data: bytes) -> str:
    """Base64url SHA-256."""
    return encode_base64url(hashlib.sha256(data).digest())


def parse_json_object(data: bytes) -> dict[str, Any]:
    """An I-JSON object whose only numbers are integers of at most 2**53 - 1.

    I-JSON: UTF-8, no duplicate names, no half surrogate pairs.

    Raises:
        FormError: anything else.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except FormError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormError("not JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise FormError("not a JSON object")
    # Most texts cannot nest that deeply nor hold an escaped half pair: a look at the bytes tells.
    if b"\\u" in data or not data.isascii() or data.count(b"{") + data.count(b"[") >= MAX_DEPTH:
        _check_tree(value, MAX_DEPTH)
    return value


def format_utc(unix_s: float) -> str:
    """The second in which `unix_s` lies, as `YYYY-MM-DDTHH:MM:SSZ`."""
    return datetime.fromtimestamp(unix_s // 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_utc(text: str) -> str:
    """`text`, if it is a moment in exactly the form `YYYY-MM-DDTHH:MM:SSZ`.

    Raises:
        FormError: any other form, or no such moment.
    """
    if not _TIME.fullmatch(text):
        raise FormError("not of the form YYYY-MM-DDTHH:MM:SSZ")
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise FormError("no such moment") from error
    return text


def check_day(text: str) -> str:
    """`text`, if it is a day in exactly the form `YYYY-MM-DD`.

    Raises:
        FormError: any other form, or no such day.
    """
    if not _DAY.fullmatch(text):
        raise FormError("not of the form YYYY-MM-DD")
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise FormError("no such day") from error
    return text


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise FormError("a name appears twice in one object")
    return members


def _no_float(text: str) -> float:
    raise FormError(f"{text[:32]} is not an integer")


def _integer(text: str) -> int:
    # Short ones, which nearly all are, need no look at their magnitude.
    if text == "-0" or (len(text) > 15 and (len(text) > 17 or abs(int(text)) > MAX_INTEGER)):
        raise FormError(f"{text[:32]} is not an integer of at most 2**53 - 1")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float, parse_int=_integer
)


def _check_tree(value: Any, left: int) -> None:
    """Refuse what nests too deeply, and the half surrogate pairs that an escaped text may have."""
    if left == 0:
        raise FormError(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise FormError("half a surrogate pair in a text")
        return
    if isinstance(value, dict):
        children = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        children = value
    else:
        return
    for child in children:
        _check_tree(child, left - 1)
