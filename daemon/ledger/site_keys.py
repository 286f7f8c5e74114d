"""The site's keys: the one that signs, those before it, and the record by which one follows the other."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from daemon.errors import ConfigurationError
from daemon.ledger.chain import StoredRecord, payload_of
from daemon.ledger.epochs import keep, kept
from daemon.ledger.records import event
from daemon.ledger.tables import EpochState, Rows
from daemon.signing import PrivateKey, PublicKey, SigningError, parse
from daemon.store import Transaction

_KEPT = "site_keys"


@dataclass(frozen=True, slots=True)
class SiteKeys:
    """As they are configured."""

    current: PrivateKey
    previous: PrivateKey | None = None
    """What `current` replaces; needed until the exchange has receipted the change."""

    def public(self) -> tuple[PublicKey, ...]:
        """Both, as far as they are there."""
        previous = () if self.previous is None else (self.previous.public(),)
        return (self.current.public(), *previous)


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """What a ledger remembers of its changes of keys."""

    signer: str | None = None
    """The `kid` that signs the next record; `None` = no change was ever asked for."""
    former: tuple[PublicKey, ...] = ()
    """What was replaced, the oldest first."""
    told: tuple[int, int] | None = None
    """Epoch and seq of the last `key-change`; `None` = none, or the exchange is known to have it."""

    def owed(self, epochs: Sequence[EpochState]) -> bool:
        """Whether the exchange may still know nothing of the last change."""
        if self.told is None:
            return False
        epoch, seq = self.told
        return any(state.epoch == epoch and state.acked_seq < seq for state in epochs)


async def read_changes(rows: Rows) -> KeyChanges:
    """What is remembered."""
    text = await kept(rows, _KEPT)
    if text is None:
        return KeyChanges()
    value = json.loads(text)
    former = tuple(PublicKey.from_jwk(each["kid"], each["jwk"]) for each in value["former"])
    return KeyChanges(value["signer"], former, None if value["told"] is None else tuple(value["told"]))


async def keep_changes(tx: Transaction, changes: KeyChanges) -> None:
    """Remember it."""
    former = [{"kid": key.kid, "jwk": key.jwk()} for key in changes.former]
    value = {"signer": changes.signer, "former": former, "told": changes.told}
    await keep(tx, _KEPT, json.dumps(value))


async def exchange_knows(tx: Transaction) -> None:
    """The exchange has shown a record that the present key has signed."""
    await keep_changes(tx, replace(await read_changes(tx), told=None))


def key_change(at_s: float, key: PublicKey) -> dict[str, Any]:
    """The record by which `key` follows the one that signs it."""
    return event(at_s, "key-change", {"kid": key.kid, "jwk": key.jwk()})


def check_owner(
    tail: Sequence[StoredRecord], path: Path, site: str, keys: SiteKeys, changes: KeyChanges
) -> str | None:
    """The `kid` that signs the next record; `None` if the last one cannot be read, which is damage.

    Raises:
        ConfigurationError: it is another site's, or signed by a key that is none of these.
    """
    for record in tail[-1:]:
        try:
            # A key-change bears the name of the key that it replaces.
            kid = changes.signer or parse(record.jws.encode("ascii")).header.kid
            owner = payload_of(record.jws).get("site")
        except (SigningError, UnicodeEncodeError):
            return None
        if owner == site and kid in {key.kid for key in keys.public()}:
            return kid
        text = (
            f"{path}: holds the ledger of site {owner} signed by key {kid}, not of {site} by "
            f"{keys.current.kid}; another site.state_dir, or the site.id and keys.site of before, would be "
            "right; if the key is to be replaced, name that of before in keys.previous"
        )
        raise ConfigurationError([text])
    return None


def owes_change(keys: SiteKeys, signer: str | None) -> bool:
    """Whether the present key has yet to follow the previous one; `signer` as `check_owner` tells."""
    previous = keys.previous
    return previous is not None and previous.kid == (signer or previous.kid)


def check_keys(keys: SiteKeys, changes: KeyChanges) -> None:
    """Could nobody take one of these keys for another?

    Raises:
        ConfigurationError: somebody could.
    """
    previous = keys.previous
    others = [key for key in changes.former if previous is None or key.kid != previous.kid]
    others += [] if previous is None else [previous.public()]
    for other in others:
        if keys.current.kid == other.kid or keys.current.public().raw == other.raw:
            text = (
                f"keys.site: key {keys.current.kid} was this site's before; make another: quotawatt keys new"
            )
            raise ConfigurationError([text])
