"""base64url: one spelling for each value."""

import base64
import string

import pytest

from daemon.signing import MalformedError
from daemon.signing.base64url import decode, encode

CHARACTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@pytest.mark.parametrize("before", ["", "A", "-_", "x9A", "AbCd", "AbCdE"])
def test_what_encodes_to_another_text_is_refused(before: str) -> None:
    for last in CHARACTERS:
        text = (before + last).encode()
        try:
            there = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        except ValueError:
            there = b""
        if there and encode(there).encode() == text:
            assert decode(text) == there
        else:
            with pytest.raises(MalformedError):
                decode(text)


@pytest.mark.parametrize("text", [b"AA==", b"A A", b"AA\n", b"A+/A", "Aé".encode(), b"AA\0A", b"A"])
def test_no_other_character_is_passed_over(text: bytes) -> None:
    with pytest.raises(MalformedError, match="not base64url"):
        decode(text)


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xfe", bytes(range(256))])
def test_there_and_back(data: bytes) -> None:
    assert decode(encode(data).encode()) == data
