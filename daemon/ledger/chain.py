"""From a body to the next record of a chain, and back: is what is stored what was signed?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.errors import LedgerDamagedError
from daemon.ledger.records import MAX_RECORD_BYTES, RECORD_TYP, RecordError, record_bytes
from daemon.signing import (
    MalformedError,
    PrivateKey,
    PublicKey,
    SigningError,
    jws_hash,
    loads,
    parse,
    sign,
    verify,
)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record of an epoch; `seq` 0 and no hash before the first."""

    epoch: int
    seq: int
    hash: str | None


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it is stored and sent."""

    epoch: int
    seq: int
    kind: str
    jws: str
    hash: str


@dataclass(frozen=True, slots=True)
class Sealer:
    """Signs records for one site."""

    site: str
    fw: str
    key: PrivateKey

    def seal(self, body: Mapping[str, Any], head: Head) -> StoredRecord:
        """The record that follows `head`.

        Raises:
            RecordError: the body must not be signed.
        """
        seq = head.seq + 1
        payload = record_bytes(body, site=self.site, epoch=head.epoch, seq=seq, prev=head.hash, fw=self.fw)
        jws = sign(payload, RECORD_TYP, self.key)
        if len(jws) > MAX_RECORD_BYTES:
            raise RecordError(f"a record of {len(jws)} bytes is longer than {MAX_RECORD_BYTES}")
        return StoredRecord(head.epoch, seq, body["kind"], jws, jws_hash(jws))


def payload_of(jws: str | bytes) -> dict[str, Any]:
    """The members of a stored record, unverified.

    Raises:
        MalformedError: it cannot be read.
    """
    members = loads(parse(jws.encode("ascii") if isinstance(jws, str) else jws).payload)
    if not isinstance(members, dict):
        raise MalformedError("a record is a JSON object")
    return members


def check_record(record: StoredRecord, site: str, keys: Sequence[PublicKey]) -> dict[str, Any]:
    """The members of a record that is what was signed under its identity, whatever stands beside it.

    Raises:
        LedgerDamagedError: it is not.
    """
    where = f"record {record.epoch}/{record.seq}"
    if jws_hash(record.jws) != record.hash:
        raise LedgerDamagedError(f"{where}: its hash is not that of its bytes")
    try:
        envelope = parse(record.jws.encode("ascii"))
        key = next((key for key in keys if key.kid == envelope.header.kid), None)
        if key is None:
            raise LedgerDamagedError(f"{where}: signed by key {envelope.header.kid}, which is not the site's")
        verify(envelope, key)
        members = payload_of(record.jws)
    except (SigningError, UnicodeEncodeError) as error:
        raise LedgerDamagedError(f"{where}: {error}") from error
    identity = (members.get("site"), members.get("epoch"), members.get("seq"))
    if identity != (site, record.epoch, record.seq):
        raise LedgerDamagedError(f"{where}: was signed as {identity}")
    return members


def verify_run(records: Sequence[StoredRecord], site: str, *keys: PublicKey) -> None:
    """Check consecutive records of one epoch: hashes, signatures, identities and links.

    The link of the first to its predecessor is not looked at, unless it is seq 1.

    Raises:
        LedgerDamagedError: one of them is not what was signed.
    """
    before: StoredRecord | None = None
    for record in records:
        where = f"record {record.epoch}/{record.seq}"
        members = check_record(record, site, keys)
        if before is not None and record.seq != before.seq + 1:
            raise LedgerDamagedError(f"{where}: follows record {before.seq}")
        if before is not None or record.seq == 1:
            prev = None if before is None else before.hash
            if members.get("prev") != prev:
                raise LedgerDamagedError(f"{where}: does not link to the record before it")
        before = record
