"""A real mosquitto on a free loopback port, for one test."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

BINARY = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Mosquitto:
    """A broker that can be stopped and started again on the same port; it forgets everything in between."""

    port: int
    folder: Path
    options: str = "allow_anonymous true\n"
    """Further lines of its configuration."""
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def start(self) -> None:
        assert BINARY is not None, "mosquitto is missing: apt-get install mosquitto"
        config = self.folder / f"mosquitto-{self.port}.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nmax_queued_messages 1000\n{self.options}")
        self.process = await asyncio.create_subprocess_exec(
            BINARY,
            "-c",
            str(config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            while not await self._listens():
                assert self.process.returncode is None, "mosquitto ended at once"
                await asyncio.sleep(0.02)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()
        self.process = None


@asynccontextmanager
async def mosquitto(folder: Path, options: str = Mosquitto.options) -> AsyncIterator[Mosquitto]:
    """A broker with its files in `folder`."""
    broker = Mosquitto(free_port(), folder, options)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
