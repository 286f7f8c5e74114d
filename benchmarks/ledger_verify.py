"""What it costs to verify a year of a site's ledger: `python -m benchmarks.ledger_verify`."""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Finding, at_most, below, tell
from daemon.book import Report, read_receipts, verify_file
from daemon.book.days import leaf_hash, root_of
from daemon.ledger.chain import Head, Sealer, StoredRecord
from daemon.signing import PrivateKey, dumps, sign
from daemon.timestamps import format_utc

INTERVAL_S = 300
DAY_S = 86_400
START_S = 1_767_225_600  # 2026-01-01
GOAL_S = 60.0
SITE = PrivateKey.from_seed(b"\x01" * 32, "site-1")
EXCHANGE = PrivateKey.from_seed(b"\x02" * 32, "exchange-1")
RECEIPTED = 12
"""Records from receipt to receipt: an upload an hour."""


def bodies(day_s: int, register_wh: int) -> Iterator[dict[str, Any]]:
    """One point's intervals of a day, each as long as a real one."""
    for start_s in range(day_s, day_s + DAY_S, INTERVAL_S):
        wh = 75_000 + start_s // INTERVAL_S % 1_000
        yield {
            "kind": "interval",
            "point": "poi",
            "meter_sn": "SN-2000417",
            "start": format_utc(start_s),
            "dur_s": INTERVAL_S,
            "reg_start_wh": register_wh,
            "reg_end_wh": register_wh + wh,
            "wh": wh,
            "max_w": wh * 12,
            "samples": 300,
            "coverage_s": 300,
            "quality": 17,
            "time_status": "S",
            "limit_wh": 80_000,
            "limit_ref": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
            "floor_w": 60_000,
            "over_s": 0,
            "over_wh": 0,
            "settle_s": 30,
            "state_s": {"init": 0, "controlled": 270, "limited": 30, "failsafe": 0},
            "output": {"hashes_th": 14_400_000, "gpu_s": 28_800},
        }
        register_wh += wh


def write_ledger(days: int, ledger: Path, receipts: Path) -> int:
    """Write a ledger of so many days and its receipts; returns how many records are intervals."""
    sealer = Sealer("lhe-01", "quotawatt 0.1.0", SITE)
    head, register_wh, count = Head(START_S, 0, None), 1_000_000, 0
    opening = {
        "kind": "epoch_open",
        "at": format_utc(START_S),
        "reason": "new",
        "interval_s": INTERVAL_S,
        "points": ["poi"],
        "before": None,
    }
    with ledger.open("w", encoding="ascii") as lines, receipts.open("w", encoding="ascii") as received:

        def add(body: dict[str, Any], at: Head) -> StoredRecord:
            record = sealer.seal(body, at)
            lines.write(record.jws + "\n")
            if record.seq % RECEIPTED == 0:
                received.write(receipt(record) + "\n")
            return record

        record = add(opening, head)
        for day_s in range(START_S, START_S + days * DAY_S, DAY_S):
            leaves, day_wh = [], 0
            for body in bodies(day_s, register_wh):
                record = add(body, Head(record.epoch, record.seq, record.hash))
                leaves.append(leaf_hash(record.jws.encode("ascii")))
                register_wh, day_wh, count = body["reg_end_wh"], day_wh + body["wh"], count + 1
            close = {"kind": "day_close", "day": format_utc(day_s)[:10], "count": len(leaves), "wh": day_wh}
            close["root"] = root_of(leaves)
            record = add(close, Head(record.epoch, record.seq, record.hash))
    return count


def receipt(record: StoredRecord) -> str:
    """What the exchange would sign."""
    claims = {
        "site": "lhe-01",
        "epoch": record.epoch,
        "through_seq": record.seq,
        "head_hash": record.hash,
        "received_at": format_utc(START_S),
        "receipt_id": f"r-{record.seq}",
    }
    return sign(dumps(claims), "qw-receipt+jws", EXCHANGE)


def measured(ledger: Path, receipts: Path | None) -> tuple[Report, float]:
    """The verdict, and the seconds of CPU that it took."""
    began = time.process_time()
    vouched = None if receipts is None else read_receipts(receipts, [EXCHANGE.public()])
    report = verify_file(ledger, [SITE.public()], vouched)
    return report, time.process_time() - began


def main() -> None:
    """Measure; exit code 1 if the ledger was not found good."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365, help="length of the ledger (365)")
    days = parser.parse_args().days
    with tempfile.TemporaryDirectory() as folder:
        ledger, receipts = Path(folder) / "ledger.jws", Path(folder) / "receipts.jws"
        count = write_ledger(days, ledger, receipts)
        before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        alone, alone_s = measured(ledger, None)
        receipted, receipted_s = measured(ledger, receipts)
        grown_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mib
        size_mib = ledger.stat().st_size / 2**20
    year = days == 365
    tell(
        Finding(
            "ledger-verify",
            f"verify {count:,} intervals of one point ({size_mib:.0f} MiB)",
            [
                Figure("CPU", alone_s, "s", below(GOAL_S) if year else None),
                Figure("CPU, with a receipt an hour", receipted_s, "s", below(GOAL_S) if year else None),
                Figure("of it per record", alone_s / alone.records * 1e6, "µs"),
                Figure("memory beside what writing it took", grown_mib, "MiB", at_most(50)),
            ],
        )
    )
    sys.exit(0 if alone.good and receipted.good else 1)


if __name__ == "__main__":
    main()
