"""A program that is run to its end."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str


async def finished(
    *words: str, within_s: float, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Finished:
    """Run a command to its end, with nothing to read; it is killed if it takes longer."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())
