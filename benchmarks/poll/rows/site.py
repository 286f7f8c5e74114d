"""The largest site: 30,000 units every second for five minutes."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from benchmarks.figures import Figure, Finding, at_most, below
from benchmarks.poll.load import UNITS_BEHIND_GATEWAY, Client, Load
from benchmarks.poll.peer import Peer
from benchmarks.poll.settings import Settings
from benchmarks.poll.simulated_site import SimulatedSite

CONNECTIONS, GATEWAYS = 15_000, 750
PERIOD_S = 1.0
WINDOW_S = 300.0


def measure(settings: Settings) -> Iterator[Finding]:
    """Once, for long; 20,000 descriptors are the most that many machines grant a process."""
    load = Load(
        Client.OURS,
        settings.devices(CONNECTIONS),
        PERIOD_S,
        settings.seconds(WINDOW_S),
        gateways=settings.devices(GATEWAYS),
        warmup_s=settings.seconds(10.0),
        lateness=True,
    )
    if settings.simulator:
        with SimulatedSite(load.connections, load.gateways) as site:
            load = replace(load, simulated=str(site.devices))
            outcome = settings.run(load, 0, settings.rounds - 1)
    else:
        with Peer() as peer:
            outcome = settings.run(load, peer.port, settings.rounds - 1)
    per_million = 1e6 * outcome.missed / (outcome.polls + outcome.missed)
    yield Finding(
        name="poll-site-simulated" if settings.simulator else "poll-site",
        title=(
            f"{load.devices:,} units every {PERIOD_S:.0f} s for {load.seconds:.0f} s: {load.connections:,} "
            f"connections of their own, {load.gateways:,} gateways with {UNITS_BEHIND_GATEWAY} units each"
        ),
        figures=[
            Figure("share of a core", outcome.busy, "%", below(80)),
            Figure("CPU per poll", outcome.us_per_poll, "µs"),
            Figure(
                "polls done, of those due",
                100 * outcome.polls / (load.devices * outcome.wall_s / PERIOD_S),
                "%",
            ),
            Figure("polls that failed", outcome.failed, ""),
            Figure("missed ticks, of a million", per_million, "", at_most(10)),
            Figure("lateness of a tick, p99", 1e3 * outcome.lateness_p99_s, "ms", below(200)),
            Figure("decoding and freezing a snapshot, CPU, p99", 1e3 * outcome.freeze_p99_s, "ms", below(10)),
            Figure("memory", outcome.rss_mb, "MB", below(300)),
            Figure("stolen by the hypervisor meanwhile", outcome.stolen_s, "s"),
            Figure("of the time, other processes had the core", outcome.waited, "%"),
        ],
        remarks=["the simulator of the project, with its physics, on the other core"] * settings.simulator,
        rounds=[{Client.OURS: asdict(outcome)}],
    )
