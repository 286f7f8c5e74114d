"""Our own simulator in a process of its own, in place of the server in C: MINERS GATEWAYS FILE."""

import asyncio
import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import uvloop

from benchmarks.machine import server_core
from benchmarks.poll.load import UNITS_BEHIND_GATEWAY
from sim_devices.plant import Plant

ROOT = Path(__file__).resolve().parents[2]
STEP_S = 1.0


class SimulatedSite:
    """Miners and a meter with their physics; every one, or its gateway, has an address of its own.

    Args:
        connections: miners with a connection of their own.
        gateways: each with 20 miners behind it.
    """

    def __init__(self, connections: int, gateways: int) -> None:
        self._connections, self._gateways = connections, gateways

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory()
        self.devices = Path(self._folder.name) / "devices.json"
        """What it listens for: `PlantDevice`s as JSON."""
        miners = self._connections + self._gateways * UNITS_BEHIND_GATEWAY
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(miners), str(self._gateways), str(self.devices)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        os.sched_setaffinity(self._process.pid, {server_core()})
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"the simulator did not start: {self._process.wait()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The end of its input is its end: it cannot outlive us.
        self._process.communicate()
        self._folder.cleanup()


async def _serve(miners: int, gateways: int, devices: Path) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    async with Plant(miners, pdus=0, gateways=gateways, step_s=STEP_S, remember=False) as plant:
        _announce(plant, devices)
        await ended.wait()


def _announce(plant: Plant, devices: Path) -> None:
    devices.write_text(json.dumps([asdict(device) for device in plant.devices]), encoding="utf-8")
    print("listening", flush=True)


def main() -> None:
    """Serve until standard input ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))


if __name__ == "__main__":
    main()
