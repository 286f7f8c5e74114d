"""How long after its start the daemon's fleet has a value of every device of a large site."""

from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.figures import Figure, Finding, below
from benchmarks.poll.load import UNITS_BEHIND_GATEWAY, Client, Load
from benchmarks.poll.peer import Peer
from benchmarks.poll.settings import Settings
from benchmarks.rounds import median_of

CONNECTIONS, GATEWAYS = 15_000, 750


def measure(settings: Settings) -> Iterator[Finding]:
    """From the start of the process to the answer of the last device."""
    load = Load(
        Client.OURS,
        settings.devices(CONNECTIONS),
        1.0,
        0.5,
        gateways=settings.devices(GATEWAYS),
        warmup_s=0,
    )
    with Peer() as peer:
        outcomes = [settings.run(load, peer.port, number) for number in range(settings.rounds)]
    yield Finding(
        name="poll-picture",
        title=(
            f"First full picture of {load.devices:,} units: {load.connections:,} connections of their own, "
            f"{load.gateways:,} gateways with {UNITS_BEHIND_GATEWAY} units each"
        ),
        figures=[
            Figure(
                "from the start of the process",
                median_of(outcomes, lambda one: one.first_full_s),
                "s",
                below(10),
            ),
            Figure("the slowest", max(one.first_full_s for one in outcomes), "s"),
        ],
        rounds=[{Client.OURS: asdict(one)} for one in outcomes],
    )
