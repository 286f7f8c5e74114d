"""Whether an upload may be taken: the contract's checks of records and chain, in its order."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sim_devices.exchange.encoding import FormError
from sim_devices.exchange.envelopes import Envelope, open_envelope
from sim_devices.exchange.intake import Span
from sim_devices.exchange.keyring import KeyRing, SiteKey
from sim_devices.exchange.problems import ProblemError
from sim_devices.exchange.receipts import Head
from sim_devices.exchange.records import (
    AnyRecord,
    Entry,
    EpochOpen,
    Event,
    Position,
    check_point,
    read_record,
)

_CORES = os.cpu_count() or 1
_VERIFIERS = ThreadPoolExecutor(_CORES, thread_name_prefix="exchange-signatures")
_WORTH_SHARING = 32
"""Signatures from which on all cores verify them: OpenSSL lets go of the interpreter meanwhile."""

Signed = tuple[Envelope, SiteKey]
"""What is to be verified, and by which key."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Records that are what they claim to be, and the site's keys after them."""

    entries: Sequence[Entry]
    ring: KeyRing


def read_upload(site: str, span: Span, body: bytes, ring: KeyRing, points: list[str] | None) -> Upload:
    """Read and verify every line of `body`. `points` are the epoch's, `None` while it is unknown.

    Raises:
        ProblemError: 422 `invalid-record` with the first `seq` that is wrong.
    """
    lines = body.split(b"\n")
    unended = lines.pop()
    expected = span.last - span.first + 1
    if len(lines) != expected or unended:
        seq = span.first + max(0, min(len(lines), expected))
        raise _invalid(seq, f"{len(lines)} ended lines for {expected} records")
    entries: list[Entry] = []
    signed: list[Signed] = []
    wrong: ProblemError | None = None
    for number, line in enumerate(lines):
        at = Position(span.epoch, span.first + number)
        try:
            envelope = open_envelope(line)
            signer = ring.signer(envelope.kid, at)
            signed.append((envelope, signer))
            record = _read_record(site, at, envelope)
            if isinstance(record, EpochOpen):
                points = record.points
            if points is not None:
                check_point(record, points)
            ring = _follow(record, signer, ring)
        except FormError as error:
            wrong = _invalid(at.seq, str(error))
            break
        entries.append(Entry(record, envelope))
    unsigned = first_unsigned(signed)
    if unsigned is not None:
        raise _invalid(span.first + unsigned, "the signature does not verify")
    if wrong is not None:
        raise wrong
    return Upload(entries, ring)


def first_unsigned(signed: Sequence[Signed]) -> int | None:
    """The index of the first whose key did not sign it; `None` if there is none."""
    if len(signed) < _WORTH_SHARING:
        return _first_unsigned(signed, 0)
    share = -(-len(signed) // _CORES)
    starts = range(0, len(signed), share)
    # Waited for in line: no time passes, simulated or not, in which another request is looked at.
    found = _VERIFIERS.map(lambda start: _first_unsigned(signed[start : start + share], start), starts)
    return next((index for index in list(found) if index is not None), None)


def _first_unsigned(signed: Sequence[Signed], start: int) -> int | None:
    bad = (index for index, (envelope, key) in enumerate(signed, start) if not envelope.signed_by(key.public))
    return next(bad, None)


def new_entries(
    span: Span,
    entries: Sequence[Entry],
    *,
    known: Mapping[int, bytes],
    head: Head | None,
    newest: Head | None,
) -> Sequence[Entry]:
    """The entries that continue the chain; none if all are known.

    `known` are the stored JWS of the span by seq, `head` the last record of its epoch, `newest` that
    of the newest epoch.

    Raises:
        ProblemError: 422 `ledger-fork`, 409 `sequence-gap` or `chain-broken`.
    """
    for seq, jws in known.items():
        if entries[seq - span.first].jws != jws:
            raise ProblemError(422, "ledger-fork", f"record {seq} is known with other bytes", seq=seq)
    if head is None and newest is not None and span.epoch < newest.epoch:
        raise _gap(newest.epoch, newest.seq + 1)
    head_seq = 0 if head is None else head.seq
    if span.first > head_seq + 1:
        raise _gap(span.epoch, head_seq + 1)
    head_hash = previous = None if head is None else head.hash
    fresh = entries[head_seq - span.first + 1 :]
    for entry in fresh:
        if entry.record.prev != previous:
            raise ProblemError(
                409,
                "chain-broken",
                f"prev of record {entry.record.seq} is not the hash of the record before",
                head_seq=head_seq,
                head_hash=head_hash,
            )
        previous = entry.envelope.hash
    return fresh


def _read_record(site: str, at: Position, envelope: Envelope) -> AnyRecord:
    record = read_record(envelope)
    if record.site != site or record.position != at:
        raise FormError("site, epoch or seq is not that of the path")
    return record


def _follow(record: AnyRecord, signer: SiteKey, ring: KeyRing) -> KeyRing:
    match record:
        case Event(key_change=change) if change is not None:
            return ring.changed(signer, change, record.position)
        case _:
            return ring


def _invalid(seq: int, detail: str) -> ProblemError:
    return ProblemError(422, "invalid-record", f"record {seq}: {detail}", seq=seq)


def _gap(epoch: int, seq: int) -> ProblemError:
    return ProblemError(
        409,
        "sequence-gap",
        f"the next record is {epoch}/{seq}",
        expected_epoch=epoch,
        expected_seq=seq,
    )
