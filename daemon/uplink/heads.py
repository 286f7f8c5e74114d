"""Comparing the exchange's head with our own ledger. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemon.ledger import EpochState, Head
from daemon.ledger.records import RECORD_TYP
from daemon.signing import MalformedError, PublicKey, SigningError, jws_hash, loads, parse, verify


class _Claims(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    epoch: int = Field(ge=0)
    seq: int = Field(ge=0)
    head_hash: str | None
    head_jws: str | None


class Standing(StrEnum):
    """How the exchange's head of an epoch relates to ours."""

    EMPTY = "empty"
    """It holds nothing."""
    BEHIND = "behind"
    """It lacks records that it has acknowledged: restored from a backup."""
    EQUAL = "equal"
    """Its head is a record of ours at or after the acknowledged one."""
    AHEAD = "ahead"
    """It holds more than we do: our own store is an old copy."""
    FORKED = "forked"
    """It holds another record of ours in that place."""
    FOREIGN = "foreign"
    """It holds an epoch that we do not: our store was lost."""
    UNBELIEVABLE = "unbelievable"
    """It is not what we know, and does not show our signature for it: only a hint."""


@dataclass(frozen=True, slots=True)
class ExchangeHead:
    """The body of `head`; `kid` = the key of ours that signed its record, if one did."""

    head: Head
    kid: str | None

    @property
    def proven(self) -> bool:
        """It is what we once knew."""
        return self.kid is not None


def read_head(body: bytes, site: str, keys: Sequence[PublicKey]) -> ExchangeHead | None:
    """The head in a body; `None` if it cannot be read."""
    try:
        claims = _Claims.model_validate(loads(body))
    except (MalformedError, ValidationError):
        return None
    head = Head(claims.epoch, claims.seq, claims.head_hash)
    return ExchangeHead(head, None if claims.head_jws is None else _signer(claims.head_jws, head, site, keys))


def _signer(text: str, head: Head, site: str, keys: Sequence[PublicKey]) -> str | None:
    """The key of ours that signed it, if it is the record that `head` names."""
    try:
        jws = text.encode("ascii")
        envelope = parse(jws)
        key = next(key for key in keys if key.kid == envelope.header.kid)
        verify(envelope, key)
        members = loads(envelope.payload)
    except (UnicodeEncodeError, SigningError, StopIteration):
        return None
    if not isinstance(members, dict) or envelope.header.typ != RECORD_TYP or jws_hash(jws) != head.hash:
        return None
    named = (members.get("site"), members.get("epoch"), members.get("seq"))
    return key.kid if named == (site, head.epoch, head.seq) else None


def compare(theirs: ExchangeHead, ours: EpochState | None, own_hash: str | None) -> Standing:
    """Relate the exchange's head to our epoch of that number; `own_hash` = of our record there, if any."""
    head = theirs.head
    if head.seq == 0:
        return Standing.BEHIND if ours is not None and ours.acked_seq > 0 else Standing.EMPTY
    if own_hash is not None and own_hash == head.hash:
        behind = ours is not None and head.seq < ours.acked_seq
        return Standing.BEHIND if behind else Standing.EQUAL
    if not theirs.proven:
        return Standing.UNBELIEVABLE
    if ours is None:
        return Standing.FOREIGN
    return Standing.AHEAD if own_hash is None else Standing.FORKED
