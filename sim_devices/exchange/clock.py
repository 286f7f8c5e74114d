"""The exchange's wall clock, when it runs as a program of its own."""

import time


def wall_clock() -> float:
    """Unix seconds."""
    return time.time()  # noqa: TID251 – the exchange shares no code with the daemon, its clock included
