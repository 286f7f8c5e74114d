"""What the exchange signs: that it holds a site's ledger through a record."""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sim_devices.exchange.answers import ReceiptClaims
from sim_devices.exchange.encoding import FormError, decode_base64url, encode_base64url, format_utc
from sim_devices.exchange.envelopes import seal, thumbprint

RECEIPT_TYPE = "qw-receipt+jws"
MEDIA_TYPE = "application/jose"


@dataclass(frozen=True, slots=True)
class Head:
    """The last record that the exchange holds of an epoch."""

    epoch: int
    seq: int
    hash: str
    jws: bytes


@dataclass(frozen=True, slots=True)
class ExchangeKey:
    """The key that receipts are signed with."""

    kid: str
    private: Ed25519PrivateKey

    @classmethod
    def generate(cls, kid: str | None = None) -> Self:
        """A new key; without `kid` its thumbprint is used."""
        private = Ed25519PrivateKey.generate()
        return cls(kid or thumbprint(_x(private)), private)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in a private JWK file.

        Raises:
            FormError: not a private Ed25519 JWK.
            OSError: the file cannot be read.
        """
        try:
            jwk = json.loads(path.read_bytes())
        except ValueError as error:
            raise FormError(f"{path} is not JSON") from error
        if not isinstance(jwk, dict) or jwk.get("crv") != "Ed25519" or not isinstance(jwk.get("d"), str):
            raise FormError(f"{path} is not a private Ed25519 JWK")
        raw = decode_base64url(jwk["d"])
        if len(raw) != 32:
            raise FormError(f"{path}: d has not 32 bytes")
        private = Ed25519PrivateKey.from_private_bytes(raw)
        return cls(jwk.get("kid") or thumbprint(_x(private)), private)

    @property
    def public_jwk(self) -> dict[str, str]:
        """What a site is told to trust."""
        return {"kty": "OKP", "crv": "Ed25519", "x": _x(self.private)}


def make_receipt(site: str, head: Head, *, key: ExchangeKey, received_s: float) -> bytes:
    """The receipt through `head`, received at Unix seconds `received_s`."""
    received_at = format_utc(received_s)
    name = f"{site}/{head.epoch}/{head.seq}/{head.hash}/{received_at}"
    claims = ReceiptClaims(
        site=site,
        epoch=head.epoch,
        through_seq=head.seq,
        head_hash=head.hash,
        received_at=received_at,
        receipt_id=str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
    )
    return sign_receipt(claims.model_dump(), key)


def sign_receipt(claims: dict[str, Any], key: ExchangeKey) -> bytes:
    """Sign the claims of a receipt, whatever they say."""
    return seal(rfc8785.dumps(claims), typ=RECEIPT_TYPE, kid=key.kid, key=key.private)


def _x(private: Ed25519PrivateKey) -> str:
    return encode_base64url(
        private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    )
