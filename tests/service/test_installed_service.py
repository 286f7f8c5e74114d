"""The installed service under a real systemd: from the first installation to a reload."""

import asyncio
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from drivers.profile import Role
from drivers.profiles import load_profile
from sim_devices.configuration import PlantDevice, config_toml
from sim_devices.layout import Circuit
from tests.service.installed_site import UNIT, InstalledSite
from tests.service.machine import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOWER = 0.45
"""As a share of the plant's power at full load."""
NEW, GONE, MOVED = "m-01-03", "m-01-05", "m-01-08"
"""To a reload."""


async def test_it_installs_without_a_network_and_starts_nothing(site: InstalledSite) -> None:
    await site.install_previous()

    assert (await site.machine.shown(UNIT, "ActiveState"))["ActiveState"] == "inactive"
    said = await site.machine.done("quotawatt", "--version")
    assert said.startswith("quotawatt ")
    conffiles = await site.machine.done("dpkg-query", "-W", "-f", "${Conffiles}", "quotawatt")
    assert [line.split()[0] for line in conffiles.splitlines()] == ["/etc/quotawatt/site.toml"]
    page = await site.machine.done("gzip", "-dc", "/usr/share/man/man1/quotawatt.1.gz")
    completion = await site.machine.done("cat", "/usr/share/bash-completion/completions/quotawatt")
    await site.machine.done("bash", "-n", "/usr/share/bash-completion/completions/quotawatt")
    for word in ("run", "check", "ledger", "--print-network"):
        assert word.replace("-", "\\-") in page
        assert word in completion


async def test_it_makes_a_key_that_only_root_can_read(site: InstalledSite) -> None:
    keys = "/etc/quotawatt/keys"

    await site.machine.done("quotawatt", "keys", "new", f"{keys}/site")

    stats = await site.machine.done("stat", "-c", "%u %a", keys, f"{keys}/site.jwk")
    assert stats.splitlines() == ["0 700", "0 600"]
    await site.machine.done("rm", f"{keys}/site.jwk", f"{keys}/site.pub.jwk")


async def test_a_mistake_at_the_start_ends_it_once_and_shows_the_cure(site: InstalledSite) -> None:
    site.hand_over_key()
    site.configure_service(interval_s="7")

    started = await site.machine.run("systemctl", "start", UNIT)

    assert started.code != 0
    await asyncio.sleep(3)
    shown = await site.machine.shown(UNIT, "ExecMainStatus", "NRestarts", "ActiveState")
    assert shown == {"ExecMainStatus": "78", "NRestarts": "0", "ActiveState": "failed"}
    screen = (await site.machine.run("systemctl", "status", "--no-pager", "-l", UNIT)).out
    assert "/etc/quotawatt/site.toml: site.interval_s: is 7, which does not divide 86400; write 60" in screen
    assert len(screen.splitlines()) <= 24


async def test_a_key_that_anybody_can_read_is_refused_with_the_cure(site: InstalledSite) -> None:
    site.configure_service()
    keys = site.machine.root / "etc/quotawatt/keys"
    keys.chmod(0o755)
    (keys / "site.jwk").chmod(0o644)

    await site.machine.run("systemctl", "start", UNIT)

    screen = (await site.machine.run("systemctl", "status", "--no-pager", "-l", UNIT)).out
    assert "chmod 600 /etc/quotawatt/keys/site.jwk" in screen
    assert len(screen.splitlines()) <= 24
    shown = await site.machine.shown(UNIT, "ExecMainStatus", "NRestarts", "ActiveState")
    assert shown == {"ExecMainStatus": "78", "NRestarts": "0", "ActiveState": "failed"}
    keys.chmod(0o700)
    (keys / "site.jwk").chmod(0o600)
    await site.machine.done("systemctl", "reset-failed", UNIT)


async def test_it_is_active_when_it_says_so(site: InstalledSite) -> None:
    await site.serve()

    assert (await site.machine.shown(UNIT, "Type", "ActiveState", "SubState")) == {
        "Type": "notify",
        "ActiveState": "active",
        "SubState": "running",
    }
    assert "limit" in await site.status()


async def test_it_runs_as_a_user_of_its_own_in_its_sandbox(site: InstalledSite) -> None:
    pid = await site.main_pid()
    status = await site.machine.done("cat", f"/proc/{pid}/status")

    uid = re.search(r"^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$", status, re.MULTILINE)
    assert uid is not None
    assert len(set(uid.groups())) == 1
    assert int(uid[1]) >= 1000
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)
    exposure = await site.machine.done("systemd-analyze", "security", "--offline=true", UNIT)
    assert float(exposure.split("Overall exposure level for")[1].split()[1]) <= 1.1
    verified = await site.machine.run("systemd-analyze", "verify", "--man=no", UNIT)
    # Unknown keys are only warned about.
    assert (verified.code, verified.err) == (0, "")


async def test_its_key_is_readable_by_it_alone(site: InstalledSite) -> None:
    credential = f"/run/credentials/{UNIT}/keys_site.jwk"
    pid = await site.main_pid()
    uid = (await site.machine.done("stat", "-c", "%u", f"/proc/{pid}")).strip()

    for user, may in ((uid, True), ("65534", False)):
        as_user = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs")
        for file, readable in ((credential, may), ("/etc/quotawatt/keys/site.jwk", False)):
            assert ((await site.machine.run(*as_user, "cat", file)).code == 0) is readable, (user, file)
    environ = await site.machine.done("cat", f"/proc/{pid}/environ")
    secret = json.loads((site.folder / "site.jwk").read_text(encoding="ascii"))["d"]
    assert secret not in environ


async def test_it_holds_the_quota(site: InstalledSite) -> None:
    await site.steady(site.quota_w)


async def test_a_reload_takes_a_good_file(site: InstalledSite) -> None:
    pid = await site.main_pid()
    lower_mw = site.share_w(LOWER) / 1e6

    site.configure_service(contract_max_mw=f"{lower_mw:.6f}", failsafe_mw=f"{lower_mw / 2:.6f}")
    await site.reload()

    await site.steady(round(lower_mw * 1e6))
    site.configure_service()
    await site.reload()
    await site.dispatch.state_like(PATIENCE_S, limit_w=site.quota_w)
    assert await site.main_pid() == pid


async def test_a_reload_takes_devices_in_and_out_and_elsewhere(site: InstalledSite) -> None:
    pid, lower_mw = await site.main_pid(), site.share_w(LOWER) / 1e6
    limits = {"contract_max_mw": f"{lower_mw:.6f}", "failsafe_mw": f"{lower_mw / 2:.6f}"}
    site.configure_service(plant=_plant_without(site, NEW), **limits)
    assert "reloaded, devices: 2 removed" in await site.reload()
    await site.steady(round(lower_mw * 1e6))
    assert site.plant.connections(NEW) == frozenset()
    stay = [
        device.id
        for device in site.plant.devices
        if device.address.startswith("modbus:")
        and device.role is not Role.PDU
        and device.id not in {NEW, GONE}
    ]
    before = {device: site.plant.connections(device) for device in stay}
    assert all(len(connections) == 1 for connections in before.values()), before

    # Everything at once, with a limit on top.
    annex = [site.plant.truth.fleet.index[name] for name in (NEW, MOVED)]
    annex_w = round(0.7 * sum(load_profile(_device(site, name).profile).nameplate_w for name in (NEW, MOVED)))
    lower_mw *= 0.95
    limits["contract_max_mw"] = f"{lower_mw:.6f}"
    site.configure_service(plant=_plant_without(site, GONE, annex_w), **limits)
    gone = site.plant.truth.fleet.index[GONE]
    left_w = site.setpoints()[gone]

    assert "reloaded, devices: 1 added, 1 removed, 1 changed | " in await site.reload()
    await site.steady(round(lower_mw * 1e6))

    assert {device: site.plant.connections(device) for device in stay} == before
    assert site.plant.connections(GONE) == frozenset()
    np.testing.assert_array_equal(site.setpoints()[gone], left_w)
    assert len(site.plant.connections(NEW)) == 1
    assert site.plant.truth.fleet.draw_w[annex].sum() <= annex_w
    assert await site.main_pid() == pid


async def test_a_reload_misses_no_poll_of_who_stays(site: InstalledSite) -> None:
    missed = []
    # A busy machine may lose one at any time: what a reload loses, it loses each time.
    for without in (NEW, GONE, NEW):
        site.configure_service(plant=_plant_without(site, without))
        before = await site.missed_polls()
        assert "reloaded, devices: 1 added, 1 removed" in await site.reload()
        await asyncio.sleep(3)
        missed.append(await site.missed_polls() - before)
        if not missed[-1]:
            break
    assert missed[-1] == 0, missed
    site.configure_service()
    assert "reloaded, devices:" in await site.reload()
    await site.steady(site.quota_w)


def _device(site: InstalledSite, name: str) -> PlantDevice:
    (device,) = (device for device in site.plant.devices if device.id == name)
    return device


def _plant_without(site: InstalledSite, absent: str, annex_w: int | None = None) -> str:
    """Circuits and devices but for one; with two of them on a circuit of their own.

    What measures more loads than are configured contradicts them, which is another story: no PDU either.
    """
    devices = [
        replace(
            device, fed_by=None, circuit="annex" if annex_w and device.id in {NEW, MOVED} else device.circuit
        )
        for device in site.plant.devices
        if device.id != absent and device.role is not Role.PDU
    ]
    annex = () if annex_w is None else (Circuit("annex", annex_w),)
    return config_toml((*site.plant.circuits, *annex), devices)


async def test_a_reload_refuses_a_broken_file_and_says_so(site: InstalledSite) -> None:
    pid, before = await site.main_pid(), site.plant.connections(GONE)
    site.configure_service(plant=_plant_without(site, GONE), interval_s="7")

    async with site.no_setpoint_moves():
        assert "reload refused: /etc/quotawatt/site.toml: site.interval_s: is 7" in await site.reload()
        assert await site.active()
        assert await site.main_pid() == pid
        await asyncio.sleep(2)
    assert site.dispatch.state["limit_w"] == site.quota_w
    assert site.plant.connections(GONE) == before
    assert len(before) == 1
    site.configure_service()
    assert "refused" not in await site.reload()


async def test_a_stop_takes_less_than_ten_seconds_and_keeps_the_setpoints(site: InstalledSite) -> None:
    async with site.no_setpoint_moves():
        begun_s = site.now_s()
        await site.machine.done("systemctl", "stop", UNIT)
        assert site.now_s() - begun_s < 10
        await site.dispatch.state_like(PATIENCE_S, online=False)
    shown = await site.machine.shown(UNIT, "Result", "ExecMainStatus")
    assert shown == {"Result": "success", "ExecMainStatus": "0"}


async def test_it_starts_with_all_drop_ins(site: InstalledSite) -> None:
    drop_ins = site.machine.root / "etc/systemd/system/quotawatt.service.d"
    for name in ("serial.conf", "network.conf", "encrypted.conf"):
        shutil.copy(site.machine.root / "usr/share/doc/quotawatt" / name, drop_ins)
    config = ("--config", "/etc/quotawatt/site.toml")
    said = await site.machine.done("quotawatt", "check", *config, "--print-network")
    allowed = said.partition("/network.conf\n")[2]
    assert "IPAddressAllow=" in allowed
    with (drop_ins / "network.conf").open("a", encoding="ascii") as network:
        network.write(allowed)
    key = "/etc/quotawatt/keys/site.jwk"
    await site.machine.done(
        *("systemd-creds", "encrypt", "--with-key=host", "--name=keys_site.jwk", key, f"{key}.cred")
    )
    await site.machine.done("rm", key)
    await site.machine.done("systemctl", "daemon-reload")

    await site.machine.done("systemctl", "start", UNIT)

    assert await site.active()
    assert (await site.machine.done("ls", f"/run/credentials/{UNIT}")).split() == ["keys_site.jwk"]
    shown = await site.machine.shown(UNIT, "DevicePolicy", "IPAddressDeny", "SupplementaryGroups")
    assert shown["DevicePolicy"] == "closed"
    assert shown["SupplementaryGroups"] == "dialout"
    assert set(shown["IPAddressDeny"].split()) == {"0.0.0.0/0", "::/0"}
    verified = await site.machine.run("systemd-analyze", "verify", "--man=no", UNIT)
    assert (verified.code, verified.err) == (0, "")
