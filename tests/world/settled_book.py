"""What the exchange's book holds of a site, judged by the contract and by the plant's own register."""

import base64
import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sim_devices.exchange import Exchange
from sim_devices.plant import Moment
from tests.world.mqtt import until
from tests.world.settling_site import hash_text, unb64, utc

READING_AGE_S = 2.5
"""A register on the boundary of an interval may have been read so long before or after it."""
METER = "meter"


class SettledBook:
    """The records of one site, as the exchange received them."""

    def __init__(self, exchange: Exchange, site: str) -> None:
        self._exchange = exchange
        self._site = site

    def lines(self) -> dict[tuple[int, int], bytes]:
        """JWS bytes by (epoch, seq)."""
        lines = {}
        for epoch in self._exchange.book.openings(self._site):
            head = self._exchange.book.head(self._site, epoch)
            assert head is not None
            known = self._exchange.book.known(self._site, epoch, 1, head.seq)
            lines.update({(epoch, seq): bytes(jws) for seq, jws in known.items()})
        return lines

    def records(self) -> list[dict[str, Any]]:
        """Every record, in the order of the ledger."""
        return [payload(jws) for _, jws in sorted(self.lines().items())]

    def settled(self) -> list[dict[str, Any]]:
        """The site meter's `interval` and `gap` records."""
        records = self.records()
        return [each for each in records if each["kind"] in {"interval", "gap"} and each["point"] == METER]

    def intervals(self) -> list[dict[str, Any]]:
        """The site meter's `interval` records."""
        return [record for record in self.settled() if record["kind"] == "interval"]

    async def holds(self, start_s: float, within_s: float = 20.0) -> None:
        """Wait until the interval or gap that begins at a Unix time is there."""
        start = utc(int(start_s))
        await until(lambda: any(record["start"] == start for record in self.settled()), within_s)

    # --- judgement ---

    def assert_unbroken(self, interval_s: int) -> None:
        """One epoch, one chain, every interval exactly once, a verified receipt for the last record."""
        lines = self.lines()
        epochs = {epoch for epoch, _ in lines}
        assert len(epochs) == 1, f"epochs {epochs}"
        chain = [jws for _, jws in sorted(lines.items())]
        assert [seq for _, seq in sorted(lines)] == list(range(1, len(chain) + 1))
        previous = [None, *map(hash_text, chain[:-1])]
        assert [payload(jws)["prev"] for jws in chain] == previous
        self._assert_grid(interval_s)
        self._assert_receipted(max(lines), chain[-1])

    def _assert_grid(self, interval_s: int) -> None:
        starts = [record["start"] for record in self.settled()]
        assert starts, "nothing was settled"
        first_s = unix_s(starts[0])
        assert starts == [utc(first_s + index * interval_s) for index in range(len(starts))]

    def _assert_receipted(self, last: tuple[int, int], jws: bytes) -> None:
        receipt = self._exchange.book.receipt(self._site, *last)
        assert receipt is not None
        head, body, signature = receipt.split(b".")
        key = Ed25519PublicKey.from_public_bytes(unb64(self._exchange.public_jwk["x"]))
        key.verify(unb64(signature.decode()), head + b"." + body)
        claims = payload(receipt)
        assert claims["site"] == self._site
        assert (claims["epoch"], claims["through_seq"], claims["head_hash"]) == (*last, hash_text(jws))

    def assert_energy(self, history: Sequence[Moment]) -> int:
        """Σ wh is the registers' difference, and every register is what the meter showed then; Σ wh."""
        settled = self.settled()
        with_energy = [record for record in settled if record["wh"] is not None]
        assert with_energy, "no energy was settled"
        assert all(record["wh"] is not None for record in settled if record["kind"] == "interval")
        for earlier, later in pairwise(with_energy):
            assert later["reg_start_wh"] == earlier["reg_end_wh"]
        total_wh = sum(record["wh"] for record in with_energy)
        assert total_wh == with_energy[-1]["reg_end_wh"] - with_energy[0]["reg_start_wh"]
        for record in with_energy:
            self._assert_shown(record, history)
        return int(total_wh)

    def _assert_shown(self, record: dict[str, Any], history: Sequence[Moment]) -> None:
        end_s = unix_s(record["start"]) + record["dur_s"]
        around = between(history, end_s - READING_AGE_S, end_s + READING_AGE_S)
        low_wh, high_wh = around[0].register_wh, around[-1].register_wh
        assert low_wh <= record["reg_end_wh"] <= high_wh, (record, low_wh, high_wh)


def between(history: Sequence[Moment], from_s: float, to_s: float) -> Sequence[Moment]:
    """The part of a course between two Unix times, at least one moment."""
    first, after = (bisect_left(history, at_s, key=lambda moment: moment.wall_s) for at_s in (from_s, to_s))
    return history[first : max(after, first + 1)]


def payload(jws: bytes) -> dict[str, Any]:
    """What a JWS says, unverified."""
    body = jws.split(b".")[1]
    value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    return value


def unix_s(text: str) -> int:
    """Unix seconds of the wire form."""
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def starts(records: Iterable[dict[str, Any]]) -> list[int]:
    """Unix seconds at which records begin."""
    return [unix_s(record["start"]) for record in records]
