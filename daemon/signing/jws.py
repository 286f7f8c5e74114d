"""Compact JWS (RFC 7515) with exactly three header members; nothing else of a header is looked at."""

import functools
from dataclasses import dataclass

from daemon.signing.base64url import decode, encode
from daemon.signing.errors import BadSignatureError, MalformedError
from daemon.signing.hashing import jws_hash
from daemon.signing.ijson import dumps, loads
from daemon.signing.keys import KID_FORM, PrivateKey, PublicKey

ALGORITHMS = frozenset({"EdDSA", "Ed25519"})
"""Names of the one algorithm: RFC 8037's and RFC 9864's. Signers write the first."""

_MAX_HEADER = 683  # characters, of 512 bytes of JSON; the longest legal header is far below


@dataclass(frozen=True, slots=True)
class Header:
    """A protected header, whole."""

    alg: str
    kid: str
    typ: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A well-formed JWS whose signature has not been looked at."""

    text: bytes
    """The JWS bytes: what is hashed, stored and compared."""
    header: Header
    payload: bytes
    signature: bytes

    @property
    def signing_input(self) -> bytes:
        """What the signature covers."""
        return self.text.rpartition(b".")[0]

    @property
    def hash(self) -> str:
        """base64url SHA-256 of the JWS bytes."""
        return jws_hash(self.text)


def sign(payload: bytes, typ: str, key: PrivateKey) -> str:
    """The compact JWS of `payload` by `key`."""
    header = dumps({"alg": "EdDSA", "kid": key.kid, "typ": typ})
    signing_input = f"{encode(header)}.{encode(payload)}"
    return f"{signing_input}.{encode(key.sign(signing_input.encode('ascii')))}"


def parse(text: bytes) -> Envelope:
    """Read a compact JWS without believing it.

    Raises:
        MalformedError: its form, its header or its encoding is not what the contract allows.
    """
    parts = text.split(b".")
    if len(parts) != 3:
        raise MalformedError("not a compact JWS: it must have three parts")
    return Envelope(text, _header(parts[0]), decode(parts[1]), decode(parts[2]))


def verify(envelope: Envelope, key: PublicKey) -> None:
    """Return if `key` signed the envelope and is the one that it names.

    Raises:
        BadSignatureError: it did not, or the envelope names another key.
    """
    if envelope.header.kid != key.kid:
        raise BadSignatureError(f"signed in the name of {envelope.header.kid}, not of {key.kid}")
    key.verify(envelope.signature, envelope.signing_input)


@functools.lru_cache(maxsize=256)
def _header(text: bytes) -> Header:
    """Read a header; a sender's is the same text each time."""
    if len(text) > _MAX_HEADER:
        raise MalformedError("the header is too long")
    members = loads(decode(text))
    if not isinstance(members, dict) or set(members) != {"alg", "kid", "typ"}:
        raise MalformedError("the header must have exactly alg, kid and typ")
    alg, kid, typ = members["alg"], members["kid"], members["typ"]
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise MalformedError("alg must be EdDSA")
    if not isinstance(kid, str) or not KID_FORM.fullmatch(kid):
        raise MalformedError("kid must be 1-64 of A-Z a-z 0-9 . _ -")
    if not isinstance(typ, str):
        raise MalformedError("typ must be a string")
    return Header(alg, kid, typ)
