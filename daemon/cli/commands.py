"""Finds the commands when they are asked for: `check` must not wait for what only `demo` imports."""

import importlib
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from daemon.cli.exits import Exit

_OWN = {
    "run": "daemon.cli.run:run",
    "check": "daemon.cli.check:check",
    "status": "daemon.cli.status:status",
    "plan": "daemon.cli.plan:plan",
    "keys": "daemon.cli.keys:app",
    "ledger": "daemon.cli.ledger:app",
    "send": "daemon.cli.send:app",
    "probe": "daemon.cli.probe:probe",
}
_GROUP = "quotawatt.commands"
"""Entry points: commands that live outside the daemon."""


class LazyCommands(TyperGroup):
    """The commands of the daemon, then those of other packages."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return [*_OWN, *sorted(set(_plugins()) - set(_OWN))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        try:
            found = _find(cmd_name)
        except ModuleNotFoundError as error:
            found = _unavailable(cmd_name, error)
        return None if found is None else _command(cmd_name, found)


def _find(name: str) -> Any:
    """What a command is made of; `None` = there is no such command."""
    if name in _OWN:
        module, _, attribute = _OWN[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    plugin = _plugins().get(name)
    return None if plugin is None else plugin.load()


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=_GROUP)}


def _command(name: str, found: Any) -> Any:
    """A typer app or a plain function as a command."""
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
    else:
        wrapper = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        wrapper.command(name)(found)
        command = typer.main.get_command(wrapper)
    command.name = name
    return command


def _unavailable(name: str, error: ModuleNotFoundError) -> Any:
    """A command in the place of one whose packages are missing."""

    def explain() -> None:
        print(f"quotawatt {name}: not installed here: {error}", file=sys.stderr)
        raise typer.Exit(Exit.FAILED)

    explain.__doc__ = f"Not installed here: {error}."
    return explain
