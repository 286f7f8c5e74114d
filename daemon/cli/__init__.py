"""The command line: `quotawatt`."""

import sys
from typing import Annotated

import typer

from daemon import __version__
from daemon.cli.commands import LazyCommands
from daemon.cli.exits import Exit
from daemon.errors import ConfigurationError, QuotawattError
from drivers.errors import DriverError

app = typer.Typer(
    name="quotawatt",
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: quotawatt check --config /etc/quotawatt/site.toml",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"quotawatt {__version__}")
        raise typer.Exit


@app.callback()
def quotawatt(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold a metered site at its quota, and settle what it drew."""
    del version  # its callback has done it


def main() -> None:
    """Run the command line. A user's mistake gives a message and an exit code, never a traceback."""
    try:
        app()
    except ConfigurationError as error:
        for line in error.problems:
            print(line, file=sys.stderr)
        sys.exit(Exit.CONFIGURATION)
    except (QuotawattError, DriverError) as error:
        print(f"quotawatt: {error}", file=sys.stderr)
        sys.exit(Exit.FAILED)
