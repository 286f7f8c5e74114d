"""The C programs: the server that all clients talk to, and the client that is the floor."""

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.figures import FOLDER
from benchmarks.machine import server_core

SERVER, CLIENT = FOLDER / "server", FOLDER / "client"
ENDS_WITHIN_S = 10.0


def build_programs() -> None:
    """Compile what has changed."""
    root = Path(__file__).resolve().parents[2]
    subprocess.run(["make", "--silent", "bench-programs"], cwd=root, check=True)


class Peer:
    """The server in a process of its own, on a core of its own.

    Args:
        silent_every: every so many-th connection never answers; 0 = all do.
        silent_unit: a unit that never answers on any connection; 0 = all do.
    """

    def __init__(self, *, silent_every: int = 0, silent_unit: int = 0) -> None:
        self._options = ["--silent-every", str(silent_every)]
        if silent_unit:
            self._options += ["--silent-unit", str(silent_unit)]
        self.port = 0
        """Where it listens, on every loopback address."""
        self.answered: dict[str, int] = {}
        """After its end: reads, writes and refusals."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [SERVER, *self._options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        os.sched_setaffinity(self._process.pid, {server_core()})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start: {self._process.wait()}")
        self.port = int(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The end of its input is its end: it cannot outlive us.
        said, _ = self._process.communicate(timeout=ENDS_WITHIN_S)
        self.answered = json.loads(said)
