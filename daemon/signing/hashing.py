"""The contract's "hash"."""

import hashlib

from daemon.signing.base64url import encode


def jws_hash(text: str | bytes) -> str:
    """base64url SHA-256 of JWS bytes: the ASCII of a compact JWS without line end."""
    return encode(hashlib.sha256(text.encode("ascii") if isinstance(text, str) else text).digest())
