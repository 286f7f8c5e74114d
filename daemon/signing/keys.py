"""Ed25519 keys as JWK (RFC 8037), named by their RFC 7638 thumbprint unless they say otherwise."""

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from nacl.bindings import crypto_sign_BYTES, crypto_sign_open
from nacl.exceptions import BadSignatureError as NotSignedError
from nacl.signing import SigningKey

from daemon.signing.base64url import decode, encode
from daemon.signing.errors import BadSignatureError, KeyFileError, MalformedError
from daemon.signing.ijson import loads

KID_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""What a `kid` looks like."""

_HINTS = {"kid", "alg", "use", "key_ops"}  # members that other programs add; none changes the key


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Someone's public key under the name that its owner signs with."""

    kid: str
    raw: bytes
    """The 32 bytes of RFC 8032."""

    @classmethod
    def from_jwk(cls, kid: str | None, jwk: Mapping[str, Any]) -> Self:
        """A key from `{kty: OKP, crv: Ed25519, x}`.

        Args:
            kid: its name; `None` = the JWK's own `kid`, else its thumbprint.
            jwk: the key. `kid`, `alg`, `use` and `key_ops` may be there too.

        Raises:
            KeyFileError: another kind of key, a private one, or not 32 bytes.
        """
        if "d" in jwk:
            raise KeyFileError("this is a private key (it has a member d); give its .pub.jwk")
        raw = _public_bytes(jwk)
        name = jwk.get("kid", thumbprint(raw)) if kid is None else kid
        return cls(_checked_kid(name), raw)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The public key of a `.pub.jwk` file.

        Raises:
            KeyFileError: it cannot be read, or is no public key.
        """
        try:
            return cls.from_jwk(None, _read(path))
        except KeyFileError as error:
            raise _in_file(path, error) from error

    def jwk(self) -> dict[str, str]:
        """`{kty, crv, x}`."""
        return _jwk(self.raw)

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's over `data`."""
        # What libsodium is given is one text; its first bytes are taken for the signature, whatever they are.
        if len(signature) != crypto_sign_BYTES:
            return False
        try:
            crypto_sign_open(signature + data, self.raw)
        except NotSignedError:
            return False
        return True

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if `signature` is this key's over `data`.

        Raises:
            BadSignatureError: it is not.
        """
        if not self.signed(signature, data):
            raise BadSignatureError(f"not signed by key {self.kid}")


class PrivateKey:
    """A key that signs. It shows its name and never its secret."""

    __slots__ = ("_key", "kid")

    def __init__(self, key: SigningKey, kid: str | None = None) -> None:
        self._key = key
        self.kid = thumbprint(bytes(key.verify_key)) if kid is None else _checked_kid(kid)

    @classmethod
    def generate(cls, kid: str | None = None) -> Self:
        """A new key."""
        return cls(SigningKey.generate(), kid)

    @classmethod
    def from_seed(cls, seed: bytes, kid: str | None = None) -> Self:
        """The key of 32 secret bytes (RFC 8032's private key)."""
        return cls(SigningKey(seed), kid)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """A key from `{kty: OKP, crv: Ed25519, x, d}`.

        Raises:
            KeyFileError: another kind of key, a public one, `x` and `d` of different keys.
        """
        public = _public_bytes(jwk)
        key = cls.from_seed(_key_bytes(jwk, "d"), jwk.get("kid"))
        if key.public().raw != public:
            raise KeyFileError("x is not the public key of d")
        return key

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key of a `.jwk` file.

        Raises:
            KeyFileError: it cannot be read, others may read it, or it is no private key.
        """
        # Group-read is allowed: under systemd the group bits of a credential are its ACL's mask.
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from error
        if mode & 0o027:
            raise KeyFileError(f"{path}: is open to others (mode {mode:04o}); cure: chmod 600 {path}")
        try:
            return cls.from_jwk(_read(path))
        except KeyFileError as error:
            raise _in_file(path, error) from error

    def __repr__(self) -> str:
        return f"PrivateKey({self.kid})"

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature."""
        return self._key.sign(data).signature

    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self.kid, bytes(self._key.verify_key))

    def public_jwk(self) -> dict[str, str]:
        """`{kty, crv, x}` of the public half."""
        return self.public().jwk()

    def private_jwk(self) -> dict[str, str]:
        """The secret itself, for the key file."""
        return {**self.public_jwk(), "d": encode(bytes(self._key))}


def thumbprint(raw: bytes) -> str:
    """RFC 7638 thumbprint of a public key."""
    canonical = json.dumps(_jwk(raw), sort_keys=True, separators=(",", ":"))
    return encode(hashlib.sha256(canonical.encode("ascii")).digest())


def _jwk(raw: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}


def _public_bytes(jwk: Mapping[str, Any]) -> bytes:
    unknown = set(jwk) - {"kty", "crv", "x", "d"} - _HINTS
    if unknown:
        raise KeyFileError(f"not a member of an Ed25519 JWK: {', '.join(sorted(unknown))}")
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
        raise KeyFileError('not an Ed25519 key; it has kty = "OKP" and crv = "Ed25519"')
    return _key_bytes(jwk, "x")


def _key_bytes(jwk: Mapping[str, Any], member: str) -> bytes:
    text = jwk.get(member)
    try:
        raw = decode(text.encode("utf-8")) if isinstance(text, str) else b""
    except MalformedError as error:
        raise KeyFileError(f"{member}: {error}") from error
    if len(raw) != 32:
        raise KeyFileError(f"{member} must be 32 bytes in base64url without padding (43 characters)")
    return raw


def _checked_kid(kid: object) -> str:
    if not isinstance(kid, str) or not KID_FORM.fullmatch(kid):
        raise KeyFileError(f"kid {kid!r}: 1-64 of A-Z a-z 0-9 . _ - would be right")
    return kid


def _read(path: Path) -> dict[str, Any]:
    try:
        value = loads(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"cannot be read: {error.strerror}") from error
    except MalformedError as error:
        raise KeyFileError(f"{error}; a JWK would be right (quotawatt keys new)") from error
    if not isinstance(value, dict):
        raise KeyFileError("not a JSON object; a JWK would be right (quotawatt keys new)")
    return value


def _in_file(path: Path, error: KeyFileError) -> KeyFileError:
    return KeyFileError(f"{path}: {error}")
