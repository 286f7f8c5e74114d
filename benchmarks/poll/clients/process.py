"""What every client in Python does around its work: its event loop, its descriptors, its window."""

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from benchmarks.poll.load import Load, Outcome


def main(work: Callable[[Load, int], Awaitable[Outcome]]) -> None:
    """Do what the arguments say."""
    load, port = Load.from_json(sys.argv[1]), int(sys.argv[2])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def to_the_end() -> Outcome:
        return await work(load, port)

    factory = uvloop.new_event_loop if load.client.on_uvloop else None
    with asyncio.Runner(loop_factory=factory) as runner:
        print(runner.run(to_the_end()).to_json())


class Window:
    """CPU and wall time, and time spent waiting for the core, from its making to `close`."""

    def __init__(self) -> None:
        self._wall, self._cpu, self._waited = time.monotonic(), _cpu_s(), _waited_s()
        self.cpu_s = self.wall_s = self.waited_s = 0.0

    def close(self) -> None:
        """Take the times."""
        self.cpu_s = _cpu_s() - self._cpu
        self.wall_s = time.monotonic() - self._wall
        self.waited_s = _waited_s() - self._waited


def most_memory_mb() -> float:
    """The most that this process had in memory, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def process_age_s() -> float:
    """Since this process was started, the interpreter's own start included."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    started = int(fields[19]) / 100  # clock ticks since boot; USER_HZ is 100 on Linux
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _waited_s() -> float:
    """Of the main thread, on the queue of its core."""
    return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) * 1e-9


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
