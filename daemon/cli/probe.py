"""`quotawatt probe`: look at one device on the bench, once, and write nothing."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from daemon.cli.conversation import SilenceError
from daemon.cli.exits import Exit
from daemon.cli.probe_messages import broker_of, heard, heard_as_json, print_heard
from daemon.config.settings import Mqtt
from daemon.service import only_errors
from drivers.address import (
    Address,
    ModbusAddress,
    ModbusTlsAddress,
    MqttAddress,
    address_problem,
    parse_address,
)
from drivers.errors import AddressError, ProfileError, RetryLaterError
from drivers.modbus.inspection import Inspection, Reading, inspect
from drivers.profile import ModbusMap, Profile
from drivers.profiles import load_profile, read_profile
from drivers.quantity import QUANTITY_BY_NAME
from drivers.tls import TlsFileError, TlsFiles


def probe(
    device_url: Annotated[
        str, typer.Argument(metavar="DEVICE-URL", help="Where it is, such as modbus://10.0.0.5:502/1.")
    ],
    profile: Annotated[str, typer.Option("--profile", help="Name of a device profile, or its TOML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0.05,
            max=600,
            help="Deadline of a Modbus request (default 1 s); how long an MQTT device is listened to "
            "(default: until each topic must have spoken).",
        ),
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option("--mqtt", metavar="URL", help="The broker of an MQTT device.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="For modbuss:// and mqtts://: PEM of the authority.")
    ] = None,
    cert: Annotated[
        Path | None, typer.Option("--cert", help="For those: PEM of the controller's certificate.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="For those: PEM of the key of that certificate.")
    ] = None,
) -> None:
    """Read every point of a device once: raw words or message, value, unit. Nothing is written.

    Exit code 0: it is what the profile says, and what the daemon needs could be read; 1: not so;
    69: nobody answers.

    Example: quotawatt probe modbus://10.0.0.5:502/1 --profile eastron-sdm630

    Example: quotawatt probe "modbus+rtu:///dev/ttyUSB0?baud=9600/1" --profile eastron-sdm630

    Example: quotawatt probe mqtt:plug-7 --profile shelly-gen2-plug --mqtt mqtt://localhost
    """
    known, address = _understand(profile, device_url)
    try:
        if isinstance(address, MqttAddress):
            good = _listen(known, address, _broker(mqtt, ca, cert, key), timeout, as_json=as_json)
        else:
            if mqtt is not None:
                raise _usage("--mqtt is for MQTT devices alone")
            tls = _tls(address, ca, cert, key)
            good = _read(known, address, 1.0 if timeout is None else timeout, tls, as_json=as_json)
    except (RetryLaterError, SilenceError) as error:
        if as_json:
            print(json.dumps({"ok": False, "profile": known.name, "error": str(error)}, ensure_ascii=False))
        else:
            print(f"quotawatt probe: {error}", file=sys.stderr)
        raise typer.Exit(Exit.UNREACHABLE) from error
    if not good:
        raise typer.Exit(Exit.FAILED)


def _read(
    known: Profile, address: ModbusAddress, timeout_s: float, tls: TlsFiles | None, *, as_json: bool
) -> bool:
    try:
        found = asyncio.run(inspect(address, known, timeout_s=timeout_s, tls=tls))
    except TlsFileError as error:
        raise _usage(f"--{error}") from error
    good = not found.identity_problems and all(map(_is_good, found.readings))
    if as_json:
        print(json.dumps(_as_json(known, found, good=good), ensure_ascii=False))
    else:
        _print(known, found)
    return good


def _broker(url: str | None, ca: Path | None, cert: Path | None, key: Path | None) -> Mqtt:
    try:
        return broker_of(url, ca, cert, key)
    except ValueError as error:
        raise _usage(str(error)) from error


def _listen(
    known: Profile, address: MqttAddress, settings: Mqtt, within_s: float | None, *, as_json: bool
) -> bool:
    only_errors()
    found, good = heard(settings, address, known, within_s=within_s)
    if as_json:
        print(json.dumps(heard_as_json(known, found, good=good), ensure_ascii=False))
    else:
        print_heard(known, found)
    return good


def _understand(profile: str, device_url: str) -> tuple[Profile, Address]:
    try:
        known = read_profile(Path(profile)) if profile.endswith(".toml") else load_profile(profile)
        address = parse_address(device_url)
        problem = address_problem(known, address)
    except (AddressError, ProfileError) as error:
        raise _usage(str(error)) from error
    if problem is not None:
        raise _usage(problem)
    return known, address


def _tls(address: ModbusAddress, ca: Path | None, cert: Path | None, key: Path | None) -> TlsFiles | None:
    if not isinstance(address, ModbusTlsAddress):
        if ca or cert or key:
            raise _usage("--ca, --cert and --key are for modbuss:// alone")
        return None
    if ca is None:
        raise _usage("modbuss:// needs --ca: the PEM file of the authority that signed the devices")
    if (cert is None) != (key is None):
        raise _usage("--cert and --key go together")
    return TlsFiles(ca, cert, key)


def _usage(text: str) -> typer.Exit:
    for line in text.splitlines():
        print(f"quotawatt probe: {line}", file=sys.stderr)
    return typer.Exit(Exit.USAGE)


def _is_good(reading: Reading) -> bool:
    """What no quantity depends on may be missing: not every model has every outlet."""
    return reading.was_read or reading.name not in QUANTITY_BY_NAME


def _as_json(profile: Profile, found: Inspection, *, good: bool) -> dict[str, Any]:
    return {
        "ok": good,
        "profile": profile.name,
        "trust": profile.trust,
        "warning": profile.warning or None,
        "identity_problems": list(found.identity_problems),
        "points": [
            {
                "name": each.name,
                "function": each.function,
                "address": each.address,
                "words": [f"{word:04X}" for word in each.words],
                "value": each.value,
                "unit": each.unit or None,
                "latency_ms": None if each.latency_s is None else round(1000 * each.latency_s, 3),
                "problem": each.problem,
            }
            for each in found.readings
        ],
    }


def _print(profile: Profile, found: Inspection) -> None:
    console = Console(highlight=False)
    print(f"{profile.title} (profile {profile.name}, {profile.trust})")
    if profile.warning:
        print(f"warning: {profile.warning}")
    for problem in found.identity_problems:
        print(f"wrong device: {problem}")
    if not found.identity_problems:
        identifies = isinstance(profile.map, ModbusMap) and profile.map.identity
        print(f"identity: {'as the profile says' if identifies else 'the profile names nothing to check'}")
    table = Table(box=None, pad_edge=False)
    for title in ("point", "register", "raw words", "value", "ms"):
        table.add_column(title, justify="right" if title in {"value", "ms"} else "left", no_wrap=True)
    for each in found.readings:
        latency = "" if each.latency_s is None else f"{1000 * each.latency_s:.1f}"
        table.add_row(each.name, f"{each.function}:{each.address}", _words(each), _value(each), latency)
    # Wide enough for every column: a log or a pipe has no width.
    console.width = max(console.width, 120)
    console.print(table)


def _words(reading: Reading) -> str:
    return " ".join(f"{word:04X}" for word in reading.words)


def _value(reading: Reading) -> str:
    if reading.value is None:
        return reading.problem or ""
    if isinstance(reading.value, str):
        return reading.value
    return f"{reading.value:.10g} {reading.unit}".rstrip()
