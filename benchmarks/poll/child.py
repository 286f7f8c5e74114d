"""Runs one client in a process of its own, on a core of its own."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.machine import client_core, stolen_s
from benchmarks.poll.load import REGISTERS, UNITS_BEHIND_GATEWAY, Client, Load, Outcome, Task
from benchmarks.poll.peer import CLIENT

ROOT = Path(__file__).resolve().parents[2]
BEYOND_WINDOW_S = 180.0
"""What a client may take over connecting and its end."""
_MODULES = {
    Client.OURS: "benchmarks.poll.clients.ours",
    Client.OURS_ASYNCIO: "benchmarks.poll.clients.ours",
    Client.PYMODBUS: "benchmarks.poll.clients.by_pymodbus",
    Client.PYMODBUS_ASYNCIO: "benchmarks.poll.clients.by_pymodbus",
}


def run_client(load: Load, port: int) -> Outcome:
    """Have a client do its work.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    core = client_core()
    before = stolen_s(core)
    process = subprocess.Popen(
        _command(load, port), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        os.sched_setaffinity(process.pid, {core})
        said, complaint = process.communicate(timeout=load.warmup_s + load.seconds + BEYOND_WINDOW_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        raise RuntimeError(f"{load.client} with {load.devices} devices failed:\n{complaint}")
    return replace(Outcome.from_json(said.splitlines()[-1]), stolen_s=stolen_s(core) - before)


def _command(load: Load, port: int) -> list[str]:
    if load.client is not Client.C:
        return [sys.executable, "-m", _MODULES[load.client], load.to_json(), str(port)]
    mode = "write" if load.task is Task.ORDER else "saturated" if load.period_s is None else "paced"
    if load.gateways and load.connections:
        raise ValueError("the client in C takes one kind of connection at a time")
    return [
        *(str(CLIENT), "--port", str(port), "--mode", mode, "--registers", str(REGISTERS)),
        *("--connections", str(load.connections or load.gateways)),
        *("--units", str(UNITS_BEHIND_GATEWAY if load.gateways else 1)),
        *("--warmup", str(load.warmup_s), "--seconds", str(load.seconds)),
        *("--period", str(load.period_s or 0), "--repeat", str(load.repeat)),
    ]
