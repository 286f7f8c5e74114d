"""`python -m benchmarks.simulator`: what a request costs the simulated plant, beside the server in C.

The client is a plain one on uvloop in a process of its own; both servers get the same requests, in turn.
"""

import argparse
import asyncio
import json
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.figures import Figure, Finding, at_least, at_most, below, tell
from benchmarks.machine import client_core, server_core
from benchmarks.poll.peer import SERVER, build_programs

ROOT = Path(__file__).resolve().parents[1]
QUOTAWATT = Path(sys.executable).with_name("quotawatt")
REGISTERS = 17
"""Every model of miner has so many."""
TICK_S = 0.02
TICKS = 50
"""In a second: each connection has its own, and is asked once a second."""
SETTLE_S = 3
CONNECTING = 200
"""At a time."""


@dataclass(frozen=True, slots=True)
class Site:
    """Who is asked, and how often."""

    name: str
    miners: int
    gateways: int
    paced: bool
    """Every unit once a second; else as fast as it goes."""


SITES = (
    Site("1,000 units, saturated", 1000, 0, paced=False),
    Site("1,000 units behind 50 gateways, saturated", 1000, 50, paced=False),
    Site("30,000 units every second, half of them behind 750 gateways", 30_000, 750, paced=True),
)


@dataclass(frozen=True, slots=True)
class Round:
    """What a window of one server was."""

    site: str
    server: str
    requests: int
    wall_s: float
    cpu_s: float
    """User and system time of the server's process."""
    missed: int
    """Not asked, since an answer was still out."""
    errors: int
    rss_mb: float

    @property
    def us(self) -> float:
        """CPU for a request, µs."""
        return 1e6 * self.cpu_s / self.requests


# --- the client ---------------------------------------------------------------------------------------


class _Connection(asyncio.Protocol):
    """Asks its units one after another; if it is not paced, again and again."""

    answered = errors = missed = 0

    def __init__(self, units: Sequence[int], *, paced: bool) -> None:
        self._requests = [struct.pack(">HHHBBHH", 7, 0, 6, unit, 3, 0, REGISTERS) for unit in units]
        self._paced = paced
        self._next = 0
        self._out = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]  # uvloop's do not derive from asyncio's

    def data_received(self, data: bytes) -> None:
        kind = _Connection
        kind.answered += 1
        if len(data) != 9 + 2 * REGISTERS or data[7] != 3:
            kind.errors += 1
        self._next += 1
        if self._next < len(self._requests) or not self._paced:
            self._write(self._requests[self._next % len(self._requests)])
        else:
            self._out = False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        _Connection.errors += 1

    def ask(self) -> None:
        if self._out:
            _Connection.missed += 1
            return
        self._out, self._next = True, 0
        self._write(self._requests[0])


async def _drive(where: dict[str, list[int]], seconds: float, pid: int, *, paced: bool) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    connections: list[_Connection] = []
    places = [(place.rpartition(":"), units) for place, units in where.items()]
    for first in range(0, len(places), CONNECTING):
        made = await asyncio.gather(
            *(
                loop.create_connection(partial(_Connection, units, paced=paced), host, int(port))
                for (host, _, port), units in places[first : first + CONNECTING]
            )
        )
        connections += [protocol for _, protocol in made]
    slices = [connections[tick::TICKS] for tick in range(TICKS)]
    start = loop.time()
    before: tuple[float, float, int, int] | None = None
    tick = 0
    while True:
        tick += 1
        await asyncio.sleep(max(0.0, start + tick * TICK_S - loop.time()))
        if paced or tick <= TICKS:
            for connection in slices[tick % TICKS]:
                connection.ask()
        if before is None and loop.time() - start >= SETTLE_S:
            before = loop.time(), _cpu_s(pid), _Connection.answered, _Connection.missed
        elif before is not None and loop.time() - before[0] >= seconds:
            return {
                "wall_s": loop.time() - before[0],
                "cpu_s": _cpu_s(pid) - before[1],
                "requests": _Connection.answered - before[2],
                "missed": _Connection.missed - before[3],
                "errors": _Connection.errors,
            }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _client() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    task = json.load(sys.stdin)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_drive(task["where"], task["seconds"], task["pid"], paced=task["paced"]))
    print(json.dumps(found))


# --- the servers --------------------------------------------------------------------------------------


@contextmanager
def _plant(site: Site) -> Iterator[tuple[int, dict[str, list[int]]]]:
    """The simulated plant as its command serves it: its process, and the units at each HOST:PORT."""
    command = [str(QUOTAWATT), "sim", "plant", "--miners", str(site.miners), "--gateways", str(site.gateways)]
    command += ["--racks", "0", "--pdus", "0", "--mqtt", "mqtt://127.0.0.1:1", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        os.sched_setaffinity(process.pid, {server_core()})
        assert process.stdout is not None
        where: dict[str, list[int]] = {}
        for device in json.loads(process.stdout.readline())["devices"]:
            if device["role"] == "load":
                place, _, unit = device["address"].removeprefix("modbus://").rpartition("/")
                where.setdefault(place, []).append(int(unit))
        yield process.pid, where
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _floor() -> Iterator[tuple[int, int]]:
    """The server in C: its process, and its port."""
    process = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(process.pid, {server_core()})
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.communicate()


def _measure(site: Site, server: str, pid: int, where: dict[str, list[int]], seconds: float) -> Round:
    task = {"where": where, "seconds": seconds, "pid": pid, "paced": site.paced}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.simulator", "--client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    os.sched_setaffinity(process.pid, {client_core()})
    said, _ = process.communicate(json.dumps(task))
    if process.returncode:
        raise RuntimeError(f"the client failed against {server}")
    found = Round(site=site.name, server=server, rss_mb=_rss_mb(pid), **json.loads(said))
    print(
        f"  {site.name}: {server} {found.us:.1f} µs a request, "
        f"{found.requests / found.wall_s:,.0f} a second, {found.errors} wrong",
        file=sys.stderr,
        flush=True,
    )
    return found


def _rounds(site: Site, rounds: int, seconds: float) -> list[tuple[Round, Round]]:
    taken = []
    with _plant(site) as (pid, where), _floor() as (floor_pid, port):
        there = {f"{place.partition(':')[0]}:{port}": units for place, units in where.items()}
        for _ in range(rounds):
            ours = _measure(site, "simulator", pid, where, seconds)
            taken.append((ours, _measure(site, "C", floor_pid, there, seconds)))
    return taken


def _figures(site: Site, rounds: Sequence[tuple[Round, Round]]) -> Iterator[Figure]:
    yield Figure(f"{site.name}: CPU for a request", median(ours.us for ours, _ in rounds), "µs", at_most(25))
    ratio = median(ours.us / floor.us for ours, floor in rounds)
    yield Figure(f"{site.name}: to the server in C", ratio, "×")
    if site.paced:
        busy = median(100 * ours.us * site.miners / 1e6 for ours, _ in rounds)
        yield Figure(f"{site.name}: of a core if all are answered", busy, "%", below(80))
        rate = median(ours.requests / ours.wall_s for ours, _ in rounds)
        yield Figure(f"{site.name}: answered in a second", rate, "", at_least(0.99 * site.miners))
    yield Figure(f"{site.name}: memory", max(ours.rss_mb for ours, _ in rounds), "MB")


def main() -> None:
    """Measure every site."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a window")
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        _client()
        return
    build_programs()
    figures, taken = [], []
    for site in SITES:
        rounds = _rounds(site, given.rounds, given.seconds)
        figures += list(_figures(site, rounds))
        taken += [asdict(each) for pair in rounds for each in pair]
    wrong = sum(each["errors"] for each in taken)
    remarks = (
        f"CPU time of the server's process, medians of {given.rounds} rounds in turn with the server in C",
        f"{wrong} answers were wrong or connections lost",
    )
    tell(Finding("simulator", "The simulated plant as a server", figures, taken, remarks))


if __name__ == "__main__":
    main()
