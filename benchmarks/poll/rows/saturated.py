"""CPU per poll when every client goes as fast as it can."""

from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.figures import Figure, Finding, at_least, at_most
from benchmarks.poll.load import REGISTERS, Client, Load
from benchmarks.poll.peer import Peer
from benchmarks.poll.settings import Settings
from benchmarks.rounds import interleaved, median_of, median_ratio

SIZES = (1_000, 10_000)
WINDOW_S = 3.0


def measure(settings: Settings) -> Iterator[Finding]:
    """For each number of devices."""
    for size in SIZES:
        yield _measure(settings, size)


def _measure(settings: Settings, size: int) -> Finding:
    seconds = settings.seconds(WINDOW_S)
    loads = {client: Load(client, settings.devices(size), None, seconds) for client in Client}
    with Peer() as peer:
        rounds = interleaved(
            list(Client),
            settings.rounds,
            lambda client, number: settings.run(loads[client], peer.port, number),
        )
    costs = [{client: outcome.us_per_poll for client, outcome in one.items()} for one in rounds]

    def cost(client: Client) -> Figure:
        return Figure(f"{client}: CPU per poll", median_of(costs, lambda one: one[client]), "µs")

    def ratio(above: Client, under: Client) -> float:
        return median_ratio(costs, lambda one: one[above], lambda one: one[under])

    return Finding(
        name=f"poll-saturated-{size}",
        title=f"{settings.devices(size):,} devices as fast as it goes, {REGISTERS} registers a poll",
        figures=[
            *(cost(client) for client in Client),
            Figure("ours ÷ C", ratio(Client.OURS, Client.C), "×", at_most(1.8)),
            Figure("ours on asyncio ÷ C", ratio(Client.OURS_ASYNCIO, Client.C), "×"),
            Figure(
                "pymodbus on asyncio ÷ ours", ratio(Client.PYMODBUS_ASYNCIO, Client.OURS), "×", at_least(4)
            ),
            Figure("pymodbus on uvloop ÷ ours", ratio(Client.PYMODBUS, Client.OURS), "×", at_least(3)),
        ],
        rounds=[{client: asdict(outcome) for client, outcome in one.items()} for one in rounds],
        remarks=["ours with its values decoded and in the site table; C and pymodbus with registers alone"],
    )
