"""A clock that stands still until a test moves it."""


class HandClock:
    """A clock that a test sets."""

    def __init__(self, wall_s: float) -> None:
        self.wall_s = wall_s
        self.monotonic_s = 1000.0
        self.boot = "boot-1"

    def wall(self) -> float:
        return self.wall_s

    def monotonic(self) -> float:
        return self.monotonic_s

    def boottime(self) -> float:
        return self.monotonic_s + 500.0

    def boot_id(self) -> str:
        return self.boot

    def advance(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds
