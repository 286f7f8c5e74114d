"""What devices that accept a connection and never answer cost the others."""

from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.figures import Figure, Finding, at_most
from benchmarks.poll.load import Client, Load, Outcome
from benchmarks.poll.peer import Peer
from benchmarks.poll.settings import Settings
from benchmarks.rounds import interleaved, median_of, median_ratio

DEVICES = 10_000
EVERY = 10
ASKED_PER_S = 80_000.0
"""More than a core can do by far: beside those that hang, too, the core sets the pace and not the grid."""
WINDOW_S = 8.0
WARMUP_S = 15.0
"""A connection that hangs has been given up several times by then, and is tried less often."""


def measure(settings: Settings) -> Iterator[Finding]:
    """Every tenth device hangs; beside it, the others alone."""
    devices, seconds = settings.devices(DEVICES), settings.seconds(WINDOW_S)
    others = devices - devices // EVERY
    loads = {
        "alone": Load(
            Client.OURS, others, others / ASKED_PER_S, seconds, warmup_s=settings.seconds(WARMUP_S)
        ),
        "beside": Load(
            Client.OURS,
            devices,
            devices / ASKED_PER_S,
            seconds,
            warmup_s=settings.seconds(WARMUP_S),
            silent_every=EVERY,
        ),
    }
    with Peer() as healthy, Peer(silent_every=EVERY) as hanging:
        ports = {"alone": healthy.port, "beside": hanging.port}
        rounds = interleaved(
            list(loads), settings.rounds, lambda name, number: settings.run(loads[name], ports[name], number)
        )

    def sweep_s(outcome: Outcome) -> float:
        return outcome.wall_s * others / outcome.polls

    def cost(name: str) -> float:
        return median_of(rounds, lambda one: 1e3 * sweep_s(one[name]))

    longer = median_ratio(rounds, lambda one: sweep_s(one["beside"]), lambda one: sweep_s(one["alone"]))
    dearer = median_ratio(rounds, lambda one: one["beside"].us_per_poll, lambda one: one["alone"].us_per_poll)
    yield Finding(
        name="poll-hanging",
        title=f"{devices // EVERY:,} of {devices:,} devices accept and never answer; as fast as it goes",
        figures=[
            Figure(f"sweep over {others:,} devices alone", cost("alone"), "ms"),
            Figure("sweep over the same beside those that hang", cost("beside"), "ms"),
            Figure("longer by", 100 * (longer - 1), "%", at_most(5)),
            Figure("CPU per poll higher by", 100 * (dearer - 1), "%"),
        ],
        rounds=[{name: asdict(outcome) for name, outcome in one.items()} for one in rounds],
    )
