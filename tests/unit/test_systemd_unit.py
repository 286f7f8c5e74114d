"""The unit says what the daemon's exit codes and notifications rely on, and systemd would take every line.

The second is checked here against systemd's own manual (systemd.unit, .service, .exec, .resource-control of
252, Debian 12's), so that it holds on a machine without systemd too.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from daemon.cli.exits import Exit
from daemon.config.open_files import RESERVE

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "quotawatt.service"
DROP_INS = ("serial.conf", "network.conf", "encrypted.conf")
LARGEST_SITE = 30_000
"""Devices, each with a connection of its own."""

BOOL = r"yes|no"
TIME = r"[0-9]+(ms|s|min|h)?"
NAMES = r"[a-z0-9.@-]+\.(target|service|socket)( [a-z0-9.@-]+\.(target|service|socket))*"
COMMAND = r"/[^ ]+( [^ ]+)*"
FOLDER = r"[a-z0-9-]+"
MODE = r"0[0-7]{3}"
FILTER = r"~?[@a-z0-9_-]+( [@a-z0-9_-]+)*"

DIRECTIVES: dict[str, dict[str, str]] = {
    "Unit": {
        "Description": r".+",
        "Documentation": r"man:[a-z]+\([1-8]\)",
        "Wants": NAMES,
        "After": NAMES,
        "StartLimitIntervalSec": TIME,
    },
    "Service": {
        "Type": r"simple|exec|forking|oneshot|dbus|notify|idle",
        "NotifyAccess": r"none|main|exec|all",
        "ExecStart": COMMAND,
        "ExecReload": COMMAND,
        "WatchdogSec": TIME,
        "TimeoutStartSec": TIME,
        "TimeoutStopSec": TIME,
        "Restart": r"no|on-success|on-failure|on-abnormal|on-watchdog|on-abort|always",
        "RestartSec": TIME,
        "RestartPreventExitStatus": r"[0-9]{1,3}( [0-9]{1,3})*",
        "DynamicUser": BOOL,
        "User": r"[a-z_][a-z0-9_-]*",
        "SupplementaryGroups": r"[a-z_][a-z0-9_-]*",
        "RuntimeDirectory": FOLDER,
        "RuntimeDirectoryMode": MODE,
        "Environment": r"[A-Z_]+=[^ ]+",
        "StateDirectory": FOLDER,
        "StateDirectoryMode": MODE,
        "ConfigurationDirectory": FOLDER,
        "ConfigurationDirectoryMode": MODE,
        "UMask": MODE,
        "LoadCredential": r"|[A-Za-z0-9._-]+:/[^ :]+",
        "LoadCredentialEncrypted": r"[A-Za-z0-9._-]+:/[^ :]+",
        "LimitNOFILE": r"[0-9]+(:[0-9]+)?",
        "OOMScoreAdjust": r"-?[0-9]{1,4}",
        "NoNewPrivileges": BOOL,
        "CapabilityBoundingSet": r"|CAP_[A-Z_]+( CAP_[A-Z_]+)*",
        "AmbientCapabilities": r"|CAP_[A-Z_]+( CAP_[A-Z_]+)*",
        "ProtectSystem": r"yes|no|full|strict",
        "ProtectHome": r"yes|no|read-only|tmpfs",
        "PrivateTmp": BOOL,
        "PrivateDevices": BOOL,
        "PrivateMounts": BOOL,
        "PrivateUsers": BOOL,
        "DevicePolicy": r"auto|closed|strict",
        "DeviceAllow": r"char-[A-Za-z]+ r?w?m?",
        "IPAddressDeny": r"any",
        "IPAddressAllow": r"localhost|[0-9a-f.:]+(/[0-9]+)?",
        "ProtectProc": r"noaccess|invisible|ptraceable|default",
        "ProcSubset": r"all|pid",
        "ProtectClock": BOOL,
        "ProtectHostname": BOOL,
        "ProtectKernelLogs": BOOL,
        "ProtectKernelModules": BOOL,
        "ProtectKernelTunables": BOOL,
        "ProtectControlGroups": BOOL,
        "RestrictAddressFamilies": r"~?AF_[A-Z0-9]+( AF_[A-Z0-9]+)*",
        "RestrictNamespaces": BOOL,
        "RestrictRealtime": BOOL,
        "RestrictSUIDSGID": BOOL,
        "RemoveIPC": BOOL,
        "LockPersonality": BOOL,
        "MemoryDenyWriteExecute": BOOL,
        "SystemCallArchitectures": r"native",
        "SystemCallFilter": FILTER,
        "SystemCallErrorNumber": r"E[A-Z]+",
    },
    "Install": {"WantedBy": NAMES},
}
"""Every directive that the unit may use, and what it may say."""
REPEATED = {"DeviceAllow", "IPAddressAllow", "LoadCredential", "LoadCredentialEncrypted", "SystemCallFilter"}
"""These add up; of any other the last line would silently win."""


class Setting(NamedTuple):
    """A line of the unit."""

    section: str
    name: str
    value: str


def settings_of(text: str) -> Iterator[Setting]:
    """The lines of a unit that systemd reads.

    Raises:
        ValueError: it would not read one of them.
    """
    section = ""
    for line in text.splitlines():
        if not line or line.startswith(("#", ";")):
            continue
        if header := re.fullmatch(r"\[([A-Za-z]+)\]", line):
            section = header[1]
            continue
        name, equals, value = line.partition("=")
        if not equals or not section or not re.fullmatch(r"[A-Za-z]+", name) or line.endswith("\\"):
            raise ValueError(f"no setting: {line!r}")
        yield Setting(section, name, value)


def mistakes(text: str) -> list[str]:
    """What systemd would not take, or would take for something else."""
    found: list[str] = []
    seen: set[str] = set()
    for section, name, value in settings_of(text):
        allowed = DIRECTIVES.get(section, {}).get(name)
        if allowed is None:
            found.append(f"[{section}] has no {name}")
        elif not re.fullmatch(allowed, value):
            found.append(f"{name} cannot be {value!r}")
        if name in seen and name not in REPEATED:
            found.append(f"{name} is there twice")
        seen.add(name)
    return found


@pytest.fixture
def unit() -> dict[str, list[str]]:
    """Values by name."""
    found: dict[str, list[str]] = {}
    for setting in settings_of(UNIT.read_text(encoding="utf-8")):
        found.setdefault(setting.name, []).append(setting.value)
    return found


@pytest.mark.parametrize("name", ["quotawatt.service", *DROP_INS])
def test_systemd_takes_every_line(name: str) -> None:
    assert mistakes((SYSTEMD / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("ProtectSystem=", "ProtectSytem=", "[Service] has no ProtectSytem"),
        ("[Install]\n", "", "[Service] has no WantedBy"),
        ("PrivateTmp=yes", "PrivateTmp=on please", "PrivateTmp cannot be 'on please'"),
        ("WatchdogSec=30", "WatchdogSec=thirty", "WatchdogSec cannot be 'thirty'"),
        ("ExecStart=/usr", "ExecStart=usr", "ExecStart cannot be 'usr/bin/quotawatt run"),
        ("\nUser=quotawatt", "\nUser=quotawatt\nUser=root", "User is there twice"),
    ],
)
def test_a_line_that_systemd_would_not_take_is_found(old: str, new: str, mistake: str) -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert old in text

    assert any(mistake in each for each in mistakes(text.replace(old, new)))


@pytest.mark.parametrize("line", ["Type notify", "Type = notify", "=notify", "ExecStart=/bin/true \\"])
def test_a_line_that_is_no_setting_is_found(line: str) -> None:
    with pytest.raises(ValueError, match="no setting"):
        mistakes(f"[Service]\n{line}\n")


def test_it_waits_for_ready_and_the_watchdog_and_restarts(unit: dict[str, list[str]]) -> None:
    assert unit["Type"] == ["notify"]
    assert unit["WatchdogSec"] == ["30"]
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]


def test_it_is_not_started_again_for_what_a_start_does_not_mend(unit: dict[str, list[str]]) -> None:
    (codes,) = unit["RestartPreventExitStatus"]

    assert [int(code) for code in codes.split()] == [Exit.USAGE, Exit.NOT_PERMITTED, Exit.CONFIGURATION]


def test_a_reload_is_a_signal(unit: dict[str, list[str]]) -> None:
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_its_user_is_made_for_it_and_its_keys_are_handed_to_it(unit: dict[str, list[str]]) -> None:
    assert unit["DynamicUser"] == ["yes"]
    assert unit["User"] == ["quotawatt"]
    assert unit["LoadCredential"] == ["keys:/etc/quotawatt/keys"]


def test_it_can_write_its_state_and_nothing_else(unit: dict[str, list[str]]) -> None:
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["StateDirectory"] == ["quotawatt"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["NoNewPrivileges"] == ["yes"]
    assert "AF_UNIX" in unit["RestrictAddressFamilies"][0].split()


def test_it_may_open_as_many_files_as_the_largest_site_needs(unit: dict[str, list[str]]) -> None:
    assert int(unit["LimitNOFILE"][0]) >= LARGEST_SITE + RESERVE
