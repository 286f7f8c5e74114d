"""The ledger's test vectors, judged by our verifier and by the one in Node that shares nothing with it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daemon.book import load_trust, read_receipts, verify_file
from tests.world.ledger_vector_files import FOLDER, files
from tests.world.ledger_vectors import DUR_S, SECOND_EPOCH, VectorSite
from tests.world.settling_site import DAY_START_S, EPOCH, hash_text, utc

VERIFIER = Path(__file__).resolve().parents[1] / "verifier" / "verify.mjs"
GOOD = (FOLDER / "good.jws").read_text(encoding="ascii").splitlines()
CASES: list[dict[str, Any]] = json.loads((FOLDER / "tampered.json").read_text(encoding="ascii"))

Found = tuple[str, int, int]


@dataclass
class Spoilt:
    """One vector as files."""

    ledger: Path
    receipts: Path | None

    def judged_here(self) -> list[Found]:
        vouched = None
        if self.receipts is not None:
            vouched = read_receipts(self.receipts, load_trust(FOLDER / "exchange.jwks"))
        report = verify_file(self.ledger, load_trust(FOLDER / "site.jwks"), vouched)
        return [(each.flaw.value, each.epoch, each.seq) for each in report.findings]

    def judged_in_node(self) -> list[Found]:
        words = ["node", str(VERIFIER), str(self.ledger), str(FOLDER / "site.jwks")]
        if self.receipts is not None:
            words += [str(self.receipts), str(FOLDER / "exchange.jwks")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)
        assert not done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == (1 if found else 0)
        return [(each["word"], each["epoch"], each["seq"]) for each in found]


def spoilt(case: dict[str, Any], folder: Path) -> Spoilt:
    ledger, receipts = folder / "ledger.jws", folder / "receipts.jws"
    lines = [GOOD[line - 1] if isinstance(line, int) else line for line in case["lines"]]
    ledger.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    if case["receipts"] is None:
        return Spoilt(ledger, FOLDER / "good.receipts")
    receipts.write_text("".join(f"{line}\n" for line in case["receipts"]), encoding="ascii")
    return Spoilt(ledger, receipts if case["receipts"] else None)


def test_the_good_ledger_is_good_to_both() -> None:
    for receipts in (FOLDER / "good.receipts", None):
        whole = Spoilt(FOLDER / "good.jws", receipts)
        assert whole.judged_here() == []
        assert whole.judged_in_node() == []


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_tampering_is_found_by_both(case: dict[str, Any], tmp_path: Path) -> None:
    expected = tuple(case["finding"].values())
    vector = spoilt(case, tmp_path)
    ours, theirs = vector.judged_here(), vector.judged_in_node()
    assert expected in ours
    assert set(ours) == set(theirs)


def test_pruned_beginnings_are_vouched_for_by_a_receipt(tmp_path: Path) -> None:
    # The first receipt of the vectors ends with record 9.
    for kept, good in (([1, *range(10, 38)], True), ([*range(10, 38)], False), ([1, *range(9, 38)], False)):
        vector = spoilt({"lines": kept, "receipts": None}, tmp_path)
        ours, theirs = vector.judged_here(), vector.judged_in_node()
        assert (not ours) == good
        assert set(ours) == set(theirs)
    unvouched = spoilt({"lines": [1, *range(10, 38)], "receipts": []}, tmp_path)
    assert unvouched.judged_here()[0] == unvouched.judged_in_node()[0] == ("sequence", EPOCH, 10)


@pytest.mark.parametrize(("reason", "good"), [("storage-loss", True), ("restore", True), ("operator", False)])
def test_only_a_site_that_lost_its_ledger_may_leave_a_hole(reason: str, good: bool, tmp_path: Path) -> None:  # noqa: FBT001
    site = VectorSite()
    site.open(interval_s=DUR_S)
    site.measured(DAY_START_S + 2 * DUR_S, 100, 10)
    before = {"epoch": EPOCH, "seq": 3, "head_hash": hash_text(site.records[EPOCH, 3])}
    site.open(SECOND_EPOCH, at=utc(SECOND_EPOCH), reason=reason, interval_s=DUR_S, before=before)
    site.measured(DAY_START_S + 12 * DUR_S, 100, 10)
    ledger = tmp_path / "ledger.jws"
    ledger.write_bytes(b"".join(line + b"\n" for line in site.lines()))
    vector = Spoilt(ledger, None)
    assert (vector.judged_here() == []) == good
    assert set(vector.judged_here()) == set(vector.judged_in_node())


def test_the_vectors_are_what_is_committed() -> None:
    for name, text in files().items():
        assert (FOLDER / name).read_text(encoding="ascii") == text, (
            "python -m tests.world.ledger_vector_files"
        )
