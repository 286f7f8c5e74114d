"""The keys of one site, and which of them may sign which record."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sim_devices.exchange.encoding import FormError
from sim_devices.exchange.envelopes import public_key_from_x
from sim_devices.exchange.records import KeyChange, Position


@dataclass(frozen=True, slots=True)
class SiteKey:
    """A registered key.

    It signs the records after `since` (the `key-change` that registered it; `None`: registered out of
    band) up to `until` (the `key-change` that it signed itself, its last record; `None`: not yet).
    """

    kid: str
    x: str
    since: Position | None = None
    until: Position | None = None

    @property
    def public(self) -> Ed25519PublicKey:
        """The key itself."""
        return public_key_from_x(self.x)

    def may_sign(self, at: Position) -> bool:
        """Whether the record `at` is one that this key signs."""
        return (self.since is None or self.since < at) and (self.until is None or at <= self.until)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys that a site has registered, by `kid`.

    Bearers by any of them count: the receipt of a `key-change` may be lost, and then the site asks
    again with the key that it still takes for the registered one.
    """

    keys: Mapping[str, SiteKey]

    def signer(self, kid: str, at: Position) -> SiteKey:
        """The key `kid`, if it may sign the record `at`.

        Raises:
            FormError: unknown, or not for this record.
        """
        key = self.keys.get(kid)
        if key is None:
            raise FormError(f"the key {kid} is not registered")
        if not key.may_sign(at):
            raise FormError(f"the key {kid} does not sign record {at.epoch}/{at.seq}")
        return key

    def with_key(self, key: SiteKey) -> "KeyRing":
        """The ring with one key more, or in another state."""
        return KeyRing({**self.keys, key.kid: key})

    def changed(self, signer: SiteKey, change: KeyChange, at: Position) -> "KeyRing":
        """The ring after the `key-change` that `signer` signed `at`; unchanged if it knows of it.

        Raises:
            FormError: the new key cannot be told from another, or has had its time.
        """
        new = SiteKey(change.kid, change.jwk["x"], since=at)
        known = self.keys.get(new.kid)
        if any(key.x == new.x and key.kid != new.kid for key in self.keys.values()):
            raise FormError("the new key is registered under another kid")
        if known is not None and known.x != new.x:
            raise FormError(f"another key is registered as {new.kid}")
        if new.kid == signer.kid or (known is not None and known.until is not None and known.until <= at):
            raise FormError(f"the key {new.kid} was replaced already")
        until = at if signer.until is None else min(signer.until, at)
        return self.with_key(known or new).with_key(replace(signer, until=until))
