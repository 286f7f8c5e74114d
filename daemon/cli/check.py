"""`quotawatt check`: read the whole configuration, connect to nothing."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.exits import Exit
from daemon.config import Config, load_config
from daemon.config.network import Destination, destinations
from daemon.errors import ConfigurationError


def check(
    config: Annotated[Path, typer.Option("--config", help="The site's TOML file.")],
    print_network: Annotated[
        bool, typer.Option("--print-network", help="List every address that the daemon will connect to.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a configuration; each mistake gets a line of its own, and the exit code is 78.

    Example: quotawatt check --config /etc/quotawatt/site.toml --print-network
    """
    try:
        read = load_config(config)
    except ConfigurationError as error:
        if as_json:
            print(json.dumps({"ok": False, "problems": error.problems}, ensure_ascii=False))
        else:
            for line in error.problems:
                print(line, file=sys.stderr)
        raise typer.Exit(Exit.CONFIGURATION) from error
    network = destinations(read) if print_network else []
    if as_json:
        _print_json(read, network)
        return
    print(f"{config}: good: site {read.site.id}, {len(read.devices)} devices, {len(read.circuits)} circuits")
    for destination in network:
        print(
            f"{destination.purpose:<12} {destination.protocol:<6} {destination.host} port {destination.port}"
        )


def _print_json(read: Config, network: list[Destination]) -> None:
    answer: dict[str, object] = {
        "ok": True,
        "problems": [],
        "site": read.site.id,
        "devices": len(read.devices),
        "circuits": len(read.circuits),
    }
    if network:
        answer["network"] = [
            {"purpose": item.purpose, "protocol": item.protocol, "host": item.host, "port": item.port}
            for item in network
        ]
    print(json.dumps(answer, ensure_ascii=False))
