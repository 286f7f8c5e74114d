"""How the cost of a poll grows with the number of connections, beside how the kernel's own share grows."""

from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.figures import Figure, Finding, at_most
from benchmarks.poll.load import Client, Load
from benchmarks.poll.peer import Peer
from benchmarks.poll.settings import Settings
from benchmarks.rounds import interleaved, median_of, median_ratio

FEW, MANY = 1_000, 15_000
WINDOW_S = 3.0
Run = tuple[Client, int]


def measure(settings: Settings) -> Iterator[Finding]:
    """C and ours, with few connections and with many."""
    runs: list[Run] = [(client, size) for client in (Client.C, Client.OURS) for size in (FEW, MANY)]
    seconds = settings.seconds(WINDOW_S)
    with Peer() as peer:
        rounds = interleaved(
            runs,
            settings.rounds,
            lambda run, number: settings.run(
                Load(run[0], settings.devices(run[1]), None, seconds), peer.port, number
            ),
        )
    costs = [{run: outcome.us_per_poll for run, outcome in one.items()} for one in rounds]

    def cost(run: Run) -> Figure:
        what = f"{run[0]}, {settings.devices(run[1]):,} connections: CPU per poll"
        return Figure(what, median_of(costs, lambda one: one[run]), "µs")

    def grown(client: Client) -> float:
        return median_ratio(costs, lambda one: one[client, MANY], lambda one: one[client, FEW])

    over = median_ratio(
        costs,
        lambda one: one[Client.OURS, MANY] / one[Client.OURS, FEW],
        lambda one: one[Client.C, MANY] / one[Client.C, FEW],
    )
    yield Finding(
        name="poll-growth",
        title=f"Growth of a poll's cost, {settings.devices(FEW):,} → {settings.devices(MANY):,} connections",
        figures=[
            *map(cost, runs),
            Figure("C's growth", grown(Client.C), "×"),
            Figure("our growth", grown(Client.OURS), "×"),
            Figure("our growth ÷ C's", over, "×", at_most(1.25)),
        ],
        rounds=[{f"{run[0]}, {run[1]}": asdict(outcome) for run, outcome in one.items()} for one in rounds],
    )
