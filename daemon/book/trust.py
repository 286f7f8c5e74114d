"""The keys that a book is checked with: a JWKS, and the key changes that the book itself records."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from daemon.signing import KeyFileError, MalformedError, PublicKey, loads


def load_trust(path: Path) -> list[PublicKey]:
    """The keys of a JWKS file (`{"keys": […]}`, RFC 7517), or the one of a file with a single JWK.

    Raises:
        KeyFileError: it cannot be read, has no key, or has one that is no public Ed25519 key.
    """
    try:
        members = loads(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from error
    except MalformedError as error:
        raise KeyFileError(f'{path}: {error}; {{"keys": [JWK, …]}} would be right') from error
    if not isinstance(members, dict):
        raise KeyFileError(f'{path}: not a JSON object; {{"keys": [JWK, …]}} would be right')
    jwks = members.get("keys", [members])
    if not isinstance(jwks, list) or not jwks:
        raise KeyFileError(f"{path}: keys must be a list of at least one JWK")
    return [_public(path, jwk) for jwk in jwks]


def _public(path: Path, jwk: Any) -> PublicKey:
    if not isinstance(jwk, dict):
        raise KeyFileError(f"{path}: a key is not a JSON object")
    try:
        return PublicKey.from_jwk(None, jwk)
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}") from error


class UntrustedKeyError(Exception):
    """A key that may not sign here; says why."""


class KeyChain:
    """Who may sign the next record: the trusted keys, and those that a signed `key-change` named.

    A key that was changed signs no record after that.
    """

    def __init__(self, trusted: Iterable[PublicKey]) -> None:
        self._keys = {key.kid: key for key in trusted}
        self._replaced: dict[str, str] = {}

    def key(self, kid: str) -> PublicKey:
        """The key of this name.

        Raises:
            UntrustedKeyError: it is not known, or was changed for another.
        """
        if kid in self._replaced:
            raise UntrustedKeyError(f"key {kid} was changed for {self._replaced[kid]} in an earlier record")
        found = self._keys.get(kid)
        if found is None:
            raise UntrustedKeyError(f"key {kid} is not trusted; trusted are {', '.join(sorted(self._keys))}")
        return found

    def change(self, old: str, kid: str, jwk: Mapping[str, Any]) -> None:
        """From now on `kid` signs instead of `old`.

        Raises:
            UntrustedKeyError: it cannot be told from another key, or had its time.
        """
        try:
            new = PublicKey.from_jwk(kid, jwk)
        except KeyFileError as error:
            raise UntrustedKeyError(f"the new key cannot be used: {error}") from error
        if kid == old or kid in self._replaced:
            raise UntrustedKeyError(f"the new key {kid} had its time already")
        known = self._keys.get(kid)
        if known is not None and known.raw != new.raw:
            raise UntrustedKeyError(f"another key is known as {kid}")
        self._keys[kid] = known or new
        self._replaced[old] = kid
