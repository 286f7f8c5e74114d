"""An instant on both clocks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks."""

    wall_s: float
    monotonic_s: float

    def later(self, seconds: float) -> "Moment":
        """The same clocks after so many seconds."""
        return Moment(self.wall_s + seconds, self.monotonic_s + seconds)
