"""base64url without padding, one spelling for each value (RFC 7515 §2, RFC 4648 §3.5)."""

import base64
import binascii

from daemon.signing.errors import MalformedError

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")
_UNUSED = {2: 0b1111, 3: 0b11}
"""By characters beyond a multiple of four: the bits of the last one that belong to no byte."""
_PADDING = {0: b"", 2: b"==", 3: b"="}


def encode(data: bytes) -> str:
    """The text of `data`."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: bytes) -> bytes:
    """The bytes behind `text`, if it is what `encode` makes of them.

    A last character with unused bits set decodes to the same bytes: one signature would have sixteen
    spellings, and as many hashes.

    Raises:
        MalformedError: padding, foreign characters, an impossible length, unused bits set.
    """
    if text.translate(None, _ALPHABET):
        raise MalformedError("not base64url: a character outside of A-Z a-z 0-9 - _")
    over = len(text) % 4
    if over == 1:
        raise MalformedError("not base64url: one character too many, or three too few")
    if over and _ALPHABET.index(text[-1:]) & _UNUSED[over]:
        raise MalformedError("not base64url: unused bits are not zero")
    return binascii.a2b_base64(text.translate(_TO_BASE64) + _PADDING[over])
