"""Whether a dead unit behind a gateway takes time from its neighbours."""

from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.figures import Figure, Finding, at_least, below
from benchmarks.poll.load import UNITS_BEHIND_GATEWAY, Client, Load, Task
from benchmarks.poll.peer import Peer
from benchmarks.poll.settings import Settings

GATEWAYS = 10
DEAD = 7
PERIOD_S = 1.0
WINDOW_S = 60.0
WARMUP_S = 10.0
"""Three time-outs and the breaker is open."""


def measure(settings: Settings) -> Iterator[Finding]:
    """One unit of 20 never answers; the probes for it go on."""
    load = Load(
        Client.OURS,
        0,
        PERIOD_S,
        settings.seconds(WINDOW_S),
        gateways=GATEWAYS,
        warmup_s=settings.seconds(WARMUP_S),
        task=Task.PERIODS,
        silent_unit=DEAD,
    )
    with Peer(silent_unit=DEAD) as peer:
        outcome = settings.run(load, peer.port, settings.rounds - 1)
    due = outcome.wall_s / PERIOD_S
    yield Finding(
        name="poll-dead-unit",
        title=f"{GATEWAYS} gateways of {UNITS_BEHIND_GATEWAY} units, one is dead, every {PERIOD_S:.0f} s",
        figures=[
            Figure(
                "sweeps of the worst neighbour, of those due",
                100 * outcome.fewest_sweeps / due,
                "%",
                at_least(98),
            ),
            Figure(
                "longest time between two sweeps of a neighbour",
                outcome.longest_gap_s,
                "s",
                below(2 * PERIOD_S),
            ),
        ],
        rounds=[{Client.OURS: asdict(outcome)}],
    )
