"""`python -m benchmarks.site_table`: what decoding and freezing the site table takes, once a cycle.

30,000 devices of several profiles, every one of them with new registers since the last cycle.
"""

import time
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from statistics import median

from benchmarks.figures import Figure, Finding, below, tell
from daemon.table import SiteTable
from daemon.table.snapshot import Floats
from drivers.modbus.raw_words import RawWords
from drivers.modbus.sweep import SweepPlan
from drivers.profile import ModbusMap
from drivers.profiles import load_profile

ROUNDS = 15
FLEET = {
    "sim-miner": 22_000,
    "sim-miner-m60s": 6_000,
    "sim-pdu": 1_250,
    "eastron-sdm630": 500,
    "sunspec-meter-203": 250,
}
"""Devices by profile: one with set-points, one in percent, floats, powers of ten."""
GOAL_MS = 10.0


class Matrices:
    """The registers of the whole fleet."""

    def __init__(self) -> None:
        self.matrices = list(_matrices())

    def renew(self, rng: Random) -> None:
        """Give every device a new sweep."""
        for matrix, count in zip(self.matrices, FLEET.values(), strict=True):
            for index in range(count):
                matrix.row(index)[:] = rng.randbytes(matrix.plan.size)
                matrix.filled(index)

    def decode_into(self, values: Floats) -> None:
        """As a fleet does."""
        for matrix in self.matrices:
            matrix.decode_into(values)


def _matrices() -> Iterator[RawWords]:
    starts = accumulate(FLEET.values(), initial=0)
    for (name, count), start in zip(FLEET.items(), starts, strict=False):
        profile = load_profile(name)
        assert isinstance(profile.map, ModbusMap)
        yield RawWords(SweepPlan(profile.map, profile.setpoint), range(start, start + count))


def measure() -> Finding:
    """CPU time of a freeze, with and without new registers."""
    rng, matrices = Random(1), Matrices()
    table = SiteTable([1.0] * sum(FLEET.values()))
    table.decode_with(matrices)
    full_ms, idle_ms = [], []
    for number in range(ROUNDS):
        matrices.renew(rng)
        for row in range(sum(FLEET.values())):
            table.swept(row, float(number), slow=False)
        full_ms.append(_freeze_ms(table, number))
        idle_ms.append(_freeze_ms(table, number))
    return Finding(
        name="site-table",
        title=f"Decoding and freezing {sum(FLEET.values()):,} devices",
        figures=[
            Figure("all with new registers: CPU", median(full_ms), "ms", below(GOAL_MS)),
            Figure("all with new registers: CPU at most", max(full_ms), "ms"),
            Figure("nothing new: CPU", median(idle_ms), "ms"),
        ],
        rounds=[{"full_ms": full, "idle_ms": idle} for full, idle in zip(full_ms, idle_ms, strict=True)],
        remarks=[", ".join(f"{count:,} {name}" for name, count in FLEET.items())],
    )


def _freeze_ms(table: SiteTable, number: int) -> float:
    begun = time.process_time()
    table.freeze(float(number))
    return 1e3 * (time.process_time() - begun)


if __name__ == "__main__":
    tell(measure())
