"""What a site of 10,000 devices costs at an ordinary pace, with everything on."""

from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.figures import Figure, Finding, at_most, below
from benchmarks.poll.load import Client, Load
from benchmarks.poll.peer import Peer
from benchmarks.poll.settings import Settings
from benchmarks.rounds import interleaved, median_of, median_ratio

DEVICES = 10_000
PERIOD_S = 5.0
WINDOW_S = 20.0
OUR_WINDOW_S = 60.0
"""As long as it takes until a row of every device is written."""
CLIENTS = (Client.C, Client.OURS, Client.PYMODBUS, Client.PYMODBUS_ASYNCIO)


def measure(settings: Settings) -> Iterator[Finding]:
    """Every device once in five seconds."""
    devices = settings.devices(DEVICES)
    loads = {
        client: Load(
            client,
            devices,
            PERIOD_S,
            max(settings.seconds(OUR_WINDOW_S if client is Client.OURS else WINDOW_S), PERIOD_S),
            warmup_s=settings.seconds(PERIOD_S),
            samples=client is Client.OURS,
        )
        for client in CLIENTS
    }
    with Peer() as peer:
        rounds = interleaved(
            CLIENTS,
            settings.rounds,
            lambda client, number: settings.run(loads[client], peer.port, number),
        )

    def busy(client: Client) -> float:
        return median_of(rounds, lambda one: one[client].busy)

    def ratio(above: Client, under: Client) -> float:
        return median_ratio(rounds, lambda one: one[above].us_per_poll, lambda one: one[under].us_per_poll)

    asyncio_share = ratio(Client.OURS, Client.PYMODBUS_ASYNCIO)
    yield Finding(
        name="poll-steady",
        title=f"{devices:,} devices every {PERIOD_S:.0f} s: ours decodes, fills the table, keeps roll-ups",
        figures=[
            *(
                Figure(f"{client}: share of a core", busy(client), "%")
                for client in CLIENTS
                if client != Client.OURS
            ),
            Figure("ours: share of a core", busy(Client.OURS), "%", below(7)),
            Figure("ours ÷ C", ratio(Client.OURS, Client.C), "×"),
            Figure("ours ÷ pymodbus on asyncio, a task per device", asyncio_share, "×", at_most(0.2)),
            Figure("ours ÷ pymodbus on uvloop, a task per device", ratio(Client.OURS, Client.PYMODBUS), "×"),
            Figure("polls that ours missed", max(one[Client.OURS].missed for one in rounds), ""),
            Figure("ours: memory", median_of(rounds, lambda one: one[Client.OURS].rss_mb), "MB"),
        ],
        rounds=[{client: asdict(outcome) for client, outcome in one.items()} for one in rounds],
        remarks=["C and pymodbus poll and do nothing else"],
    )
