"""How long it takes until every device has acknowledged an order."""

from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.figures import Figure, Finding, at_most
from benchmarks.poll.load import Client, Load, Task
from benchmarks.poll.peer import Peer
from benchmarks.poll.settings import Settings
from benchmarks.rounds import interleaved, median_of, median_ratio

DEVICES = 10_000
PERIOD_S = 5.0
REPEAT = 5
CLIENTS = (Client.C, Client.OURS)


def measure(settings: Settings) -> Iterator[Finding]:
    """All devices are ordered about at once, while ours polls them too."""
    devices = settings.devices(DEVICES)
    loads = {client: Load(client, devices, PERIOD_S, 0, task=Task.ORDER, repeat=REPEAT) for client in CLIENTS}
    with Peer() as peer:
        rounds = interleaved(
            CLIENTS, settings.rounds, lambda client, number: settings.run(loads[client], peer.port, number)
        )
    longer = median_ratio(rounds, lambda one: one[Client.OURS].wall_s, lambda one: one[Client.C].wall_s)
    yield Finding(
        name="poll-orders",
        title=f"{devices:,} devices ordered at once, one connection each, polled every {PERIOD_S:.0f} s",
        figures=[
            Figure("C: all writes acknowledged", median_of(rounds, lambda one: one[Client.C].wall_s), "s"),
            Figure(
                "ours: from the first order to the last acknowledgement",
                median_of(rounds, lambda one: one[Client.OURS].wall_s),
                "s",
                at_most(2),
            ),
            Figure("ours ÷ C", longer, "×"),
        ],
        rounds=[{client: asdict(outcome) for client, outcome in one.items()} for one in rounds],
    )
