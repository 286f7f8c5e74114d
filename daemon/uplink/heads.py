"""Comparing the exchange's head with our own ledger. Pure."""

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
    """The body of `head`; `proven` = its record carries our own signature."""

    head: Head
    proven: bool


def read_head(body: bytes, site: str, key: PublicKey) -> ExchangeHead | None:
    """The head in a body; `None` if it cannot be read."""
    try:
        claims = _Claims.model_validate(loads(body))
    except (MalformedError, ValidationError):
        return None
    head = Head(claims.epoch, claims.seq, claims.head_hash)
    return ExchangeHead(head, claims.head_jws is not None and _is_ours(claims.head_jws, head, site, key))


def _is_ours(text: str, head: Head, site: str, key: PublicKey) -> bool:
    try:
        jws = text.encode("ascii")
        envelope = parse(jws)
        verify(envelope, key)
        members = loads(envelope.payload)
    except (UnicodeEncodeError, SigningError):
        return False
    if not isinstance(members, dict) or envelope.header.typ != RECORD_TYP or jws_hash(jws) != head.hash:
        return False
    return (members.get("site"), members.get("epoch"), members.get("seq")) == (site, head.epoch, head.seq)


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
