"""The installed service through its packages: upgrade, downgrade, purge."""

import asyncio
import json

import pytest

import daemon
from tests.service.installed_site import INTERVAL_S, PREVIOUS, STATE, UNIT, InstalledSite
from tests.service.machine import PATIENCE_S
from tests.world.daemon_child import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEWER_SCHEMA = 1_000


async def test_an_upgrade_moves_no_setpoint_and_loses_no_energy(running: InstalledSite) -> None:
    site, pid = running, await running.main_pid()

    async with site.no_setpoint_moves():
        await site.install(daemon.__version__)
        await site.restarted(pid)
        await asyncio.sleep(3)
    installed = await site.machine.done("dpkg-query", "-W", "-f", "${Version}", "quotawatt")
    assert installed == daemon.__version__
    await site.book.holds(int(site.now_s() // INTERVAL_S * INTERVAL_S), within_s=PATIENCE_S)
    site.book.assert_unbroken(INTERVAL_S)
    assert site.book.assert_energy(site.plant.history) > 0


async def test_an_upgrade_keeps_what_the_operator_wrote(running: InstalledSite) -> None:
    assert "real-01" in await running.machine.done("cat", "/etc/quotawatt/site.toml")
    assert (await running.machine.shown(UNIT, "UnitFileState"))["UnitFileState"] == "enabled"


async def test_all_that_is_in_it_is_listed_beside_it(running: InstalledSite) -> None:
    (bom,) = (ROOT / "dist").glob(f"quotawatt_{daemon.__version__}_*.cdx.json")
    (licences,) = (ROOT / "dist").glob(f"quotawatt_{daemon.__version__}_*.licences.txt")
    installed = running.machine.root / "opt/quotawatt/lib/python3.11/site-packages"
    names = {folder.name.split("-")[0].lower() for folder in installed.glob("*.dist-info")} - {"quotawatt"}
    parts = json.loads(bom.read_text(encoding="utf-8"))["components"]

    assert {part["name"].lower().replace("-", "_") for part in parts} == names
    text = licences.read_text(encoding="utf-8")
    assert [name for name in names if name.replace("_", "-") not in text.lower().replace("_", "-")] == []
    assert await running.machine.done("cat", "/usr/share/doc/quotawatt/copyright") == text


async def test_a_downgrade_is_refused_by_the_store_once_and_says_why(running: InstalledSite) -> None:
    site = running
    await site.machine.done("systemctl", "stop", UNIT)
    # As a version with further migrations would have left it.
    newer = (
        f"import sqlite3; sqlite3.connect('{STATE}/site.db').execute('PRAGMA user_version={NEWER_SCHEMA}')"
    )
    await site.machine.done("/opt/quotawatt/bin/python3", "-c", newer)
    async with site.no_setpoint_moves():
        await site.install(PREVIOUS)

        started = await site.machine.run("systemctl", "start", UNIT)

        assert started.code != 0
        await asyncio.sleep(2)
    shown = await site.machine.shown(UNIT, "ExecMainStatus", "NRestarts", "ActiveState")
    assert shown == {"ExecMainStatus": "78", "NRestarts": "0", "ActiveState": "failed"}
    screen = (await site.machine.run("systemctl", "status", "--no-pager", "-l", UNIT)).out
    assert f"schema {NEWER_SCHEMA} was written by a newer quotawatt" in screen
    assert "install" in screen


async def test_a_package_that_cannot_start_is_installed_all_the_same(running: InstalledSite) -> None:
    """A package manager that stops half way is one more thing to mend."""
    site = running
    await site.machine.run("systemctl", "start", "--no-block", UNIT)
    await site.install(daemon.__version__)
    installed = await site.machine.done("dpkg-query", "-W", "-f", "${Status}", "quotawatt")
    assert installed == "install ok installed"


async def test_a_purge_leaves_nothing(running: InstalledSite) -> None:
    site = running
    known = await site.machine.done(
        "/opt/quotawatt/bin/python3",
        "-c",
        "from importlib import resources; "
        "print(sum(f.name.endswith('.sql') for f in resources.files('daemon.store.migrations').iterdir()))",
    )
    await stamp(site, int(known))
    await site.machine.done("systemctl", "start", UNIT)
    pid = await site.main_pid()

    await site.machine.done("apt-get", "purge", "-y", "quotawatt")

    assert (await site.machine.run("kill", "-0", str(pid))).code != 0
    for place in (
        "/opt/quotawatt",
        "/etc/quotawatt",
        STATE,
        "/var/lib/quotawatt",
        "/run/credentials/" + UNIT,
    ):
        assert (await site.machine.run("test", "-e", place)).code != 0, place
    assert (await site.machine.shown(UNIT, "LoadState"))["LoadState"] == "not-found"
    assert (
        await site.machine.done(
            "sh", "-c", "find / -xdev -user quotawatt 2>/dev/null; getent passwd quotawatt || true"
        )
    ) == ""


async def stamp(site: InstalledSite, version: int) -> None:
    """Say that the store is of this schema."""
    done = f"import sqlite3; sqlite3.connect('{STATE}/site.db').execute('PRAGMA user_version={version}')"
    await site.machine.done("/opt/quotawatt/bin/python3", "-c", done)
