"""A site whose daemon is the installed service: plant, broker and exchange on the same loopback."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np

from daemon.config.settings import MqttProtocol
from tests.service.machine import PATIENCE_S, Machine
from tests.world.brokers import Reachable
from tests.world.daemon_child import ROOT
from tests.world.mosquitto import mosquitto
from tests.world.real_site import RealSite
from tests.world.wire import Wire

UNIT = "quotawatt.service"
CONFIG = "etc/quotawatt/site.toml"
STATE = "/var/lib/private/quotawatt"
STATE_MIB = 24
"""The disk that the service's state lies on: little enough to be filled at once."""
PREVIOUS = "0.0.1"
"""The version of the package that is there to be upgraded from."""
QUOTA = 0.6
"""As a share of the plant's power at full load."""
INTERVAL_S = 10
CONTROL = {"ramp_up_pct_per_min": 0.001, "lease_timeout_s": 60}
"""Nothing rises again: what has been ordered once is moved by a mistake alone, not by fine work.

And a lease outlasts any restart, on a busy machine too.
"""
LOOK_S = 0.05
QUIET_S = 4.0
"""Longer than a load may take from one cycle's order to the next cycle's."""


class InstalledSite(RealSite):
    """Writes the configuration where the package reads it, and looks at the service."""

    machine: Machine
    wire: Wire
    """Between the service and the broker; the dispatcher has a connection of its own."""

    def configure_service(self, *, plant: str | None = None, **changes: str) -> None:
        """Write /etc/quotawatt/site.toml.

        Args:
            plant: circuits and devices, in place of the plant's own.
            changes: other values of single keys.
        """
        self.configure()
        text = self.config.read_text(encoding="utf-8")
        if plant is not None:
            text = text.replace(self.plant.config_toml(), plant)
        text = text.replace('state_dir = "state"', 'state_dir = "/var/lib/quotawatt"')
        text = text.replace('site = "site.jwk"', 'site = "keys/site.jwk"')
        text = text.replace(f'url = "{self.broker.url}"', f'url = "mqtt://127.0.0.1:{self.wire.port}"')
        for key, value in changes.items():
            lines = [
                f"{key} = {value}" if line.startswith(f"{key} = ") else line for line in text.split("\n")
            ]
            text = "\n".join(lines)
        (self.machine.root / CONFIG).write_text(text, encoding="utf-8")

    def hand_over_key(self) -> None:
        """Put the site's key where the package wants it."""
        key = self.machine.root / "etc/quotawatt/keys/site.jwk"
        shutil.copy(self.folder / "site.jwk", key)
        key.chmod(0o600)

    async def install(self, version: str) -> None:
        """Install a version of the package, from its file alone."""
        (package,) = (ROOT / "dist").glob(f"quotawatt_{version}_*.deb")
        place = self.machine.root / "root" / package.name
        shutil.copy(package, place)
        # No index and no network: what is not in the file is not there.
        await self.machine.done(*("apt-get", "install", "-y", "--allow-downgrades", f"/root/{package.name}"))
        place.unlink()

    async def install_previous(self) -> None:
        """The first installation; the service's state will lie on a small disk of its own."""
        await self.machine.done("mkdir", "-m", "0700", "-p", "/var/lib/private")
        await self.machine.done(
            *("mount", "-t", "tmpfs", "-o", f"size={STATE_MIB}m,mode=0700", "state", "/var/lib/private")
        )
        await self.install(PREVIOUS)

    async def serve(self, *, watchdog_s: int | None = None) -> None:
        """Configure it as its operator would, and start it on a quota.

        `watchdog_s`: in place of the unit's, where it is waited for.
        """
        self.hand_over_key()
        self.configure_service()
        drop_in = self.machine.root / "etc/systemd/system/quotawatt.service.d/test.conf"
        drop_in.parent.mkdir(parents=True)
        watchdog = "" if watchdog_s is None else f"WatchdogSec={watchdog_s}\n"
        drop_in.write_text(f"[Service]\n{watchdog}RestartSec=1\n", encoding="ascii")
        await self.machine.done("systemctl", "daemon-reload")
        self.dispatch.leasing = True
        await self.dispatch.quota((0, self.quota_w))
        await self.machine.done("systemctl", "enable", "--now", UNIT)

    @property
    def quota_w(self) -> int:
        """What it holds."""
        return self.share_w(QUOTA)

    async def main_pid(self) -> int:
        """The daemon's process id, as the machine counts.

        Raises:
            AssertionError: there is none.
        """
        pid = int((await self.machine.shown(UNIT, "MainPID"))["MainPID"])
        assert pid > 1, await self.machine.done("systemctl", "status", "--no-pager", "-l", UNIT)
        return pid

    async def active(self) -> bool:
        """Whether systemd has heard that it is ready."""
        return (await self.machine.shown(UNIT, "ActiveState"))["ActiveState"] == "active"

    async def status(self) -> str:
        """The line that it gives for `systemctl status`."""
        return (await self.machine.shown(UNIT, "StatusText"))["StatusText"]

    async def restarted(self, before: int) -> int:
        """Wait until another process is ready; its id."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                shown = await self.machine.shown(UNIT, "MainPID", "ActiveState")
                pid = int(shown["MainPID"])
                if pid not in {0, before} and shown["ActiveState"] == "active":
                    return pid
                await asyncio.sleep(0.2)

    async def status_says(self, words: str) -> str:
        """Wait for words in the status line."""
        async with asyncio.timeout(PATIENCE_S):
            while words not in (line := await self.status()):  # noqa: ASYNC110  systemd is asked
                await asyncio.sleep(0.2)
        return line

    async def reload(self) -> str:
        """Have it read its files anew, as an operator would; the status when that is over."""
        before = await self._reloads()
        await self.machine.done("systemctl", "reload", UNIT)
        async with asyncio.timeout(PATIENCE_S):
            while await self._reloads() == before:  # noqa: ASYNC110  the journal is asked
                await asyncio.sleep(0.2)
        return await self.status_says("reload")

    async def _reloads(self) -> int:
        """How many have ended so far, in one way or the other."""
        said = await self.machine.journal(UNIT)
        return said.count('"configuration reloaded"') + said.count('"reload refused;')

    async def missed_polls(self) -> float:
        """What `/metrics` counts of them, with those that failed."""
        said = (await self.get("/metrics")).text
        counts = re.findall(r'^quotawatt_polls_total\{result="(\w+)"\} (\S+)$', said, re.MULTILINE)
        return sum(float(count) for result, count in counts if result != "ok")

    async def steady(self, limit_w: int) -> None:
        """Wait until the limit is in force and kept, and no more set-points are moved."""
        await self.dispatch.state_like(limit_w=limit_w, within_s=PATIENCE_S)
        await self.true_power_at_most(limit_w, within_s=PATIENCE_S)
        before, since_s = self.setpoints(), self.now_s()
        async with asyncio.timeout(PATIENCE_S):
            while self.now_s() - since_s < QUIET_S:
                await asyncio.sleep(0.2)
                if not np.array_equal(now := self.setpoints(), before, equal_nan=True):
                    before, since_s = now, self.now_s()

    def setpoints(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """What every load holds."""
        return self.plant.truth.fleet.ordered_w.copy()

    @contextlib.asynccontextmanager
    async def no_setpoint_moves(self) -> AsyncIterator[None]:
        """Fails if any load is ordered anything else within the block."""
        before, moved, late_s = self.setpoints(), [], 0.0

        async def watch() -> None:
            nonlocal late_s
            while True:
                now, looked_s = self.setpoints(), self.now_s()
                moved.extend(np.flatnonzero(~((now == before) | (np.isnan(now) & np.isnan(before)))).tolist())
                await asyncio.sleep(LOOK_S)
                late_s = max(late_s, self.now_s() - looked_s - LOOK_S)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
        said = await self.machine.journal(UNIT) if moved else ""
        assert moved == [], (
            f"loads {sorted(set(moved))} were ordered otherwise (the plant was held up for {late_s:.1f} s):"
            f"\n{said[-6000:]}"
        )


@contextlib.asynccontextmanager
async def installed_site(folder: Path, name: str) -> AsyncIterator[InstalledSite]:
    """A booted machine beside a site; nothing is installed yet. Its journal is kept under `name`.

    Raises:
        KeyError: there is no system to boot; `make service-test` gives one.
    """
    base = Path(os.environ["QUOTAWATT_BASE"])
    with _free(folder / "machine") as place:
        async with (
            Machine(base, place) as machine,
            mosquitto(folder) as broker,
            Wire(broker.port) as wire,
            InstalledSite(
                folder, Reachable(broker.url, MqttProtocol.AUTO, broker.url), control=CONTROL
            ) as site,
        ):
            site.machine, site.wire = machine, wire
            try:
                yield site
            finally:
                # For whoever asks why.
                log = ROOT / "build/service" / f"{name}.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text((await machine.run("journalctl", "--no-pager")).out, encoding="utf-8")


@contextlib.contextmanager
def _free(place: Path) -> Iterator[Path]:
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
