"""`quotawatt probe` of an MQTT device: what it says on its broker, and what the profile makes of it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from daemon.cli.conversation import broker, connected
from daemon.config.settings import Mqtt
from drivers.address import MqttAddress
from drivers.mqtt.listening import Listening, Said, listen, patience_s
from drivers.profile import Profile
from drivers.quantity import QUANTITY_BY_NAME


def broker_of(url: str | None, ca: Path | None, cert: Path | None, key: Path | None) -> Mqtt:
    """The broker to listen on.

    Raises:
        ValueError: what is wrong with the options, and what would be right.
    """
    if url is None:
        raise ValueError("an MQTT device is heard on its broker: --mqtt mqtt://host:1883 says where")
    found = broker(url)
    if (cert is None) != (key is None):
        raise ValueError("--cert and --key go together")
    if (ca or cert) and not found.tls:
        raise ValueError("--ca, --cert and --key are for mqtts:// and modbuss:// alone")
    for option, file in (("--ca", ca), ("--cert", cert), ("--key", key)):
        if file is not None and not file.is_file():
            raise ValueError(f"{option}: there is no file {file}")
    return replace(found, ca=ca, cert=cert, key=key)


def heard(
    settings: Mqtt, address: MqttAddress, profile: Profile, *, within_s: float | None
) -> tuple[Listening, bool]:
    """What the device says, and whether the site could be run on it.

    Raises:
        RetryLaterError: it says nothing.
        SilenceError: the broker does not answer.
    """
    found = asyncio.run(_listen(settings, address, profile, within_s or patience_s(profile)))
    return found, all(map(_is_good, found.points))


async def _listen(settings: Mqtt, address: MqttAddress, profile: Profile, within_s: float) -> Listening:
    async with connected(settings) as connection:
        return await listen(connection, address.prefix, profile, within_s=within_s)


def _is_good(said: Said) -> bool:
    return said.value is not None or not said.due or said.name not in QUANTITY_BY_NAME


def heard_as_json(profile: Profile, found: Listening, *, good: bool) -> dict[str, Any]:
    """As `--json` prints it."""
    return {
        "ok": good,
        "profile": profile.name,
        "trust": profile.trust,
        "warning": profile.warning or None,
        "online": found.online,
        "messages": found.messages,
        "points": [
            {
                "name": each.name,
                "topic": each.topic,
                "field": each.field or None,
                "value": each.value,
                "unit": each.unit or None,
                "problem": each.problem,
            }
            for each in found.points
        ],
    }


def print_heard(profile: Profile, found: Listening) -> None:
    """The points as a table, and below it the messages themselves."""
    print(f"{profile.title} (profile {profile.name}, {profile.trust})")
    if profile.warning:
        print(f"warning: {profile.warning}")
    if found.online is not None:
        print(f"says of its being there: {found.online}")
    table = Table(box=None, pad_edge=False)
    for title in ("point", "topic", "field", "value"):
        table.add_column(title, justify="right" if title == "value" else "left", no_wrap=True)
    for each in found.points:
        value = each.problem if each.value is None else f"{each.value:.10g} {each.unit}".rstrip()
        table.add_row(each.name, each.topic, each.field, value)
    console = Console(highlight=False)
    console.width = max(console.width, 160)
    console.print(table)
    for topic, text in found.messages.items():
        print(f"{topic}: {text}")
