"""From a command's way to the broker until its first answer comes back from there."""

import asyncio
from collections.abc import Mapping
from typing import Any

from benchmarks.commands.orderer import Orderer
from benchmarks.commands.site import MACHINE
from benchmarks.figures import Figure, Finding, below
from benchmarks.rounds import percentile
from daemon.commands.words import READ_ONLY, Op
from tests.world.real_site import SITE, RealSite

RATE = 10.0
GOAL_MS = 50.0
SILENCE_S = 5.0


def _orders(site: RealSite) -> list[tuple[Op, Mapping[str, Any]]]:
    """Every op that can be had again and again; the limits are above what the plant draws."""
    device = next(iter(site.plant.truth.fleet.index))
    return [
        (Op.PING, {}),
        (Op.HOLD, {"limit_w": site.share_w(0.95), "reason": "crane"}),
        (Op.PLAN, {"limit_w": site.share_w(0.5)}),
        (Op.SET_LIMIT, {"limit_w": site.share_w(0.95)}),
        (Op.RELEASE_HOLD, {}),
        (Op.EXCLUDE, {"device": device, "reason": "fan"}),
        (Op.SET_LIMIT, {"limit_w": None}),
        (Op.INCLUDE, {"device": device}),
    ]


async def answering(site: RealSite, seconds: float) -> Finding:
    """Commands at a steady rate, each with its time until the first answer."""
    loop, orders = asyncio.get_running_loop(), _orders(site)
    async with Orderer(site.dispatch, SITE, site.broker.port) as orderer:
        sent: list[tuple[Op, str]] = []
        started_s = loop.time()
        for number in range(int(seconds * RATE)):
            await asyncio.sleep(started_s + number / RATE - loop.time())
            op, args = orders[number % len(orders)]
            sent.append((op, await orderer.send(orderer.command(op, args))))
        words = [await orderer.answer(jti, SILENCE_S) for _, jti in sent]
        took_ms = {jti: took_s * 1000 for jti, took_s in orderer.took_s.items()}
    wrong = sum(word != "accepted" for word in words)
    all_ms = list(took_ms.values())
    effect_ms = [took_ms[jti] for op, jti in sent if jti in took_ms and op not in READ_ONLY]
    return Finding(
        name="commands-answering",
        title=f"{RATE:g} commands/s for {seconds:g} s over mosquitto on loopback, until `accepted`",
        figures=[
            Figure("p99", percentile(all_ms, 99), "ms", below(GOAL_MS)),
            Figure("median", percentile(all_ms, 50), "ms"),
            Figure("p99 of those with an effect", percentile(effect_ms, 99), "ms"),
            Figure("slowest", max(all_ms), "ms"),
            Figure("without `accepted`", wrong, "", below(1)),
        ],
        rounds=[
            {"op": op.value, "word": word, "ms": took_ms.get(jti)}
            for (op, jti), word in zip(sent, words, strict=True)
        ],
        machine=MACHINE,
        remarks=["every command that has an effect is on the disk (SQLite, FULL) before it is answered"],
    )
