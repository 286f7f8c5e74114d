"""The machine that figures come from, and how its cores are shared out."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("numpy", "pymodbus", "uvloop")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a figure has to be read with."""

    cpu: str
    cores: int
    kernel: str
    python: str
    packages: Mapping[str, str]

    @property
    def line(self) -> str:
        """All of it in a line."""
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return f"{self.cores} cores of {self.cpu}, Linux {self.kernel}, Python {self.python}, {packages}"


def this_machine() -> Machine:
    """The one we run on."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: importlib.metadata.version(name) for name in PACKAGES},
    )


def client_core() -> int:
    """The core of the client that is measured."""
    return max(os.sched_getaffinity(0))


def server_core() -> int:
    """The core of whatever it talks to: another one, if there is one."""
    return min(os.sched_getaffinity(0))


def stolen_s(core: int) -> float:
    """What the hypervisor has taken from a core since boot, s."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            return int(ticks[7]) / os.sysconf("SC_CLK_TCK")
    raise LookupError(f"/proc/stat knows no cpu{core}")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
