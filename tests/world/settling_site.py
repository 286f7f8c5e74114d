"""A site that settles: its key, its records and its requests, built from the contract with bare hands."""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

EPOCH = 1_800_000_000
DAY = "2027-01-15"
DAY_START_S = 1_799_971_200
FW = "test/1"
SITE_ONLY = {
    "limit_wh": 400,
    "limit_ref": None,
    "floor_w": 100,
    "over_s": 0,
    "over_wh": 0,
    "settle_s": 0,
    "state_s": {"controlled": 300},
    "output": {"hashes_th": 60_000, "gpu_s": None},
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hash_text(jws: bytes) -> str:
    return b64(hashlib.sha256(jws).digest())


def utc(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical(value: Any) -> bytes:
    """RFC 8785 for what these tests write: ASCII names, integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def root_of(leaves: list[bytes]) -> str:
    """RFC 9162, 2.1.1, as it is written there."""

    def mth(part: list[bytes]) -> bytes:
        if not part:
            return hashlib.sha256(b"").digest()
        if len(part) == 1:
            return hashlib.sha256(b"\x00" + part[0]).digest()
        k = 1
        while 2 * k < len(part):
            k *= 2
        return hashlib.sha256(b"\x01" + mth(part[:k]) + mth(part[k:])).digest()

    return b64(mth(leaves))


@dataclass
class Key:
    kid: str
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def jwk(self) -> dict[str, str]:
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}

    def jws(self, payload: bytes, typ: str, **header: Any) -> bytes:
        head = canonical({"alg": "EdDSA", "kid": self.kid, "typ": typ, **header})
        signing_input = f"{b64(head)}.{b64(payload)}".encode()
        return signing_input + b"." + b64(self.private.sign(signing_input)).encode()


@dataclass
class SettlingSite:
    """Appends to its ledger with `open`, `interval`, …; each gives the record's JWS.

    `now_s` is the wall clock of site and exchange. `members` of the builders replace or add members.
    """

    site: str = "lhe-01"
    now_s: int = EPOCH + 86_400
    key: Key = field(default_factory=lambda: Key("site-key-1"))
    points: tuple[str, ...] = ("poi", "feeder")
    epoch: int = 0
    records: dict[tuple[int, int], bytes] = field(default_factory=dict)
    register: dict[str, int] = field(default_factory=lambda: {"poi": 1_000, "feeder": 500})

    # --- records ---

    def seq(self, epoch: int | None = None) -> int:
        wanted = epoch or self.epoch
        return max((seq for known, seq in self.records if known == wanted), default=0)

    def append(self, kind: str, **members: Any) -> bytes:
        seq = self.seq() + 1
        jws = self.record(seq, kind, **members)
        self.records[self.epoch, seq] = jws
        return jws

    def record(self, seq: int, kind: str, **members: Any) -> bytes:
        """A record that is not appended."""
        previous = self.records.get((self.epoch, seq - 1))
        common = {
            "v": 1,
            "site": self.site,
            "epoch": self.epoch,
            "seq": seq,
            "prev": None if previous is None else hash_text(previous),
            "kind": kind,
            "fw": FW,
        }
        return self.signed({**common, **members})

    def signed(self, record: dict[str, Any]) -> bytes:
        return self.key.jws(canonical(record), "qw-rec+jws")

    def open(self, epoch: int = EPOCH, **members: Any) -> bytes:
        self.epoch = epoch
        opening = {
            "at": utc(epoch),
            "reason": "new",
            "interval_s": 300,
            "points": list(self.points),
            "before": None,
        }
        return self.append("epoch_open", **{**opening, **members})

    def interval_members(self, point: str, start_s: int, wh: int) -> dict[str, Any]:
        before = self.register[point]
        self.register[point] += wh
        return {
            "point": point,
            "meter_sn": "SN1",
            "start": utc(start_s),
            "dur_s": 300,
            "reg_start_wh": before,
            "reg_end_wh": before + wh,
            "wh": wh,
            "max_w": wh * 13,
            "samples": 300,
            "coverage_s": 300,
            "quality": 17,
            "time_status": "S",
            **(SITE_ONLY if point == self.points[0] else dict.fromkeys(SITE_ONLY)),
        }

    def interval(
        self, start_s: int = DAY_START_S, point: str = "poi", wh: int = 100, **members: Any
    ) -> bytes:
        return self.append("interval", **{**self.interval_members(point, start_s, wh), **members})

    def gap(self, start_s: int = DAY_START_S, point: str = "poi", **members: Any) -> bytes:
        empty = {"reason": "down", "reg_start_wh": None, "reg_end_wh": None, "wh": None}
        return self.append("gap", **{"point": point, "start": utc(start_s), "dur_s": 300, **empty, **members})

    def event(self, what: str = "alarm", detail: dict[str, Any] | None = None) -> bytes:
        return self.append("event", at=utc(self.now_s), what=what, detail=detail or {})

    def key_change(self, new: Key) -> bytes:
        """Recorded with the present key; every later record is signed with `new`."""
        jws = self.event("key-change", {"kid": new.kid, "jwk": new.jwk})
        self.key = new
        return jws

    def correction(self, seq: int, wh: int, at_s: int) -> bytes:
        ref = {"epoch": self.epoch, "seq": seq}
        return self.append("correction", at=utc(at_s), ref=ref, wh=wh, reason="meter was recalibrated")

    def day_close(self, leaves: list[bytes], wh: int, **members: Any) -> bytes:
        close = {"day": DAY, "count": len(leaves), "wh": wh, "root": root_of(leaves)}
        return self.append("day_close", **{**close, **members})

    def fill(self, count: int) -> None:
        """Intervals of the site meter, from where the day begins."""
        for number in range(count):
            self.interval(DAY_START_S + 300 * number)

    def before(self) -> dict[str, Any]:
        """`before` of the epoch that follows this one."""
        seq = self.seq()
        return {"epoch": self.epoch, "seq": seq, "head_hash": hash_text(self.records[self.epoch, seq])}

    # --- requests ---

    def bearer(self, key: Key | None = None, *, typ: str = "JWT", **claims: Any) -> str:
        standard = {
            "iss": self.site,
            "sub": self.site,
            "aud": "exchange",
            "iat": self.now_s,
            "exp": self.now_s + 60,
            "jti": "0b1e9a5c-5a5f-4f63-9a4c-6a3b1f0e2d11",
        }
        wanted = {name: value for name, value in {**standard, **claims}.items() if value is not None}
        return "Bearer " + (key or self.key).jws(canonical(wanted), typ).decode()

    def body(self, first: int, last: int, epoch: int | None = None) -> bytes:
        wanted = epoch or self.epoch
        return b"".join(self.records[wanted, seq] + b"\n" for seq in range(first, last + 1))

    def put(
        self,
        first: int,
        last: int,
        *,
        epoch: int | None = None,
        body: bytes | None = None,
        packed: bool = False,
        site: str | None = None,
        headers: dict[str, str | None] | None = None,
    ) -> httpx2.Request:
        """An upload, right but for what is given. A header of `None` is left out."""
        sent = self.body(first, last, epoch) if body is None else body
        if packed:
            sent = gzip.compress(sent)
        digest = base64.b64encode(hashlib.sha256(sent).digest()).decode()
        standard: dict[str, str | None] = {
            "Authorization": self.bearer(),
            "Content-Type": "application/jose-seq",
            "Content-Encoding": "gzip" if packed else None,
            "Content-Digest": f"sha-256=:{digest}:",
        }
        wanted = {**standard, **(headers or {})}
        return httpx2.Request(
            "PUT",
            f"http://exchange/v1/sites/{site or self.site}/ledger/{epoch or self.epoch}/{first}-{last}",
            content=sent,
            headers={name: value for name, value in wanted.items() if value is not None},
        )

    def get(self, path: str, *, site: str | None = None, bearer: str | None = None) -> httpx2.Request:
        return httpx2.Request(
            "GET",
            f"http://exchange/v1/sites/{site or self.site}/{path}",
            headers={"Authorization": bearer or self.bearer()},
        )


def word(answer: httpx2.Response) -> str:
    """The word of a problem, after a look at its form."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return str(problem["type"]).rpartition("/")[2]


def receipt_of(answer: httpx2.Response, jwk: dict[str, str], kid: str = "exchange-1") -> dict[str, Any]:
    """The claims of a receipt, after its header and signature were verified."""
    assert answer.headers["content-type"] == "application/jose"
    return receipt_claims(answer.content, jwk, kid)


def receipt_claims(jws: bytes, jwk: dict[str, str], kid: str = "exchange-1") -> dict[str, Any]:
    """The claims of a receipt's bytes, after its header and signature were verified."""
    header, payload, signature = jws.decode("ascii").split(".")
    assert json.loads(unb64(header)) == {"alg": "EdDSA", "kid": kid, "typ": "qw-receipt+jws"}
    public = Ed25519PublicKey.from_public_bytes(unb64(jwk["x"]))
    public.verify(unb64(signature), f"{header}.{payload}".encode())
    claims = json.loads(unb64(payload))
    assert isinstance(claims, dict)
    return claims
