"""base64url without padding, one spelling for each value (RFC 7515 §2, RFC 4648 §3.5)."""

import base64
import binascii

from daemon.signing.errors import MalformedError

_ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def encode(data: bytes) -> str:
    """The text of `data`."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: bytes) -> bytes:
    """The bytes behind `text`, if encoding them again gives the same text.

    A last character with unused bits set decodes to the same bytes: one signature would have sixteen
    spellings, and as many hashes.

    Raises:
        MalformedError: padding, foreign characters, an impossible length, unused bits set.
    """
    if not _ALPHABET.issuperset(text):
        raise MalformedError("not base64url: a character outside of A-Z a-z 0-9 - _")
    try:
        data = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise MalformedError(f"not base64url: {error}") from error
    if encode(data).encode("ascii") != text:
        raise MalformedError("not base64url: unused bits are not zero")
    return data
