"""Merkle tree hash of RFC 9162, §2.1.1, with SHA-256."""

import hashlib
from collections.abc import Sequence

from sim_devices.exchange.encoding import encode_base64url


def merkle_root(leaves: Sequence[bytes]) -> str:
    """Base64url root over `leaves` in their order; without leaves the hash of nothing."""
    if not leaves:
        return encode_base64url(hashlib.sha256().digest())
    level = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        # An odd last node goes up unchanged: the same tree as RFC 9162's split at a power of two.
        pairs = [
            hashlib.sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = pairs + level[len(pairs) * 2 :]
    return encode_base64url(level[0])
