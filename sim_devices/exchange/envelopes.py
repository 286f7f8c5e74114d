"""Compact JWS with Ed25519, as strict as the contract, §1."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sim_devices.exchange.encoding import (
    KID_FORM,
    FormError,
    decode_base64url,
    encode_base64url,
    hash_of,
    parse_json_object,
)

_ALGORITHMS = frozenset({"EdDSA", "Ed25519"})
_KID = re.compile(KID_FORM, re.ASCII)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A JWS that was taken apart and not yet verified."""

    text: bytes
    kid: str
    typ: str
    payload: bytes
    signature: bytes
    hash: str
    """Of the JWS bytes."""

    def signed_by(self, key: Ed25519PublicKey) -> bool:
        """Whether `key` made the signature."""
        try:
            key.verify(self.signature, self.text.rpartition(b".")[0])
        except InvalidSignature:
            return False
        return True


def open_envelope(text: bytes) -> Envelope:
    """Take a compact JWS apart.

    Raises:
        FormError: not three parts of strict base64url, or a header other than `{alg, kid, typ}`.
    """
    try:
        parts = text.decode("ascii").split(".")
    except UnicodeDecodeError as error:
        raise FormError("a JWS is ASCII") from error
    if len(parts) != 3:
        raise FormError("a compact JWS has three parts")
    kid, typ = _read_header(parts[0])
    return Envelope(
        text=text,
        kid=kid,
        typ=typ,
        payload=decode_base64url(parts[1]),
        signature=decode_base64url(parts[2]),
        hash=hash_of(text),
    )


@lru_cache(maxsize=256)
def _read_header(part: str) -> tuple[str, str]:
    """`kid` and `typ`; of all records of a site the header is the same text."""
    header = parse_json_object(decode_base64url(part))
    if set(header) != {"alg", "kid", "typ"} or not all(isinstance(value, str) for value in header.values()):
        raise FormError("the protected header has exactly the texts alg, kid and typ")
    if header["alg"] not in _ALGORITHMS:
        raise FormError("alg is not EdDSA")
    if not _KID.fullmatch(header["kid"]):
        raise FormError("kid is not an identifier of a key")
    return header["kid"], header["typ"]


def seal(payload: bytes, *, typ: str, kid: str, key: Ed25519PrivateKey) -> bytes:
    """The compact JWS of `payload`."""
    header = f'{{"alg":"EdDSA","kid":"{kid}","typ":"{typ}"}}'
    signing_input = f"{encode_base64url(header.encode())}.{encode_base64url(payload)}".encode()
    return signing_input + b"." + encode_base64url(key.sign(signing_input)).encode()


def public_key_of(jwk: Any) -> Ed25519PublicKey:
    """The key of a public Ed25519 JWK. Members beside `kty`, `crv` and `x` are not looked at.

    Raises:
        FormError: another kind of key, or one that contains its private part.
    """
    if not isinstance(jwk, dict) or jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
        raise FormError("not a JWK with kty OKP and crv Ed25519")
    if "d" in jwk:
        raise FormError("a private key where a public one belongs")
    if not isinstance(jwk.get("x"), str):
        raise FormError("a JWK without x")
    return public_key_from_x(jwk["x"])


@lru_cache(maxsize=256)
def public_key_from_x(x: str) -> Ed25519PublicKey:
    """The key whose JWK has this `x`.

    Raises:
        FormError: not 32 bytes of base64url.
    """
    raw = decode_base64url(x)
    if len(raw) != 32:
        raise FormError("an Ed25519 key has 32 bytes")
    return Ed25519PublicKey.from_public_bytes(raw)


def thumbprint(x: str) -> str:
    """RFC 7638 thumbprint of an Ed25519 key: the default `kid`."""
    return hash_of(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode())
