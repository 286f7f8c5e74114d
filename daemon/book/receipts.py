"""The exchange's receipts as a file: one JWS a line. What they vouch for, offline."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemon.book.findings import Finding, Flaw
from daemon.book.trust import KeyChain, UntrustedKeyError
from daemon.ledger.records import Hash, Id, Utc
from daemon.signing import MalformedError, PublicKey, loads, parse

RECEIPT_TYP = "qw-receipt+jws"


class _Claims(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    site: Id
    epoch: int = Field(ge=1)
    through_seq: int = Field(ge=1)
    head_hash: Hash
    received_at: Utc
    receipt_id: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class _Vouched:
    """A verified receipt, by the record that it ends with."""

    line: int
    site: str
    head_hash: str


class ReceiptBook:
    """Verified receipts, held against a book's records as they come."""

    def __init__(self, vouched: Mapping[tuple[int, int], list[_Vouched]], flaws: list[Finding]) -> None:
        """Use `read_receipts`."""
        self._open = dict(vouched)
        self._heads = {at: {each.head_hash for each in those} for at, those in vouched.items()}
        self.flaws = flaws
        """Of the receipts themselves; their `line` is 0."""
        self.count = sum(map(len, vouched.values()))
        self.through: dict[int, int] = {}
        """By epoch: the last record of the book that a receipt vouches for."""

    def vouches(self, epoch: int, seq: int, record_hash: str | None) -> bool:
        """Whether a receipt ends with the record that has this hash."""
        return record_hash is not None and record_hash in self._heads.get((epoch, seq), ())

    def check(self, epoch: int, seq: int, line: int, site: str, record_hash: str) -> Iterator[Finding]:
        """Hold a record against the receipts that end with it."""
        for each in self._open.pop((epoch, seq), ()):
            if each.head_hash != record_hash:
                wrong = f"receipt {each.line} is over a record with hash {each.head_hash}"
                yield Finding(
                    Flaw.RECEIPT, epoch, seq, line, wrong, f"the record that was receipted, not {record_hash}"
                )
            elif each.site != site:
                wrong = f"receipt {each.line} is for site {each.site}"
                yield Finding(Flaw.RECEIPT, epoch, seq, line, wrong, f"receipts of site {site}")
            else:
                self.through[epoch] = max(self.through.get(epoch, 0), seq)

    def unmatched(self, lost: Mapping[int, int]) -> Iterator[Finding]:
        """Receipts whose record never came. `lost`: by epoch, through which seq records may be gone."""
        for (epoch, seq), those in sorted(self._open.items()):
            if seq <= lost.get(epoch, 0):
                continue
            for each in those:
                yield Finding(
                    Flaw.RECEIPT,
                    epoch,
                    seq,
                    0,
                    f"receipt {each.line} vouches for this record, and the file has not got it",
                    "the whole ledger, at least up to its last receipt",
                )


def read_receipts(path: Path, trust: Iterable[PublicKey]) -> ReceiptBook:
    """Read and verify a file of receipts; one that does not verify vouches for nothing and is a finding.

    Raises:
        OSError: the file cannot be read.
    """
    keys = KeyChain(trust)
    vouched: dict[tuple[int, int], list[_Vouched]] = {}
    flaws: list[Finding] = []
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                claims = _read(text.removesuffix(b"\n"), keys)
            except (MalformedError, ValidationError, UntrustedKeyError) as error:
                said = "its claims have not the form" if isinstance(error, ValidationError) else str(error)
                right = f"a {RECEIPT_TYP} by a trusted key of the exchange"
                flaws.append(Finding(Flaw.RECEIPT, 0, 0, 0, f"receipt {number}: {said}", right))
                continue
            at = (claims.epoch, claims.through_seq)
            vouched.setdefault(at, []).append(_Vouched(number, claims.site, claims.head_hash))
    return ReceiptBook(vouched, flaws)


def _read(text: bytes, keys: KeyChain) -> _Claims:
    envelope = parse(text)
    if envelope.header.typ != RECEIPT_TYP:
        raise MalformedError(f"typ is {envelope.header.typ}")
    if not keys.key(envelope.header.kid).signed(envelope.signature, envelope.signing_input):
        raise UntrustedKeyError(f"not signed by key {envelope.header.kid}")
    return _Claims.model_validate(loads(envelope.payload))
