"""`quotawatt check` as people and scripts run it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from daemon import __version__
from tests.world.profile_texts import LOAD
from tests.world.site_files import GOOD, write_site

QUOTAWATT = Path(sys.executable).with_name("quotawatt")


def quotawatt(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([QUOTAWATT, *arguments], capture_output=True, text=True, check=False, timeout=30)


def test_a_good_configuration_ends_with_0(tmp_path: Path) -> None:
    ended = quotawatt("check", "--config", write_site(tmp_path))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{tmp_path}/site.toml: good: site lhe-01, 253 devices, 2 circuits\n"


def test_mistakes_come_a_line_each_and_end_with_78(tmp_path: Path) -> None:
    path = write_site(tmp_path, GOOD.replace("300", "7").replace("failsafe_mw", "failsafe_mv"))

    ended = quotawatt("check", "--config", path)

    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr.splitlines() == [
        (
            f"{path}: site.failsafe_mw: is missing; write the limit in MW while nobody with "
            "authority speaks, a number from 0 such as 5.0"
        ),
        (
            f"{path}: site.interval_s: is 7, which does not divide 86400; "
            "write 60, 300, 900 or 3600, for example"
        ),
        f"{path}: site.failsafe_mv: is not a known key; did you mean 'failsafe_mw'?",
    ]


def test_the_network_is_listed_for_the_firewall(tmp_path: Path) -> None:
    text = GOOD.replace("{0-1}.{1-120}", "0.{1-2}").replace("pdu-{1-12}/{1-20}", "pdu-1/{1-2}")

    ended = quotawatt("check", "--config", write_site(tmp_path, text), "--print-network", "--json")

    network = json.loads(ended.stdout)["network"]
    assert [
        f"{item['purpose']} {item['protocol']} {item['host']}:{item['port']}" for item in network[:6]
    ] == [
        "listen http 127.0.0.1:8480",
        "broker mqtts broker.example:8883",
        "exchange https exchange.example:443",
        "device modbus 10.0.0.5:502",
        "device modbus 10.1.0.1:502",
        "device modbus 10.1.0.2:502",
    ]
    assert len(network) == 3 + 1 + 2 + 12


def test_the_drop_in_for_the_unit_allows_these_and_no_other(tmp_path: Path) -> None:
    text = GOOD.replace("{0-1}.{1-120}", "0.{1-2}").replace("pdu-{1-12}/{1-20}", "pdu-1/{1-2}")

    ended = quotawatt("check", "--config", write_site(tmp_path, text), "--print-network")

    lines = ended.stdout.splitlines()
    drop_in = lines[lines.index("[Service]") :]
    assert drop_in[:5] == [
        "[Service]",
        "IPAddressDeny=any",
        "IPAddressAllow=localhost",
        "IPAddressAllow=10.0.0.5/32",
        "IPAddressAllow=10.1.0.1/32",
    ]
    assert drop_in[-1].startswith("# exchange.example is a name: ")


def test_mistakes_as_json(tmp_path: Path) -> None:
    ended = quotawatt("check", "--config", tmp_path / "absent.toml", "--json")

    assert ended.returncode == 78
    assert json.loads(ended.stdout)["ok"] is False


@pytest.mark.parametrize("arguments", [["check"], ["chekc"], ["check", "--confg", "a"]])
def test_wrong_usage_ends_with_2_and_no_traceback(arguments: list[str]) -> None:
    ended = quotawatt(*arguments)

    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_version_and_help() -> None:
    assert quotawatt("--version").stdout == f"quotawatt {__version__}\n"
    listed = quotawatt("--help").stdout
    for name in ("run", "check", "status", "keys", "send", "probe", "demo", "sim"):
        assert f"\n  {name} " in listed
    assert "Example: quotawatt check" in quotawatt("check", "--help").stdout


def test_what_is_only_measured_is_said(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(LOAD.replace('trust = "simulated"', 'trust = "vendor-doc"'))
    device = (
        '[[devices]]\nid = "x-{1-3}"\nprofile = "my.toml"\ncircuit = "feeder-1"\n'
        'address = "modbus://10.9.0.1:502/{1-3}"\n'
    )
    path = write_site(tmp_path, GOOD + device)

    text, found = quotawatt("check", "--config", path), quotawatt("check", "--config", path, "--json")

    notice = (
        "3 of profile my are measured only: it is vendor-doc, never tried on hardware; "
        "to order them write allow_unverified_writes = true"
    )
    assert (text.returncode, text.stdout.splitlines()[1:]) == (0, [f"note: {notice}"])
    assert json.loads(found.stdout)["notices"] == [notice]
