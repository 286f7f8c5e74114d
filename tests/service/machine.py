"""A machine with systemd as PID 1: Debian 12 in a container that shares our network and nothing else."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Self

from tests.world.finished import Finished, finished

PATIENCE_S = 300.0
"""What anything may take that is only waited for: who knows who else wants these cores."""
HIERARCHIES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"))


class Machine:
    """A booted system. Its files lie in `root`.

    Args:
        base: a tar of the system.
        folder: for its files; removed at the end.
    """

    def __init__(self, base: Path, folder: Path) -> None:
        self.root = folder / "root"
        self._base = base
        self._folder = folder
        self._name = f"quotawatt-{secrets.token_hex(6)}"
        self._groups = [place / self._name for place in HIERARCHIES if (place / "cgroup.procs").exists()]
        self._nspawn: asyncio.subprocess.Process | None = None
        self._leader = 0

    async def __aenter__(self) -> Self:
        self.root.mkdir(parents=True)
        await _done("tar", "-C", str(self.root), "-xf", str(self._base))
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        (self.root / "etc/machine-id").write_text("uninitialized\n", encoding="ascii")
        try:
            await self._boot()
        except BaseException:
            await self._power_cut()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._power_cut()

    async def _power_cut(self) -> None:
        """Its PID 1 takes everything in it along."""
        nspawn = self._nspawn
        if nspawn is not None and nspawn.returncode is None:
            for child in _children(nspawn.pid):
                os.kill(child, signal.SIGKILL)
            await nspawn.wait()
        for group in self._groups:
            _removed(group)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _boot(self) -> None:
        def into_group() -> None:
            for group in self._groups:
                group.mkdir()
                (group / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")

        with (self._folder / "console").open("wb") as console:
            self._nspawn = await asyncio.create_subprocess_exec(
                *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe"),
                *(f"--machine={self._name}", "-D", str(self.root), "-b"),
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=into_group,
            )
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await self._is_up():  # noqa: ASYNC110  systemd is asked
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise TimeoutError(f"it did not boot: {self.console()[-3000:]}") from None

    def console(self) -> str:
        """What it said while it booted."""
        return (self._folder / "console").read_text(encoding="utf-8", errors="replace")

    async def _is_up(self) -> bool:
        assert self._nspawn is not None
        if self._nspawn.returncode is not None:
            raise RuntimeError(f"it ended: {self.console()}")
        children = _children(self._nspawn.pid)
        if not children:
            return False
        # PID 1 of the machine; for a moment it is one that only sets the stage.
        self._leader = children[0]
        return (await self.run("systemctl", "is-system-running")).out.strip() in {"running", "degraded"}

    async def run(self, *words: str, within_s: float = PATIENCE_S) -> Finished:
        """Run a command in it, as root."""
        return await finished(*self._inside(), *words, within_s=within_s)

    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", f"-t{self._leader}", "-m", "-u", "-i", "-p", "--")

    async def done(self, *words: str, within_s: float = PATIENCE_S) -> str:
        """Run a command that must succeed; what it printed."""
        ended = await self.run(*words, within_s=within_s)
        assert ended.code == 0, f"{' '.join(words)}: {ended.code}\n{ended.out}\n{ended.err}"
        return ended.out

    async def started(self, *words: str) -> asyncio.subprocess.Process:
        """Start a command in it, as root; what it says can be read."""
        return await asyncio.create_subprocess_exec(
            *self._inside(),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def shown(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        out = await self.done("systemctl", "show", unit, "--property", ",".join(names))
        return dict(line.split("=", 1) for line in out.splitlines())

    def last_words(self, lines: int) -> str:
        """The end of its journal, or of its console while it has none; needs no event loop."""
        words = (*self._inside(), "journalctl", "--no-pager", "-n", str(lines))
        try:
            asked = subprocess.run(words, capture_output=True, check=False, timeout=60)
        except subprocess.TimeoutExpired:
            return self.console()
        return asked.stdout.decode(errors="replace") or self.console()

    async def journal(self, unit: str) -> str:
        """All that a unit has said."""
        return await self.done("journalctl", "--no-pager", "-o", "cat", "-u", unit)


def _children(pid: int) -> list[int]:
    return [
        int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


async def _done(*words: str) -> None:
    ended = await finished(*words, within_s=PATIENCE_S)
    assert ended.code == 0, ended.err


def _removed(group: Path) -> None:
    """Remove a control group and all in it, if it was made; a process that is still there keeps it."""
    if not group.exists():
        return
    for inner in sorted(group.rglob("*"), key=lambda path: -len(path.parts)):
        if inner.is_dir():
            inner.rmdir()
    group.rmdir()
