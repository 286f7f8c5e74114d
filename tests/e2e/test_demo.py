"""`quotawatt demo`, as a newcomer types it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from daemon.config import load_config
from sim_devices.demo.command import Options, run_demo
from sim_devices.demo.errors import DemoError
from sim_devices.demo.scenario import SHORTEST, StepName
from sim_devices.demo.stage import Stage
from tests.world.processes import alive, descendants, named

QUOTAWATT = Path(sys.executable).with_name("quotawatt")


@asynccontextmanager
async def demo(folder: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command in a process group of its own, as a shell starts it."""
    process = await asyncio.create_subprocess_exec(
        QUOTAWATT,
        "demo",
        "--headless",
        "--dir",
        str(folder),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def read_until(stream: asyncio.StreamReader | None, text: bytes) -> None:
    assert stream is not None
    async with asyncio.timeout(40):
        while text not in (line := await stream.readline()):
            assert line, "ended before it said so"


@pytest.mark.timeout(150)
async def test_the_quota_is_held_and_every_interval_receipted(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    duration = str(round(SHORTEST.total_s))
    async with demo(folder, "--json", "--miners", "60", "--seed", "5", "--duration", duration) as process:
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    (line,) = output.splitlines()
    result = json.loads(line)
    assert list(result) == [
        "held",
        "seconds_to_comply",
        "over_limit_s",
        "devices",
        "polls",
        "commands",
        "intervals",
        "receipted",
        "energy_wh",
    ]
    assert result["held"] is True
    assert set(result["seconds_to_comply"]) == {"quota_60", "announced_80", "quota_0", "failsafe"}
    # Within the settling window; it ends with the clock second that it ends in.
    assert max(result["seconds_to_comply"].values()) < 11
    assert result["intervals"] == result["receipted"] >= 8
    assert result["commands"] == {"accepted": 5, "rejected": 0}
    # Each end is read up to a second from its boundary, at different powers.
    assert result["energy_wh"]["ledger"] == pytest.approx(result["energy_wh"]["plant"], rel=0.04)
    config = load_config(folder / "site.toml")
    assert result["devices"] == len(config.devices)
    assert result["polls"] > 50 * len(config.devices)
    assert b"interval 10 s" in errors
    assert named(str(folder)) == set()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
async def test_it_ends_within_10_s_when_told_to_and_leaves_nobody_behind(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    async with demo(folder, "--miners", "12") as process:
        await read_until(process.stderr, b"full load")
        family = descendants(process.pid)
        assert named(str(folder)) & family
        # Ctrl-C reaches everybody in the terminal's foreground group.
        os.killpg(process.pid, number)
        async with asyncio.timeout(10):
            output, errors = await process.communicate()
    assert process.returncode == code
    assert b"interrupted" in errors
    assert b"Traceback" not in errors + output
    assert alive(family) == set()


async def test_a_demo_that_is_killed_takes_its_daemon_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    async with demo(folder, "--miners", "12") as process:
        await read_until(process.stderr, b"full load")
        family = descendants(process.pid)
        process.kill()
        await process.communicate()
        async with asyncio.timeout(10):
            while alive(family):  # noqa: ASYNC110 - not our children: there is nothing to wait for
                await asyncio.sleep(0.1)


async def test_a_daemon_that_dies_early_is_said_with_the_end_of_its_log(tmp_path: Path) -> None:
    async def die(stage: Stage) -> None:
        await asyncio.sleep(0.5)
        assert stage.daemon.pid is not None
        os.kill(stage.daemon.pid, signal.SIGKILL)

    with pytest.raises(DemoError, match="ended by itself") as caught:
        await run_demo(Options(tmp_path / "site", miners=12), {StepName.FULL: die})
    assert "daemon.log" in str(caught.value)
    assert "site opened" in str(caught.value)


async def test_a_folder_that_is_not_the_demos_is_said_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    async with demo(tmp_path) as process:
        output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert b"--dir" in errors
    assert b"Traceback" not in errors
    assert os.listdir(tmp_path) == ["thesis.txt"]  # noqa: PTH208 - pathlib is not for coroutines
