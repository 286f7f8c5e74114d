"""Merkle tree hash of RFC 9162 §2.1.1, as a day's root."""

import hashlib
from collections.abc import Sequence

from daemon.signing import b64url_encode


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """SHA-256 root over the leaves in their order; of no leaves, the hash of nothing."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    # Joining neighbours level by level and passing an odd last one up gives the RFC's tree, which splits
    # at the largest power of two.
    level = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        paired = [
            hashlib.sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def day_root(records: Sequence[str]) -> str:
    """`root` of a `day_close`: the leaves are the JWS bytes of the day's records."""
    return b64url_encode(merkle_root([record.encode("ascii") for record in records]))
