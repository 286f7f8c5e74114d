"""The runbook knows every alarm, and the alert rules and the dashboard ask for metrics that there are."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from daemon.commands.words import Lane
from daemon.http.metrics import Metrics
from daemon.http.powers import Powers, powers_text
from daemon.uplink.alarms import UplinkAlarm

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
MONITORING = ROOT / "docs/monitoring"


def alarm_types() -> set[str]:
    """Every type that the daemon's code gives an `Alarm`."""
    found = {kind.value for kind in UplinkAlarm}
    for file in (ROOT / "daemon").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Alarm":
                kind = node.args[0]
                if isinstance(kind, ast.Constant):
                    found.add(str(kind.value))
                else:
                    # The uplink's, whose types are listed in `UplinkAlarm`.
                    assert ast.unparse(kind) == "kind.value", f"{file}: {ast.unparse(node)}"
    return found


def metric_names() -> set[str]:
    """Every sample that `/metrics` can show."""
    metrics = Metrics()
    metrics.limit(1, "quota")
    metrics.state("limited")
    metrics.devices({"ok": 1})
    metrics.polls({"ok": 1})
    metrics.messages_refused({("quota", "malformed"): 1})
    metrics.messages_dropped({Lane.QUOTA: 1})
    metrics.device_messages_dropped({"too-long": 1})
    metrics.alarms(["lease"])
    shown = powers_text(Powers({"hall-1": (1, 1)}, {"hash": 1}, {"m-1": 1}), devices=False)
    text = (generate_latest(metrics.registry) + shown).decode()
    return {re.split(r"[ {]", line)[0] for line in text.splitlines() if not line.startswith("#")}


def asked_for(text: str) -> set[str]:
    return set(re.findall(r"quotawatt_[a-z_]+", text))


def test_the_runbook_has_every_alarm_and_no_other() -> None:
    sections = set(re.findall(r"^### (\S+)$", RUNBOOK, re.MULTILINE))

    assert sections == alarm_types()


def sections() -> Iterator[tuple[str, str]]:
    for section in RUNBOOK.split("\n### ")[1:]:
        name, _, text = section.partition("\n")
        yield name, text.split("\n## ")[0]


@pytest.mark.parametrize(("name", "text"), list(sections()))
def test_every_alarm_has_what_to_do(name: str, text: str) -> None:
    del name
    assert "*Do:*" in text


@pytest.mark.parametrize("file", ["alerts.yml", "dashboard.json"])
def test_every_metric_that_is_asked_for_exists(file: str) -> None:
    asked = asked_for((MONITORING / file).read_text(encoding="utf-8"))

    assert len(asked) >= 8
    assert asked <= metric_names()


def test_the_dashboard_shows_every_metric() -> None:
    shown = asked_for(json.dumps(json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))))
    whole = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in metric_names()}

    assert whole - {re.sub(r"_bucket$", "", name) for name in shown} == set()


def test_labels_come_from_short_lists() -> None:
    """No label of a device, an address, a key or a message: a site of 30,000 devices has no more series."""
    text = generate_latest(Metrics().registry).decode()
    labels = set(re.findall(r'[{,]([a-z]+)="', text))

    assert labels <= {"le", "source", "state", "status", "result", "topic", "reason", "type"}
