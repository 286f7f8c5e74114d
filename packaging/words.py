# ruff: noqa: INP001  a script of the build, never imported by the product
"""Write the manual page and the bash completion, both from the command line itself.

Usage: python packaging/words.py FOLDER
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from daemon import __version__
from daemon.cli import app


class Entry(NamedTuple):
    """One command."""

    words: tuple[str, ...]
    about: str
    options: tuple[tuple[str, str], ...]
    """How it is written, and what it does."""
    inner: tuple[str, ...]
    """The commands in it."""


def entries(command: Any, words: tuple[str, ...] = ()) -> Iterator[Entry]:
    """A command and all in it."""
    inner = getattr(command, "commands", None)
    context = typer.Context(command, info_name=command.name)
    names = tuple(command.list_commands(context)) if inner is not None else ()
    options = tuple(
        (", ".join(parameter.opts), parameter.help or "")
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False)
    )
    yield Entry(words, command.help or "", options, names)
    for name in names:
        yield from entries(command.get_command(context, name), (*words, name))


def roff(text: str) -> str:
    """Text that roff takes for nothing but text."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in escaped.splitlines())


def page(all_entries: list[Entry]) -> str:
    """The manual page quotawatt(1)."""
    lines = [
        f'.TH QUOTAWATT 1 "" "quotawatt {__version__}"',
        ".SH NAME",
        "quotawatt \\- hold a metered site at its quota, and settle what it drew",
        ".SH SYNOPSIS",
        ".B quotawatt\n.I COMMAND\n[\\fIOPTIONS\\fR]",
        ".SH COMMANDS",
    ]
    for entry in all_entries[1:]:
        lines += [f".SS quotawatt {roff(' '.join(entry.words))}", roff(" ".join(entry.about.split()))]
        for written, does in entry.options:
            lines += [".TP", f"\\fB{roff(written)}\\fR", roff(" ".join(does.split()))]
    return "\n".join([*lines, *_REST, ""])


_REST = [
    ".SH EXIT STATUS",
    "0 fine, 1 the check failed, 2 usage, 69 a needed service is unreachable,",
    "77 not permitted, 78 configuration.",
    ".SH FILES",
    ".TP\n.I /etc/quotawatt/site.toml\nThe site's configuration; further tables in conf.d/*.toml beside it.",
    ".TP\n.I /etc/quotawatt/keys\nPrivate keys and passwords, for root only; the unit hands them on.",
    ".TP\n.I /var/lib/quotawatt\nThe ledger and what must survive a restart.",
    ".TP\n.I /usr/share/doc/quotawatt\nThe runbook, drop\\-ins for the unit, alert rules and a dashboard.",
    ".SH SIGNALS",
    "SIGHUP reads the configuration anew; SIGTERM ends the service and leaves every set\\-point as it is.",
]


def completion(all_entries: list[Entry]) -> str:
    """For bash; what follows COMMAND is one look into a table, without starting Python."""
    cases = []
    for entry in all_entries:
        options = [option for written, _ in entry.options for option in written.split(", ")]
        offered = " ".join((*entry.inner, *options))
        cases.append(f'        "{" ".join(entry.words)}") offered="{offered}" ;;')
    return "\n".join([_BEFORE, *cases, _AFTER])


_BEFORE = """\
# bash completion for quotawatt
_quotawatt() {
    local current="${COMP_WORDS[COMP_CWORD]}" place="" word offered=""
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$word" in -*) break ;; *) place="${place:+$place }$word" ;; esac
    done
    case "$place" in"""
_AFTER = """\
    esac
    COMPREPLY=($(compgen -W "$offered" -- "$current"))
}
complete -o default -F _quotawatt quotawatt
"""


def main() -> None:
    """Write both."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    all_entries = list(entries(typer.main.get_command(app)))
    (folder / "quotawatt.1").write_text(page(all_entries), encoding="utf-8")
    (folder / "quotawatt.bash").write_text(completion(all_entries), encoding="utf-8")


if __name__ == "__main__":
    main()
