"""`quotawatt ledger` over ledgers that the daemon's own parts have written."""

import asyncio
import csv
import io
import json
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from daemon.cli.ledger import app
from daemon.errors import StoreError
from sim_devices.exchange import Exchange
from tests.component.test_ledger_verifiers import VERIFIER
from tests.world.kept_ledger import POINTS, KeptLedger
from tests.world.site_files import SITE


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[KeptLedger]:
    held: list[KeptLedger] = []
    async with Exchange(clock=lambda: held[0].clock.wall() if held else 0.0) as exchange:
        held.append(KeptLedger(tmp_path, exchange))
        yield held[0]


def ledger(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


class Exported:
    """The files that a stranger is given."""

    def __init__(self, kept: KeptLedger, *options: str) -> None:
        self.records, self.receipts = kept.folder / "ledger.jws", kept.folder / "receipts.jws"
        self.site, self.exchange = kept.folder / "site.jwks", kept.folder / "exchange.jwks"
        done = ledger(
            "export", "--db", kept.database, "--out", self.records, "--receipts", self.receipts, *options
        )
        assert done.exit_code == 0, done.output
        self.site.write_text(json.dumps({"keys": [SITE.public_jwk()]}))
        self.exchange.write_text(
            json.dumps({"keys": [{**kept.exchange.public_jwk, "kid": kept.exchange.kid}]})
        )

    def verify(self, *options: str) -> Result:
        return ledger(
            "verify", self.records, "--trust", self.site,
            "--receipts", self.receipts, "--exchange-trust", self.exchange, *options,
        )  # fmt: skip

    def verify_in_node(self) -> subprocess.CompletedProcess[str]:
        words: list[str | Path] = ["node", VERIFIER, self.records, self.site, self.receipts, self.exchange]
        return subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)


async def test_what_the_daemon_wrote_is_good_to_both_verifiers(kept: KeptLedger) -> None:
    await kept.eventful_days()
    exported = Exported(kept)
    done = exported.verify("--json")
    told = json.loads(done.stdout)
    assert told["findings"] == []
    assert (done.exit_code, told["ok"], told["site"]) == (0, True, "lhe-01")
    assert len(told["epochs"]) == 3
    assert told["days"]["closed"] == 2
    assert exported.verify_in_node().stdout == ""
    assert told["wh"] == dict.fromkeys(POINTS, sum_of_registers(kept))


def sum_of_registers(kept: KeptLedger) -> int:
    """What the plant's register says from the first record to the last."""
    ends = [body for body in kept.metered.records() if body["reg_end_wh"] is not None]
    change = next(body for body in kept.metered.bodies if body.get("what") == "meter-changed")["detail"]
    swapped_wh = change["reg_end_wh"] - change["reg_start_wh"]
    return int(ends[-1]["reg_end_wh"] - ends[0]["reg_start_wh"] + swapped_wh)


async def test_a_replaced_tail_verifies_too(kept: KeptLedger) -> None:
    await kept.eventful_days()
    counting = len(Exported(kept).records.read_text().splitlines())
    whole = Exported(kept, "--audit")
    assert len(whole.records.read_text().splitlines()) > counting + 200
    assert whole.verify().exit_code == 0
    assert whole.verify_in_node().stdout == ""


async def test_a_cut_end_is_found_by_its_receipt(kept: KeptLedger) -> None:
    await kept.eventful_days()
    exported = Exported(kept)
    lines = exported.records.read_text().splitlines(keepends=True)
    exported.records.write_text("".join(lines[:-30]))
    done = exported.verify()
    assert done.exit_code == 1
    assert "the file has not got it" in done.output
    assert exported.verify_in_node().returncode == 1


async def test_an_edited_ledger_is_named_and_gone_past_in_a_new_epoch(kept: KeptLedger) -> None:
    store, held = await kept.open()
    await kept.run(held, 4_000)
    await kept.deliver(held)
    await kept.run(held, 2_000)
    await store.close()
    with sqlite3.connect(kept.database) as database:
        database.execute("UPDATE records SET jws = replace(jws, 'A', 'B') WHERE seq = 30")
    edited = Exported(kept).verify("--json")
    assert edited.exit_code == 1
    assert {each["seq"] for each in json.loads(edited.stdout)["findings"]} >= {30}
    store, held = await kept.open()
    assert held.damage is not None
    asked = await asyncio.to_thread(
        ledger, "new-epoch", "--db", kept.database, "--reason", "somebody edited record 30", "--json"
    )
    assert json.loads(asked.stdout)["requested"] is True
    await held.heed_operator()
    await kept.run(held, 2_000)
    await kept.deliver(held)
    await store.close()
    exported = Exported(kept)
    done = exported.verify()
    assert done.exit_code == 0, done.output
    assert exported.verify_in_node().stdout == ""


async def test_csv_and_json_hold_the_same_energy(kept: KeptLedger) -> None:
    await kept.eventful_days()
    rows = list(
        csv.DictReader(io.StringIO(ledger("export", "--db", kept.database, "--format", "csv").stdout))
    )
    told = json.loads(ledger("export", "--db", kept.database, "--format", "json").stdout)["records"]
    for point in POINTS:
        as_csv = sum(int(row["wh"] or 0) for row in rows if row["point"] == point)
        as_json = sum(each["record"]["wh"] or 0 for each in told if each["record"].get("point") == point)
        assert as_csv == as_json == sum_of_registers(kept)
    assert {row["kind"] for row in rows} == {"interval", "gap"}
    assert rows[-1]["receipted"] == "0"
    assert rows[0]["receipted"] == "1"


async def show(
    kept: KeptLedger, monkeypatch: pytest.MonkeyPatch, *options: str
) -> tuple[int, dict[str, Any]]:
    monkeypatch.setattr("daemon.cli.ledger_show.SystemClock", lambda: kept.clock)
    words: tuple[str | Path, ...] = ("show", "--config", kept.config, "--json", *options)
    done = await asyncio.to_thread(ledger, *words)
    return done.exit_code, json.loads(done.stdout) if done.stdout else {}


async def test_book_and_statement_agree(kept: KeptLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    store, held = await kept.open()
    await kept.run(held, 5_000)
    await kept.deliver(held)
    await kept.run(held, 2_000)
    await store.close()
    code, told = await show(kept, monkeypatch, "--statement")
    assert (code, told["differences"]) == (0, [])
    first, second = told["days"]
    assert (first["closed"], first["waiting"], first["statement"]["closed"]) == (True, 0, True)
    assert second["waiting"] > 0
    assert second["statement"]["count"] == second["receipted"]["count"] < second["count"]


async def test_every_difference_is_named(kept: KeptLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    store, held = await kept.open()
    await kept.run(held, 90_000)
    await kept.deliver(held)
    await store.close()
    kept.exchange.book.lose_last_day("lhe-01")
    code, told = await show(kept, monkeypatch, "--statement")
    last = told["days"][-1]["day"]
    assert code == 1
    assert {(each["day"], each["member"]) for each in told["differences"]} == {(last, "count")}
    assert told["differences"][0]["why"] == "the exchange has no data"
    with kept.exchange.book.transaction():
        kept.exchange.book._db.execute("UPDATE records SET wh = wh + 1 WHERE seq = 4")
    code, told = await show(kept, monkeypatch, "--statement", "--day", told["days"][0]["day"])
    assert code == 1
    assert {each["member"] for each in told["differences"]} == {"wh", "closed"}


async def test_a_silent_and_a_refusing_exchange_have_codes(
    kept: KeptLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, held = await kept.open()
    await kept.run(held, 2_000)
    await store.close()
    kept.exchange.faults.refuse(401, times=1)
    assert (await show(kept, monkeypatch, "--statement"))[0] == 77
    kept.exchange.faults.refuse(503, times=1)
    assert (await show(kept, monkeypatch, "--statement"))[0] == 69
    await kept.exchange.stop()
    assert (await show(kept, monkeypatch, "--statement"))[0] == 69
    assert (await show(kept, monkeypatch))[0] == 0


def test_a_users_mistakes_are_usage_errors(tmp_path: Path) -> None:
    absent, text = tmp_path / "absent", tmp_path / "text"
    text.write_text("x\n")
    for words in (
        ("verify", text, "--trust", absent),
        ("verify", text, "--trust", text),
        ("verify", text, "--trust", text, "--receipts", text),
        ("export",),
        ("export", "--db", absent, "--format", "xml"),
        ("export", "--db", absent, "--json"),
        ("new-epoch", "--reason", "x"),
    ):
        assert ledger(*words).exit_code == 2, words
    with pytest.raises(StoreError, match="no ledger here"):
        ledger("export", "--db", absent)
