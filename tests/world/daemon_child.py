"""The real daemon as a child process, and what it wrote to its log."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.world.finished import Finished, finished

ROOT = Path(__file__).parents[2]
STOP_S = 10.0
"""A stop may take so long."""
_OF_A_SERVICE_MANAGER = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"}


def quotawatt(*words: str) -> list[str]:
    """A command line of this checkout."""
    return [sys.executable, "-m", "daemon", *words]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process' environment without what a service manager would have put there."""
    kept = {name: text for name, text in os.environ.items() if name not in _OF_A_SERVICE_MANAGER}
    return {**kept, **(extra or {})}


async def run_quotawatt(*words: str, within_s: float = 30.0) -> Finished:
    """Run a command to its end; it is killed if it takes longer."""
    return await finished(*quotawatt(*words), within_s=within_s, cwd=ROOT, env=environment())


class DaemonChild:
    """`quotawatt run --config FILE`; every start appends to one log file."""

    def __init__(self, config: Path, log: Path) -> None:
        self.config = config
        self.log = log
        self.process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Start it; returns before it is ready."""
        assert not self.running
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *quotawatt("run", "--config", str(self.config)),
                cwd=ROOT,
                env=environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop; its exit code.

        Raises:
            TimeoutError: it takes longer than it may; it has been killed then.
        """
        assert self.process is not None
        self.signal(number)
        try:
            async with asyncio.timeout(STOP_S):
                return await self.process.wait()
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there to get it."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    def text(self) -> str:
        """The whole log."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def said(self, event: str, **members: Any) -> list[dict[str, Any]]:
        """The log lines with this `event` and these members."""
        wanted = {"event": event, **members}
        return [line for line in self.lines() if wanted.items() <= line.items()]

    def lines(self) -> list[dict[str, Any]]:
        """Every line that is JSON; a line that is none is somebody's traceback (`text`)."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def strays(self) -> list[str]:
        """Tracebacks, and lines that no logger wrote: warnings of Python or of libraries."""
        lines = self.text().splitlines()
        return [line for line in lines if not line.startswith("{") or '"exception": ' in line]
