"""The real daemon as a child process."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sim_devices.demo.errors import DemoError

STOP_S = 10.0
"""Within this the daemon has to end when told to."""
TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1
_OF_THE_SERVICE_MANAGER = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"}


class DaemonProcess:
    """`quotawatt run --config FILE`, with its output appended to a log file.

    It is not in the terminal's process group, so that Ctrl-C reaches it through `stop` alone; if this
    process goes away without a word it is told to stop by the kernel.
    """

    def __init__(self, config: Path, log: Path) -> None:
        self._config = config
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._told = False
        self._died = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Process id of the one that runs, or ran last."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it; returns before it is ready."""
        self._told = False
        environment = {name: text for name, text in os.environ.items() if name not in _OF_THE_SERVICE_MANAGER}
        # -P: a folder named daemon where the user stands is not ours.
        command = [sys.executable, "-P", "-m", "daemon", "run", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )
        self._watch = asyncio.create_task(self._wait(self._process), name="demo daemon watch")

    async def stop(self) -> int | None:
        """Tell it to stop; its exit code, or `None` if it had to be killed after `STOP_S`."""
        process = self._process
        if process is None:
            return 0
        self._told = True
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                return await process.wait()
        except TimeoutError:
            await self.kill()
            return None

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._told = True
            _signal(self._process, signal.SIGKILL)
            await self._process.wait()

    async def close(self) -> None:
        """Leave nothing behind."""
        await self.stop()
        if self._watch is not None:
            await self._watch

    async def guard(self) -> None:
        """Wait until it ends without having been told to.

        Raises:
            DemoError: it has; the end of its log is in the message.
        """
        await self._died.wait()
        code = None if self._process is None else self._process.returncode
        raise DemoError(f"the daemon ended by itself (exit code {code}); {self.tail()}")

    def tail(self) -> str:
        """Where its log is, and the log's last lines."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"the end of {self._log}:", *(f"  {line}" for line in lines)])

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        if not self._told:
            self._died.set()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        process.send_signal(number)


def _end_with_parent() -> Callable[[], None] | None:
    """What the child calls before it becomes the daemon; Linux only."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
