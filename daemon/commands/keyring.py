"""The keys that a site trusts: who may say what, and in whose name a message comes."""

from collections.abc import Iterable

from daemon.commands.orders import Quota
from daemon.commands.trust import TrustedKey
from daemon.commands.words import Lane, Role
from daemon.signing import BadSignatureError, MalformedError, loads, parse, verify

MAX_HEADER_BYTES = 1024
"""base64url of the longest header that is read, and more."""
MAX_HEADERS = 256
"""Headers whose signer is remembered."""


class Keyring:
    """All trusted keys, by name."""

    def __init__(self, keys: Iterable[TrustedKey]) -> None:
        self._keys = {trusted.key.kid: trusted for trusted in keys}
        self._headers: dict[bytes, str | None] = {}

    def valid(self, kid: str, now_s: float) -> TrustedKey | None:
        """The key of this name, if it counts at this moment."""
        trusted = self._keys.get(kid)
        return trusted if trusted is not None and trusted.valid_at(now_s) else None

    def claimed_signer(self, lane: Lane, payload: bytes) -> str | None:
        """The key of this site that a message names and that may speak here, unverified; `None` = none.

        Costs little: a sender's header is the same text each time, and is remembered.
        """
        header = payload[: payload.find(b".", 0, MAX_HEADER_BYTES) + 1]
        if header not in self._headers:
            if len(self._headers) >= MAX_HEADERS:
                self._headers.clear()
            self._headers[header] = self._named_in(header)
        kid = self._headers[header]
        return kid if kid is not None and self._keys[kid].role is lane.role else None

    def _named_in(self, header: bytes) -> str | None:
        try:
            kid = parse(header + b".").header.kid
        except MalformedError:
            return None
        return kid if kid in self._keys else None

    def command_lane(self, payload: bytes) -> Lane:
        """Where a command that came without a topic belongs: its key's role; unreadable ones anywhere."""
        try:
            trusted = self._keys.get(parse(payload[: Lane.OPERATOR.max_bytes + 1]).header.kid)
        except MalformedError:
            trusted = None
        return Lane.of_commands(Role.OPERATOR if trusted is None else trusted.role)

    def dispatchers(self, held: Quota | None) -> frozenset[str]:
        """The keys that may dispatch, whether or not they count at this moment.

        Without the one whose name the quota held bears, if it has not signed it, or not while it was valid:
        then another key has taken its name, or its time was cut short. A key that has merely run out stays.
        """
        kids = {kid for kid, trusted in self._keys.items() if trusted.role is Role.DISPATCHER}
        if held is not None and held.kid in kids and not self._vouches_for(held):
            kids.discard(held.kid)
        return frozenset(kids)

    def _vouches_for(self, quota: Quota) -> bool:
        trusted, envelope = self._keys[quota.kid], parse(quota.jws.encode("ascii"))
        try:
            verify(envelope, trusted.key)
        except BadSignatureError:
            return False
        return trusted.valid_at(float(loads(envelope.payload)["iat"]))
