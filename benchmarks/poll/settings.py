"""How thoroughly to measure."""

import sys
from dataclasses import dataclass

from benchmarks.poll.child import run_client
from benchmarks.poll.load import Load, Outcome

ROUNDS = 5
QUICK_ROUNDS = 2
QUICK_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    """How thoroughly to measure."""

    rounds: int = ROUNDS
    quick: bool = False
    """Shorter windows: for a look, not for a figure."""
    scale: float = 1.0
    """Share of the devices."""
    simulator: bool = False
    """Poll our own simulator, where a row can."""

    def seconds(self, whole: float) -> float:
        """Length of a window that lasts `whole` when it is to count."""
        return whole * QUICK_SHARE if self.quick else whole

    def devices(self, whole: int) -> int:
        """Number of devices, or of gateways, where `whole` is to be measured."""
        return max(round(whole * self.scale), 1)

    def run(self, load: Load, port: int, number: int) -> Outcome:
        """Have a client do its work in a round, and say that it has."""
        outcome = run_client(load, port)
        what = f"round {number + 1}/{self.rounds}: {load.client} with {load.devices:,} devices"
        line = f"  {what}: {outcome.us_per_poll:.1f} µs a poll, {outcome.busy:.0f} % of a core"
        lost = f"{outcome.stolen_s:.2f} s stolen, {outcome.waited:.0f} % of the time waiting for the core"
        print(f"{line}, {lost}", file=sys.stderr, flush=True)
        return outcome
