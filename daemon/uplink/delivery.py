"""A delivery: consecutive records of one epoch as a request body."""

import base64
import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.ledger import StoredRecord

MAX_RECORDS = 500
MAX_BYTES = 256 * 1024
"""Of the lines, unpacked."""

RECORDS_TYPE = "application/jose-seq"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Records `first` to `last` of `epoch`, ready to send."""

    epoch: int
    first: int
    last: int
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """What describes the body; the digest is over the bytes sent (RFC 9530)."""
        digest = base64.b64encode(hashlib.sha256(self.body).digest()).decode("ascii")
        return {
            "Content-Type": RECORDS_TYPE,
            "Content-Encoding": "gzip",
            "Content-Digest": f"sha-256=:{digest}:",
        }


def pack(records: Sequence[StoredRecord], most: int = MAX_RECORDS) -> Delivery | None:
    """As many of `records` from the first on as fit; `None` of none. The first always goes."""
    lines: list[bytes] = []
    size = 0
    for record in records[:most]:
        line = record.jws.encode("ascii") + b"\n"
        size += len(line)
        if lines and size > MAX_BYTES:
            break
        lines.append(line)
    if not lines:
        return None
    first = records[0]
    # mtime 0: the same records are the same bytes.
    body = gzip.compress(b"".join(lines), compresslevel=6, mtime=0)
    return Delivery(first.epoch, first.seq, first.seq + len(lines) - 1, body)
