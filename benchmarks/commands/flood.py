"""Thousands of forged messages a second, and whether the site is held and heard meanwhile."""

import asyncio
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.commands.forger import Forger
from benchmarks.commands.orderer import Orderer
from benchmarks.commands.site import MACHINE, Shown, look, worst_percent
from benchmarks.figures import Figure, Finding, at_least, at_most, below
from benchmarks.machine import server_core
from daemon.commands.words import Lane, Op, Role
from tests.world.daemon_child import ROOT
from tests.world.real_site import SITE, RealSite

RATE = 5000
WARM_S = 5.0
"""Of flood before the first look: queues are full then, and every path has run."""
EVERY_S = 1.5
"""Between two orders; a quota and a hold by turns."""
AGAIN_S = 1.0
"""Who gets no answer sends the same bytes again after so long."""
TRIES = 5
WORST = 99.0


@dataclass(frozen=True, slots=True)
class Flood:
    """Who floods what."""

    said: str
    forgers: Sequence[Forger]
    lanes: Sequence[Lane]


FLOODS = {
    "spread": Flood("a stranger, garbage and an imitator, on every topic", tuple(Forger), tuple(Lane)),
    "stranger": Flood("a stranger, on the quota's topic", [Forger.STRANGER], [Lane.QUOTA]),
    "garbage": Flood("garbage, on the quota's topic", [Forger.GARBAGE], [Lane.QUOTA]),
    "imitator": Flood("an imitator of its key, on the quota's topic", [Forger.IMITATOR], [Lane.QUOTA]),
}


async def flooding(site: RealSite, row: str, seconds: float) -> Finding:
    """One flood."""
    flood = FLOODS[row]
    forger = await _start(site, flood, WARM_S + seconds + TRIES * AGAIN_S)
    try:
        async with Orderer(site.dispatch, SITE, site.broker.port) as orderer:
            await asyncio.sleep(WARM_S)
            before = await look(site)
            served_s = await _orders(site, orderer, seconds)
            after = await look(site)
        out, _ = await forger.communicate()
    finally:
        if forger.returncode is None:
            forger.kill()
            await forger.wait()
    return _finding(row, flood, seconds, before, after, served_s, int(out))


async def _start(site: RealSite, flood: Flood, seconds: float) -> asyncio.subprocess.Process:
    keys = {role: key.kid for role, key in site.dispatch.keys.items()}
    # The site of the benchmark has no engineer: there the imitator is a stranger like any other.
    kids = {lane: keys.get(lane.role, keys[Role.OPERATOR]) for lane in flood.lanes}
    return await asyncio.create_subprocess_exec(
        *("taskset", "-c", str(server_core()), sys.executable, "-m", "benchmarks.commands.forger"),
        *("--port", str(site.broker.port), "--site", SITE, "--kids", json.dumps(kids)),
        *("--rate", str(RATE), "--seconds", str(seconds), "--forgers", *flood.forgers),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


async def _orders(site: RealSite, orderer: Orderer, seconds: float) -> dict[str, list[float | None]]:
    """Quotas and holds by turns; seconds until each was accepted, `None` = it never was."""
    loop = asyncio.get_running_loop()
    served_s: dict[str, list[float | None]] = {"quota": [], "hold": []}
    started_s = loop.time()
    number = 0
    while loop.time() - started_s < seconds:
        kind = ("quota", "hold")[number % 2]
        number += 1
        share = 0.8 + 0.01 * (number % 10)
        hold = {"limit_w": site.share_w(share), "reason": "crane"}
        message = orderer.quota(site.share_w(share)) if kind == "quota" else orderer.command(Op.HOLD, hold)
        served_s[kind].append(None)
        for _ in range(TRIES):
            await orderer.send(message)
            if await orderer.answer(message.jti, AGAIN_S) == "accepted":
                served_s[kind][-1] = orderer.took_s[message.jti]
                break
        await asyncio.sleep(started_s + number * EVERY_S - loop.time())
    return served_s


def _finding(
    row: str,
    flood: Flood,
    seconds: float,
    before: Shown,
    after: Shown,
    served_s: dict[str, list[float | None]],
    forged: int,
) -> Finding:
    def grown(name: str) -> float:
        return after.total(name) - before.total(name)

    def worst_s(kind: str) -> float:
        return max(float("inf") if took_s is None else took_s for took_s in served_s[kind])

    cycles = grown("quotawatt_cycle_seconds_count")
    once = [took_s is not None and took_s < AGAIN_S for kind in served_s for took_s in served_s[kind]]
    refused, dropped = grown("quotawatt_messages_refused_total"), grown("quotawatt_messages_dropped_total")
    warned = after.warnings - before.warnings
    window_s = after.at_s - before.at_s
    return Finding(
        name=f"commands-flood-{row}",
        title=f"{RATE:,} forged messages/s for {seconds:g} s: {flood.said}",
        figures=[
            Figure(
                "control cycle, p99 at most", _ms(before, after, "quotawatt_cycle_seconds"), "ms", below(200)
            ),
            Figure("cycles a second", cycles / window_s, "", at_least(0.9)),
            Figure("polls late, p99", _ms(before, after, "quotawatt_poll_lag_seconds"), "ms"),
            Figure("slowest quota until `accepted`", worst_s("quota"), "s", below(1)),
            Figure("slowest hold until `accepted`", worst_s("hold"), "s", below(1)),
            Figure("orders served at the first try", sum(once) / len(once) * 100, "%"),
            Figure("memory grew by", after.rss_mb - before.rss_mb, "MB", at_most(5)),
            Figure("warnings in the log", warned, "", at_most(_lines(flood, window_s))),
            Figure("refused and counted", refused / window_s, "/s"),
            Figure("dropped for want of room and counted", dropped / window_s, "/s"),
            Figure("the daemon's core", (after.cpu_s - before.cpu_s) / window_s * 100, "%"),
        ],
        rounds=[{"served_s": served_s, "forged": forged, "rss_mb": [before.rss_mb, after.rss_mb]}],
        machine=MACHINE,
        remarks=[
            f"MQTT 5, the forger at QoS 0; who gets no answer sends again after {AGAIN_S:g} s",
            "cycles and polls: the bound of the histogram's bucket",
        ],
    )


def _lines(flood: Flood, window_s: float) -> int:
    """Ten a minute for each source: a topic and a name; its strangers are one. One more for all drops."""
    sources = len({forger is Forger.IMITATOR for forger in flood.forgers}) * len(flood.lanes)
    return (10 * sources + 1) * math.ceil(window_s / 60)


def _ms(before: Shown, after: Shown, name: str) -> float:
    return worst_percent(before, after, name, WORST) * 1000
