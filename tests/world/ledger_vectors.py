"""The good ledger of the test vectors: two points, every kind of record. Always the same bytes."""

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.world.settling_site import (
    DAY_START_S,
    EPOCH,
    SITE_ONLY,
    Key,
    SettlingSite,
    canonical,
    hash_text,
    root_of,
    utc,
)

DUR_S = 21_600
"""Four intervals a day keep the vectors short."""
DAY_S = 86_400
SECOND_EPOCH = EPOCH + 3 * DAY_S


def key_of(name: str, seed: int) -> Key:
    return Key(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


FIRST, SECOND, STRANGER = key_of("site-1", 1), key_of("site-2", 2), key_of("site-1", 3)
EXCHANGE = key_of("exchange-1", 4)


@dataclass
class VectorSite(SettlingSite):
    """A site whose intervals last six hours, and that knows the leaves of its days."""

    key: Key = field(default_factory=lambda: FIRST)
    points: tuple[str, ...] = ("poi", "hall-1")
    register: dict[str, int] = field(default_factory=lambda: {"poi": 1_000_000, "hall-1": 50_000})
    leaves: dict[str, list[tuple[str, int, int, bytes]]] = field(default_factory=dict)

    def leaf(self, start_s: int, point: str, wh: int, jws: bytes) -> None:
        self.leaves.setdefault(utc(start_s)[:10], []).append((point, start_s, wh, jws))

    def measured(self, start_s: int, *amounts_wh: int) -> None:
        """An interval of every point."""
        for point, wh in zip(self.points, amounts_wh, strict=True):
            members = {**self.interval_members(point, start_s, wh), "dur_s": DUR_S}
            if point == self.points[0]:
                members |= {**SITE_ONLY, "state_s": {"controlled": 20_000, "failsafe": 1_600}}
            self.leaf(start_s, point, wh, self.append("interval", **members))

    def missed(self, start_s: int, point: str, reason: str, wh: int | None = None) -> None:
        """A gap; with energy it ends its run."""
        members: dict[str, Any] = {"reason": reason, "dur_s": DUR_S}
        if wh is not None:
            before = self.register[point]
            self.register[point] += wh
            members |= {"reg_start_wh": before, "reg_end_wh": before + wh, "wh": wh}
        self.leaf(start_s, point, wh or 0, self.gap(start_s, point, **members))

    def swap_meter(self, point: str, old_end_wh: int, new_start_wh: int, at_s: int) -> int:
        """A meter is changed; returns what the old one had counted since its last record."""
        detail = {
            "point": point, "from": "SN1", "to": "SN2", "reg_end_wh": old_end_wh, "reg_start_wh": new_start_wh
        }  # fmt: skip
        self.append("event", at=utc(at_s), what="meter-changed", detail=detail)
        return old_end_wh - self.register[point]

    def close(self, day: str) -> bytes:
        leaves = self.leaves.get(day, [])
        wh = sum(wh for point, _, wh, _ in leaves if point == self.points[0])
        root = root_of([jws for *_, jws in leaves])
        return self.append("day_close", day=day, count=len(leaves), wh=wh, root=root)

    def take_back(self, from_s: int) -> None:
        """What starts from then on is told again."""
        for day, leaves in self.leaves.items():
            self.leaves[day] = [leaf for leaf in leaves if leaf[1] < from_s]

    def lines(self) -> list[bytes]:
        return [self.records[at] for at in sorted(self.records)]

    def receipt(self, seq: int, key: Key = EXCHANGE, **members: Any) -> bytes:
        claims = {
            "site": self.site,
            "epoch": self.epoch,
            "through_seq": seq,
            "head_hash": hash_text(self.records[self.epoch, seq]),
            "received_at": utc(EPOCH + seq),
            "receipt_id": f"receipt-{self.epoch}-{seq}",
        }
        return key.jws(canonical({**claims, **members}), "qw-receipt+jws")


@dataclass
class Good:
    """The good ledger with its receipts."""

    site: VectorSite
    receipts: list[bytes]


def good() -> Good:
    """Two points, three days, every kind of record, a change of meter and of key, and a second epoch."""
    site = VectorSite()
    day1, day2, day3 = DAY_START_S, DAY_START_S + DAY_S, DAY_START_S + 2 * DAY_S
    site.open(interval_s=DUR_S)
    site.missed(day1 + DUR_S, "poi", "partial", 400)
    site.missed(day1 + DUR_S, "hall-1", "no-meter")
    site.register["hall-1"] = 50_100
    site.measured(day1 + 2 * DUR_S, 6_000, 2_500)
    site.append("event", at=utc(day1 + 50_000), what="state", detail={"from": "controlled", "to": "failsafe"})
    site.measured(day1 + 3 * DUR_S, 5_900, 2_400)
    site.close("2027-01-15")
    receipts = [site.receipt(site.seq())]
    for point in site.points:
        site.missed(day2, point, "down")
    for point, wh in (("poi", 11_800), ("hall-1", 5_000)):
        site.missed(day2 + DUR_S, point, "partial", wh)
    old_wh = site.swap_meter("hall-1", 61_100, 7, day2 + 50_000)
    changed(site, day2 + 2 * DUR_S, "hall-1", new_end_wh=1_207, wh=old_wh + 1_200)
    site.key_change(SECOND)
    site.measured(day2 + 3 * DUR_S, 6_100, 2_600)
    site.close("2027-01-16")
    site.append(
        "correction",
        at=utc(day3 + 100),
        ref={"epoch": EPOCH, "seq": 4},
        wh=-12,
        reason="meter – recalibrated ✓",
    )
    site.measured(day3, 6_000, 2_500)
    receipted = site.seq()
    receipts.append(site.receipt(receipted))
    before = {"epoch": EPOCH, "seq": receipted, "head_hash": hash_text(site.records[EPOCH, receipted])}
    site.measured(day3 + DUR_S, 6_200, 2_450)
    site.measured(day3 + 2 * DUR_S, 6_300, 2_440)
    fork(site, before, day3)
    receipts.append(site.receipt(site.seq() - 1))
    return Good(site, receipts)


def changed(site: VectorSite, start_s: int, point: str, *, new_end_wh: int, wh: int) -> None:
    """An interval of both points, within which the meter of one was changed."""
    first = site.points[0]
    site.leaf(start_s, first, 5_800, site.interval(start_s, first, 5_800, dur_s=DUR_S))
    members = {**site.interval_members(point, start_s, 0), "dur_s": DUR_S}
    members |= {"reg_end_wh": new_end_wh, "wh": wh, "meter_sn": "SN2"}
    site.register[point] = new_end_wh
    site.leaf(start_s, point, wh, site.append("interval", **members))


def fork(site: VectorSite, before: dict[str, Any], day: int) -> None:
    """The exchange refused what came after `before`: those intervals are told again as gaps."""
    site.take_back(day + DUR_S)
    site.register["poi"] -= 12_500
    site.register["hall-1"] -= 4_890
    at_s = SECOND_EPOCH
    site.open(SECOND_EPOCH, at=utc(at_s), reason="fork", interval_s=DUR_S, before=before)
    for point in site.points:
        site.missed(day + DUR_S, point, "partial")
    site.missed(day + 2 * DUR_S, "poi", "partial", 12_500)
    site.missed(day + 2 * DUR_S, "hall-1", "partial", 4_890)
    site.measured(day + 3 * DUR_S, 6_000, 2_500)
    site.close("2027-01-17")
    site.measured(day + 4 * DUR_S, 6_000, 2_500)
