"""The demo on a terminal: a live picture while it runs, a table at the end."""

import asyncio
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from daemon.timestamps import format_utc
from sim_devices.demo.chart import Column, draw
from sim_devices.demo.result import Result
from sim_devices.demo.stage import Stage

REFRESH_S = 0.5
COLUMN_S = 2
WIDTH = 62
HEIGHT = 10
EVENTS = 8

_TITLES = {
    "quota_60": "signed quota of 60 %, at once",
    "announced_80": "announced step to 80 %",
    "quota_0": "signed quota of 0, at once",
    "failsafe": "heartbeats lost: failsafe",
}


async def keep_showing(stage: Stage, console: Console) -> None:
    """Draw until cancelled."""
    with Live(picture(stage), console=console, auto_refresh=False, transient=True) as live:
        while True:
            await asyncio.sleep(REFRESH_S)
            live.update(picture(stage), refresh=True)


def picture(stage: Stage) -> RenderableType:
    """Everything at a glance."""
    return Group(
        Text(terms_line(stage), style="dim"),
        Panel(_chart(stage), title="site power (bars) against the limit in force (line)", width=WIDTH + 14),
        _figures(stage),
        Panel(_events(stage), title="last events", width=WIDTH + 14),
    )


def terms_line(stage: Stage) -> str:
    """What is quick about the demo's configuration."""
    terms = stage.terms
    return (
        f"demo values: interval {terms.interval_s} s, lease timeout {terms.lease_timeout_s} s, "
        f"failsafe ramp {terms.failsafe_ramp_s} s, ramp up {terms.ramp_up_pct_per_min} %/min, "
        f"settling window {terms.settle_s} s"
    )


def event_line(wall_s: float, text: str) -> str:
    """A note with its time of day."""
    return f"{format_utc(wall_s)[11:19]}  {text}"


def closing_table(result: Result) -> Table:
    """The verdict and what it rests on."""
    table = Table(title="Held" if result.held else "NOT held", show_header=False, min_width=60)
    for name, seconds in result.holding.seconds_to_comply.items():
        table.add_row(
            _TITLES.get(name, name), "not reached" if seconds is None else f"below it after {seconds:.1f} s"
        )
    windows_s = len(result.holding.over) - len(result.holding.broken)
    table.add_row("seconds over, inside settling windows", str(windows_s))
    table.add_row("seconds over, outside them", str(len(result.holding.broken)))
    table.add_row("devices, polls", f"{result.devices}, {result.polls:,}")
    table.add_row("messages accepted, rejected", f"{result.accepted}, {result.rejected}")
    settlement = result.settlement
    table.add_row("intervals with a verified receipt", f"{settlement.receipted} of {settlement.due}")
    if result.energy is not None:
        plant_kwh, ledger_kwh = result.energy.plant_wh / 1e3, result.energy.ledger_wh / 1e3
        table.add_row("energy: plant's own register, ledger", f"{plant_kwh:.3f} kWh, {ledger_kwh:.3f} kWh")
    return table


def _chart(stage: Stage) -> Text:
    top_w = stage.terms.contract_max_w * 1.05
    moments = stage.plant.history[::5]
    columns = []
    for _, group in groupby(moments, key=lambda moment: int(moment.wall_s // COLUMN_S)):
        parts = list(group)
        power_w = sum(part.true_power_w for part in parts) / len(parts)
        columns.append(Column(power_w, stage.documents.limit_w(parts[-1].wall_s)))
    lines = draw(columns, width=WIDTH, height=HEIGHT, top_w=top_w)
    marks = {0: f"{top_w / 1e6:5.2f} MW ", HEIGHT - 1: f"{0:5.2f} MW "}
    return Text("\n".join(marks.get(row, " " * 9) + line for row, line in enumerate(lines)))


def _figures(stage: Stage) -> Table:
    state, now_s = stage.dispatcher.state, stage.wall()
    devices, ledger = state.get("devices") or {}, state.get("ledger") or {}
    loads = stage.plant.truth.loads.values()
    asleep = sum(load.asleep for load in loads)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row(
        "site", f"{stage.plant.truth.true_power_w / 1e6:.3f} MW of {stage.documents.limit_w(now_s) / 1e6:.3f}"
    )
    table.add_row("state", f"{state.get('state', 'starting')}, limit by {state.get('limit_source', '-')}")
    table.add_row("loads", f"{len(loads)}, {asleep} off, {devices.get('curtailed', 0)} curtailed")
    table.add_row(
        "devices", ", ".join(f"{devices.get(name, 0)} {name}" for name in ("ok", "suspect", "down"))
    )
    table.add_row(
        "ledger", f"record {ledger.get('seq', '-')}, receipt through {ledger.get('acked_seq', '-')}"
    )
    table.add_row("look at", f"{stage.http_url}/api/v1/state  {stage.files.config}")
    return table


def _events(stage: Stage) -> Text:
    lines = [event_line(*note) for note in stage.chronicle.notes[-EVENTS:]]
    return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
