"""Which answer acknowledges records: a receipt of the exchange's key over our own bytes, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemon.errors import QuotawattError
from daemon.signing import PublicKey, SigningError, loads, parse, verify
from daemon.timestamps import parse_utc

RECEIPT_TYP = "qw-receipt+jws"
MEDIA_TYPE = "application/jose"


class ReceiptError(QuotawattError):
    """An answer that acknowledges nothing; the records stay to be delivered."""


class _Claims(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    site: str
    epoch: int = Field(ge=1)
    through_seq: int = Field(ge=1)
    head_hash: str
    received_at: str
    receipt_id: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the exchange says that it holds. Not ours until `check_hash` has passed."""

    epoch: int
    through_seq: int
    head_hash: str
    jws: str

    def check_hash(self, own_hash: str | None) -> None:
        """Return if our record `through_seq` has this hash.

        Raises:
            ReceiptError: the receipt is over other bytes, or over a record that we do not have.
        """
        if own_hash != self.head_hash:
            raise ReceiptError(f"the receipt is not over our record {self.epoch}/{self.through_seq}")


def read_receipt(
    body: bytes, content_type: str | None, *, site: str, epoch: int, last: int, keys: Mapping[str, PublicKey]
) -> Receipt:
    """The receipt in the body of a 200 or 201.

    Args:
        body: the whole body.
        content_type: as answered; parameters are ignored.
        site: our id.
        epoch: of the records that were sent.
        last: seq of the last of them.
        keys: whose receipts count, by kid.

    Raises:
        ReceiptError: no receipt, not by such a key, not for these records.
    """
    if content_type is None or content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise ReceiptError(f"the answer is of type {content_type}, not {MEDIA_TYPE}")
    try:
        envelope = parse(body)
        key = keys.get(envelope.header.kid)
        if key is None:
            raise ReceiptError(f"the receipt is signed by key {envelope.header.kid}, which is not configured")
        verify(envelope, key)
        if envelope.header.typ != RECEIPT_TYP:
            raise ReceiptError(f"the answer is a {envelope.header.typ}, not a {RECEIPT_TYP}")
        claims = _Claims.model_validate(loads(envelope.payload))
        parse_utc(claims.received_at)
    except (SigningError, ValidationError, ValueError) as error:
        raise ReceiptError(f"the receipt cannot be believed: {error}") from error
    if (claims.site, claims.epoch) != (site, epoch):
        raise ReceiptError(f"the receipt is for {claims.site}/{claims.epoch}, not for {site}/{epoch}")
    if claims.through_seq < last:
        raise ReceiptError(f"the receipt ends at {claims.through_seq}, before {last}")
    return Receipt(claims.epoch, claims.through_seq, claims.head_hash, body.decode("ascii"))
