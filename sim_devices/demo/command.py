"""`quotawatt demo`."""

import asyncio
import contextlib
import json
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from daemon.service import configure_logging
from sim_devices.demo.errors import DemoError
from sim_devices.demo.plot import course_of_demo
from sim_devices.demo.result import Result
from sim_devices.demo.scenario import SHORTEST, Hook, StepName, Timing, play
from sim_devices.demo.stage import open_stage, perform
from sim_devices.demo.view import closing_table, event_line, keep_showing, terms_line
from sim_devices.picture import PictureError, check_picture, draw

FOLDER = Path("demo-site")
USAGE = 2
INTERRUPTED = 130
"""As a shell says it of a program that Ctrl-C ended."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a demo is played."""

    folder: Path = FOLDER
    miners: int = 240
    seed: int = 1
    timing: Timing = Timing()  # noqa: RUF009 - frozen
    live: bool = False
    """Draw a picture on the terminal; otherwise a line for every event."""
    plot: Path | None = None
    """Draw the course into this file at the end."""


def demo(
    miners: Annotated[int, typer.Option(min=12, max=2000, help="Miners, of four models.")] = 240,
    duration: Annotated[
        int,
        typer.Option(min=int(SHORTEST.total_s), max=3600, help="Length of the scenario in seconds."),
    ] = int(Timing().total_s),
    seed: Annotated[int, typer.Option(help="Of everything random in the plant.")] = 1,
    headless: Annotated[
        bool, typer.Option("--headless", help="No picture; a line for every event on standard error.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw limit and power into this file, .png or .svg.")
    ] = None,
    folder: Annotated[
        Path, typer.Option("--dir", help="Where the site's configuration, keys and log are left.")
    ] = FOLDER,
) -> None:
    """Play a curtailment scenario: simulated plant, broker, exchange and the real daemon on loopback.

    Exit code 0 only if the quota was held, every interval has a receipt, and the energies agree.

    Example: quotawatt demo --headless --json
    """
    live = not headless and sys.stderr.isatty()
    options = Options(folder, miners, seed, Timing.lasting(duration), live=live, plot=plot)
    try:
        if plot is not None:
            check_picture(plot)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_until_told(options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("quotawatt demo: interrupted", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except PictureError as error:
        print(f"quotawatt demo: --plot {error}", file=sys.stderr)
        raise typer.Exit(USAGE) from error
    except (DemoError, OSError) as error:
        print(f"quotawatt demo: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    if as_json:
        print(json.dumps(result.as_json()))
    else:
        Console().print(closing_table(result))
        print(f"the site's files stay in {folder}/: site.toml is what the daemon ran with")
    for problem in result.problems():
        print(f"quotawatt demo: {problem}", file=sys.stderr)
    raise typer.Exit(0 if result.passed else 1)


async def run_demo(options: Options, hooks: Mapping[StepName, Hook] | None = None) -> Result:
    """Play the demo once.

    Args:
        options: how.
        hooks: what happens beside the scenario, each from the beginning of a step on; tests kill the
            daemon with it.

    Raises:
        DemoError: it could not be played to its end.
        OSError: an address cannot be had.
    """
    console = Console(stderr=True)
    _raise_file_limit()
    async with open_stage(options.folder, miners=options.miners, seed=options.seed) as stage:
        showing: asyncio.Task[None] | None = None
        if options.live:
            showing = asyncio.create_task(keep_showing(stage, console), name="demo picture")
        else:
            print(terms_line(stage), file=sys.stderr, flush=True)
            stage.chronicle.listeners.append(_print_event)
        try:
            await perform(stage, play(stage, options.timing, hooks))
        finally:
            if showing is not None:
                showing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await showing
        if options.plot is not None:
            draw(course_of_demo(stage), options.plot)
        return stage.result()


async def _until_told(options: Options) -> Result:
    """The demo; SIGTERM ends it as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    # What the libraries have to say would tear the picture; errors show in the daemon's own log.
    configure_logging(level=50)
    return await run_demo(options)


def _print_event(wall_s: float, text: str) -> None:
    print(event_line(wall_s, text), file=sys.stderr, flush=True)


def _raise_file_limit() -> None:
    """Every device has a socket here and one in the daemon."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
