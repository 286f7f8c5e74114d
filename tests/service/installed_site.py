"""A site whose daemon is the installed service: plant, broker and exchange on the same loopback."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np

from daemon.config.settings import MqttProtocol
from tests.service.machine import Machine
from tests.service.wire import Wire
from tests.world.brokers import Reachable
from tests.world.mosquitto import mosquitto
from tests.world.real_site import RealSite

UNIT = "quotawatt.service"
CONFIG = "etc/quotawatt/site.toml"
STATE_MIB = 24
"""The disk that the service's state lies on: little enough to be filled at once."""


class InstalledSite(RealSite):
    """Writes the configuration where the package reads it, and looks at the service."""

    machine: Machine
    wire: Wire
    """Between the service and the broker; the dispatcher has a connection of its own."""

    def configure_service(self, *, more: str = "", **changes: str) -> None:
        """Write /etc/quotawatt/site.toml; `changes` = other values of single keys."""
        self.configure(more=more)
        text = self.config.read_text(encoding="utf-8")
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

    async def restarted(self, before: int, within_s: float = 30.0) -> int:
        """Wait until another process is ready; its id."""
        async with asyncio.timeout(within_s):
            while True:
                shown = await self.machine.shown(UNIT, "MainPID", "ActiveState")
                pid = int(shown["MainPID"])
                if pid not in {0, before} and shown["ActiveState"] == "active":
                    return pid
                await asyncio.sleep(0.2)

    async def status_says(self, words: str, within_s: float = 10.0) -> str:
        """Wait for words in the status line."""
        async with asyncio.timeout(within_s):
            while words not in (line := await self.status()):  # noqa: ASYNC110  systemd is asked
                await asyncio.sleep(0.2)
        return line

    async def steady(self, limit_w: int) -> None:
        """Wait until the limit is in force and kept, and no more set-points are moved."""
        await self.dispatch.state_like(limit_w=limit_w, within_s=30)
        await self.true_power_at_most(limit_w, within_s=30)
        before, since_s = self.setpoints(), self.now_s()
        async with asyncio.timeout(60):
            while self.now_s() - since_s < 3:
                await asyncio.sleep(0.2)
                if not np.array_equal(now := self.setpoints(), before, equal_nan=True):
                    before, since_s = now, self.now_s()

    def setpoints(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """What every load holds."""
        return self.plant.truth.fleet.ordered_w.copy()

    @contextlib.asynccontextmanager
    async def no_setpoint_moves(self) -> AsyncIterator[None]:
        """Fails if any load is ordered anything else within the block."""
        before, moved = self.setpoints(), []

        async def watch() -> None:
            while True:
                now = self.setpoints()
                moved.extend(np.flatnonzero(~((now == before) | (np.isnan(now) & np.isnan(before)))).tolist())
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
        assert moved == [], f"loads {sorted(set(moved))} were ordered otherwise"


@contextlib.asynccontextmanager
async def installed_site(folder: Path) -> AsyncIterator[InstalledSite]:
    """A booted machine beside a site; nothing is installed yet.

    Raises:
        KeyError: there is no system to boot; `make service-test` gives one.
    """
    base = Path(os.environ["QUOTAWATT_BASE"])
    with _free(folder / "machine") as place:
        async with (
            Machine(base, place) as machine,
            mosquitto(folder) as broker,
            Wire(broker.port) as wire,
            InstalledSite(folder, Reachable(broker.url, MqttProtocol.AUTO, broker.url)) as site,
        ):
            site.machine, site.wire = machine, wire
            yield site


@contextlib.contextmanager
def _free(place: Path) -> Iterator[Path]:
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
