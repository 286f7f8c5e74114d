"""`quotawatt check`: read the whole configuration, connect to nothing."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.exits import Exit
from daemon.config import Config, load_config
from daemon.config.network import Destination, destinations, unit_lines
from daemon.config.open_files import OpenFiles, open_files_needed
from daemon.errors import ConfigurationError
from daemon.service.open_files import open_files_limit


def check(
    config: Annotated[Path, typer.Option("--config", help="The site's TOML file.")],
    print_network: Annotated[
        bool,
        typer.Option(
            "--print-network",
            help="List every address that the daemon will connect to, and a drop-in that allows no other.",
        ),
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
    files = OpenFiles(open_files_needed(read), open_files_limit())
    notices = _notices(read) + ([] if files.enough else [files.cure])
    network = destinations(read) if print_network else []
    if as_json:
        _print_json(read, network, notices, files)
        return
    print(f"{config}: good: site {read.site.id}, {len(read.devices)} devices, {len(read.circuits)} circuits")
    for notice in notices:
        print(f"note: {notice}")
    for destination in network:
        print(
            f"{destination.purpose:<12} {destination.protocol:<6} {destination.host} port {destination.port}"
        )
    if network:
        print("\n# /etc/systemd/system/quotawatt.service.d/network.conf")
        print("\n".join(unit_lines(network)))


def _notices(read: Config) -> list[str]:
    """What is right and yet worth knowing, a line for each profile."""
    counts = Counter(
        (device.profile.name, device.profile.trust, device.writes_withheld) for device in read.devices
    )
    notices = [
        f"{count} of profile {name} are measured only: it is {trust}, never tried on hardware; "
        "to order them write allow_unverified_writes = true"
        for (name, trust, withheld), count in counts.items()
        if withheld
    ]
    warnings = {
        device.profile.name: device.profile.warning for device in read.devices if device.profile.warning
    }
    return notices + [f"profile {name}: {warning}" for name, warning in warnings.items()]


def _print_json(read: Config, network: list[Destination], notices: list[str], files: OpenFiles) -> None:
    answer: dict[str, object] = {
        "ok": True,
        "problems": [],
        "site": read.site.id,
        "devices": len(read.devices),
        "circuits": len(read.circuits),
        "notices": notices,
        "open_files": {"needed": files.needed, "limit": files.limit},
    }
    if network:
        answer["network"] = [
            {"purpose": item.purpose, "protocol": item.protocol, "host": item.host, "port": item.port}
            for item in network
        ]
        answer["unit"] = unit_lines(network)
    print(json.dumps(answer, ensure_ascii=False))
