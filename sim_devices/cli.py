"""`quotawatt sim`: simulated devices, and the reference settlement endpoint."""

import asyncio
import contextlib
import gc
import json
import resource
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from sim_devices.exchange.command import exchange
from sim_devices.plant import Plant
from sim_devices.scenario import (
    PlantTable,
    ScenarioDocument,
    ScenarioError,
    load_scenario,
    simulated_miners,
)

UNREACHABLE = 69
"""A needed service is not there (sysexits.h)."""
CONFIGURATION = 78
FAILSAFE_SHARE = 0.2
LARGE = 2000
"""From so many miners on, the physics take steps of a second."""
SPARE_DESCRIPTORS = 200

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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What `sim plant` was asked for."""

    site: PlantTable
    seed: int
    port: int
    mqtt: str | None
    write_config: Path | None
    as_json: bool
    scenario: ScenarioDocument | None = field(default=None)


@app.command()
def plant(
    miners: Annotated[int | None, typer.Option(min=0, max=50_000, help="Miners; 240.")] = None,
    racks: Annotated[int | None, typer.Option(min=0, max=1000, help="GPU racks, on MQTT; 6.")] = None,
    pdus: Annotated[
        int | None, typer.Option(min=0, max=5000, help="PDUs of 20 outlets; as many as the miners need.")
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(help="Miners by profile: sim-miner=4,sim-miner-m60s=3 in any proportion, or all."),
    ] = None,
    gateways: Annotated[
        int | None, typer.Option(min=0, max=10_000, help="Gateways with miners as units behind them; 0.")
    ] = None,
    units_per_gateway: Annotated[
        int | None, typer.Option(min=1, max=247, help="Miners behind each gateway; 20.")
    ] = None,
    containers: Annotated[
        int | None, typer.Option(min=0, max=1000, help="Circuits of their own for parts of the miners; 0.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random in the plant; 1.")] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Modbus port of every device; 0 takes a free one.")
    ] = 0,
    mqtt: Annotated[
        str | None, typer.Option(help="mqtt://HOST:PORT; without it, a broker of its own is started.")
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option(help="TOML or JSON file: what goes wrong and when, and for which site.")
    ] = None,
    write_config: Annotated[
        Path | None, typer.Option(help="Write a configuration for the daemon into this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print addresses as one JSON object.")] = False,
) -> None:
    """Serve a simulated plant on loopback until interrupted.

    What is given here counts more than the [plant] of the scenario.

    Example: quotawatt sim plant --miners 40 --racks 2 --write-config site.toml
    """
    if mqtt is not None and not mqtt.startswith("mqtt://"):
        raise typer.BadParameter(f"{mqtt!r} is no broker; mqtt://HOST:PORT would be", param_hint="--mqtt")
    given = {
        "miners": miners,
        "racks": racks,
        "pdus": pdus,
        "mix": None if mix is None else _mix(mix),
        "gateways": gateways,
        "units_per_gateway": units_per_gateway,
        "containers": containers,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    try:
        played = None if scenario is None else load_scenario(scenario)
        site = PlantTable(racks=6) if played is None or played.plant is None else played.plant
        wanted = _Wanted(
            site.model_copy(update=changes),
            seed if seed is not None else played.seed if played is not None else 1,
            port,
            mqtt,
            write_config,
            as_json,
            played,
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(wanted))
    except ScenarioError as error:
        # Where it does not fit the site it does not know its file.
        said = str(error)
        print(said if said.startswith(str(scenario)) else f"{scenario}: {said}", file=sys.stderr)
        raise typer.Exit(CONFIGURATION) from error
    except (OSError, ValueError) as error:
        print(f"quotawatt sim plant: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


def _mix(text: str) -> dict[str, float]:
    models = simulated_miners()
    if text == "all":
        return dict.fromkeys(models, 1.0)
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in models:
            raise typer.BadParameter(
                f"{name!r} is no simulated miner; there are {', '.join(models)}", param_hint="--mix"
            )
        try:
            mix[name] = float(number or 1)
        except ValueError:
            raise typer.BadParameter(f"{part!r}; {name}=3 would be right", param_hint="--mix") from None
    return mix


async def _serve(wanted: _Wanted) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        url = wanted.mqtt or await _own_broker(stack)
        site = await stack.enter_async_context(_plant(wanted, url))
        if wanted.write_config is not None:
            _write_config(site, url, wanted.write_config)
        _announce(site, url, wanted)
        # What has been built stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        await stopped.wait()


def _plant(wanted: _Wanted, url: str) -> Plant:
    table = wanted.site
    options: dict[str, Any] = table.model_dump(exclude={"lie_percent"})
    site = Plant(
        **options,
        lie=table.lie_percent / 100,
        seed=wanted.seed,
        port=wanted.port,
        mqtt_url=url,
        step_s=1.0 if table.miners >= LARGE else 0.1,
        remember=False,
        scenario=wanted.scenario,
    )
    _open_files(site.open_files)
    return site


def _open_files(needed: int) -> None:
    """Let this process have as many connections as it will.

    Raises:
        OSError: it may not.
    """
    needed += SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise OSError(
            f"needs {needed} open files and may have {hard}; put miners behind --gateways, or raise the limit"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


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


def _announce(site: Plant, url: str, wanted: _Wanted) -> None:
    if wanted.as_json:
        print(json.dumps({"mqtt": url, "devices": [asdict(device) for device in site.devices]}), flush=True)
        return
    meter = site.devices[0]
    print(f"{len(site.devices)} devices, {site.truth.true_power_w / 1e6:.3f} MW at full load")
    print(f"site meter  {meter.address}  (every device or gateway has an address of its own on this port)")
    print(f"broker      {url}")
    if wanted.scenario is not None:
        print(f"scenario    {wanted.scenario.title}")
    if wanted.write_config is not None:
        print(f"wrote       {wanted.write_config}")
    print("Ctrl-C ends it", flush=True)
