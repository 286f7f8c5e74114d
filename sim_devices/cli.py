"""`quotawatt sim`: simulated devices, and the reference settlement endpoint."""

import asyncio
import contextlib
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sim_devices.exchange.command import exchange
from sim_devices.plant import Plant

UNREACHABLE = 69
"""A needed service is not there (sysexits.h)."""
FAILSAFE_SHARE = 0.2

_HEAD = """\
# A simulated plant, as `quotawatt sim plant` serves it.
# `quotawatt keys new site` makes the key named below; then: quotawatt run --config {file}

[site]
id = "sim-01"
contract_max_mw = {contract_mw:.3f}
failsafe_mw = {failsafe_mw:.3f}
interval_s = 300
state_dir = "state"

[keys]
site = "site.jwk"

[mqtt]
url = "{mqtt}"

"""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Simulated devices, and the reference settlement endpoint.",
)
app.command()(exchange)


@app.command()
def plant(
    miners: Annotated[int, typer.Option(min=0, max=50_000, help="Miners, of four models.")] = 240,
    racks: Annotated[int, typer.Option(min=0, max=1000, help="GPU racks, on MQTT.")] = 6,
    seed: Annotated[int, typer.Option(help="Of everything random in the plant.")] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Modbus port of every device; 0 takes a free one.")
    ] = 0,
    mqtt: Annotated[
        str | None, typer.Option(help="mqtt://HOST:PORT; without it, a broker of its own is started.")
    ] = None,
    write_config: Annotated[
        Path | None, typer.Option(help="Write a configuration for the daemon into this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print addresses as one JSON object.")] = False,
) -> None:
    """Serve a simulated plant on loopback until interrupted.

    Example: quotawatt sim plant --miners 40 --racks 2 --write-config site.toml
    """
    if mqtt is not None and not mqtt.startswith("mqtt://"):
        raise typer.BadParameter(f"{mqtt!r} is no broker; mqtt://HOST:PORT would be", param_hint="--mqtt")
    try:
        asyncio.run(_serve(miners, racks, seed, port, mqtt, write_config, as_json=as_json))
    except OSError as error:
        print(f"quotawatt sim plant: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


async def _serve(
    miners: int,
    racks: int,
    seed: int,
    port: int,
    mqtt: str | None,
    write_config: Path | None,
    *,
    as_json: bool,
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        url = mqtt or await _own_broker(stack)
        site = await stack.enter_async_context(Plant(miners, racks, seed=seed, port=port, mqtt_url=url))
        if write_config is not None:
            _write_config(site, url, write_config)
        _announce(site, url, write_config, as_json=as_json)
        await stopped.wait()


async def _own_broker(stack: contextlib.AsyncExitStack) -> str:
    try:
        from sim_devices.broker import EmbeddedBroker  # noqa: PLC0415 - an extra that may not be installed
    except ModuleNotFoundError as error:
        print(f"quotawatt sim plant: {error}; install quotawatt[demo], or give --mqtt", file=sys.stderr)
        raise typer.Exit(UNREACHABLE) from error
    broker = await stack.enter_async_context(EmbeddedBroker())
    return broker.url_v311


def _write_config(site: Plant, url: str, file: Path) -> None:
    contract_mw = site.truth.true_power_w * 1.1 / 1e6
    head = _HEAD.format(
        file=file, contract_mw=contract_mw, failsafe_mw=contract_mw * FAILSAFE_SHARE, mqtt=url
    )
    file.write_text(head + site.config_toml(), encoding="utf-8")


def _announce(site: Plant, url: str, write_config: Path | None, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"mqtt": url, "devices": [asdict(device) for device in site.devices]}), flush=True)
        return
    meter = site.devices[0]
    print(f"{len(site.devices)} devices, {site.truth.true_power_w / 1e6:.3f} MW at full load")
    print(f"site meter  {meter.address}  (every device has an address of its own on this port)")
    print(f"broker      {url}")
    if write_config is not None:
        print(f"wrote       {write_config}")
    print("Ctrl-C ends it", flush=True)
