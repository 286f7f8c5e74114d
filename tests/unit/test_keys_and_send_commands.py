"""`quotawatt keys` and `quotawatt send` where no broker is needed: files, mistakes, dry runs."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from daemon.cli.send import _plan_table
from daemon.signing import PrivateKey, PublicKey, loads, parse, verify

QUOTAWATT = str(Path(sys.executable).with_name("quotawatt"))


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [QUOTAWATT, *words], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    assert run("keys", "new", "op", folder=tmp_path).returncode == 0
    return PrivateKey.load(tmp_path / "op.jwk")


def test_a_new_pair_is_secret_and_public(tmp_path: Path, key: PrivateKey) -> None:
    assert (tmp_path / "op.jwk").stat().st_mode & 0o777 == 0o600
    public = json.loads((tmp_path / "op.pub.jwk").read_text())
    assert "d" not in public
    assert PublicKey.from_jwk(None, public) == key.public()


def test_a_key_is_never_overwritten(tmp_path: Path, key: PrivateKey) -> None:
    again = run("keys", "new", "op", folder=tmp_path)
    assert again.returncode == 1
    assert "op.jwk exists" in again.stderr
    assert PrivateKey.load(tmp_path / "op.jwk").kid == key.kid


def test_a_key_may_be_named(tmp_path: Path) -> None:
    made = run("keys", "new", "d", "--kid", "dispatch-1", "--json", folder=tmp_path)
    assert json.loads(made.stdout)["kid"] == "dispatch-1"
    assert PrivateKey.load(tmp_path / "d.jwk").kid == "dispatch-1"
    assert run("keys", "new", "e", "--kid", "a b", folder=tmp_path).returncode == 2


SEND = ("--mqtt", "mqtt://127.0.0.1:1", "--site", "lhe-01", "--key", "op.jwk")


def test_a_dry_run_prints_the_signed_message_and_sends_nothing(tmp_path: Path, key: PrivateKey) -> None:
    sent = run("send", "cmd", "hold", "--args", '{"limit_w": 5}', *SEND, "--dry-run", folder=tmp_path)
    assert sent.returncode == 0
    envelope = parse(sent.stdout.strip().encode())
    verify(envelope, key.public())
    claims = loads(envelope.payload)
    assert (claims["op"], claims["args"], claims["aud"]) == ("hold", {"limit_w": 5}, "lhe-01")
    assert claims["exp"] == claims["iat"] + 300
    assert 0 <= claims["seq"] // 1_000_000 - claims["iat"] <= 1


@pytest.mark.usefixtures("key")
def test_a_dry_run_as_json_names_the_topic(tmp_path: Path) -> None:
    sent = run("send", "lease", "--rev", "7", *SEND, "--dry-run", "--json", folder=tmp_path)
    assert json.loads(sent.stdout)["topic"] == "quotawatt/v1/lhe-01/lease"


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("cmd", "ping", "--args", "[]"), "--args: an object"),
        (("cmd", "ping", "--args", "{"), "--args: not JSON"),
        (("quota", "--rev", "1", "--file", "gone.json"), "gone.json: cannot be read"),
        (("quota", "--rev", "1", "--file", "bad.json"), "bad.json: schedule[0].limit_w"),
        (("cmd", "ping", "--mqtt", "http://x"), "'http://x' is no broker"),
        (("cmd", "ping", "--key", "op.pub.jwk"), "op.pub.jwk"),
        (("cmd", "ping", "--key", "open.jwk"), "chmod 600 open.jwk"),
        (("cmd", "ping", "--site-key", "op.jwk"), "private key"),
    ],
)
def test_a_mistake_is_a_line_and_exit_code_2(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    entry = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T01:00:00Z"}
    (tmp_path / "bad.json").write_text(json.dumps([entry]))
    (tmp_path / "open.jwk").write_text((tmp_path / "op.jwk").read_text())
    (tmp_path / "open.jwk").chmod(0o644)
    sent = run("send", words[0], *SEND, *words[1:], folder=tmp_path)
    assert sent.returncode == 2
    assert says in sent.stderr
    assert "Traceback" not in sent.stderr


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(("every", "code"), [("10", 0), ("10s", 0), ("0", 2), ("soon", 2)])
def test_a_lease_is_sent_every_so_many_seconds(tmp_path: Path, every: str, code: int) -> None:
    sent = run("send", "lease", "--rev", "7", "--every", every, *SEND, "--dry-run", folder=tmp_path)
    assert sent.returncode == code
    assert code == 0 or "like 10 or 10s" in sent.stderr


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--ca", "op.pub.jwk"), "not encrypted"),
        (("--mqtt", "mqtts://127.0.0.1", "--cert", "op.pub.jwk"), "--cert and --cert-key go together"),
        (("--mqtt", "mqtts://127.0.0.1", "--ca", "gone.pem"), "gone.pem: there is no such file"),
    ],
)
def test_files_for_tls_that_do_not_fit_are_a_mistake(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    sent = run("send", "cmd", "ping", *SEND, *words, folder=tmp_path)
    assert sent.returncode == 2
    assert says in sent.stderr


def test_a_plan_is_shown_as_a_table() -> None:
    plan = {
        "limit_w": 5_000_000,
        "target_w": 4_600_000,
        "uncontrolled_w": 370_000,
        "margin_w": 30_000,
        "lowest_w": None,
        "reached": False,
        "loads": {"off": 7, "reduced": 1, "full": 200},
        "seconds": 21,
    }
    console = Console(width=80, file=io.StringIO())
    console.print(_plan_table(plan))
    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert lines[0] == "under a limit of 5.000 MW"
    assert "left for loads 4.600 MW" in lines
    assert "loads 7 off, 1 reduced, 200 full" in lines
    assert "lowest that can be reached not known" in lines
    assert "the limit is NOT reached" in lines
