"""The unit says what the daemon's exit codes and notifications rely on."""

import shutil
import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[2] / "systemd" / "quotawatt.service"


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_it_waits_for_ready_and_the_watchdog_and_restarts() -> None:
    unit = settings()

    assert unit["Type"] == ["notify"]
    assert unit["WatchdogSec"] == ["30"]
    assert unit["Restart"] == ["always"]
    assert unit["RestartPreventExitStatus"] == ["2 77 78"]
    assert unit["StartLimitIntervalSec"] == ["0"]


def test_a_reload_checks_the_configuration_first() -> None:
    first, second = settings()["ExecReload"]

    assert " check --config " in first
    assert second == "/bin/kill -HUP $MAINPID"


def test_it_can_write_its_state_and_nothing_else() -> None:
    unit = settings()

    assert unit["ProtectSystem"] == ["strict"]
    assert unit["StateDirectory"] == ["quotawatt"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["NoNewPrivileges"] == ["yes"]
    assert "AF_UNIX" in unit["RestrictAddressFamilies"][0]


def test_systemd_understands_it(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:  # a machine without systemd; the other tests still hold
        return
    copy = tmp_path / "quotawatt.service"
    text = UNIT.read_text(encoding="utf-8").replace("/usr/bin/quotawatt", "/bin/true")
    copy.write_text(text, encoding="utf-8")

    said = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, check=False, timeout=30)

    assert (said.returncode, said.stderr) == (0, "")
