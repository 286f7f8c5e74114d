"""How much haste a link may make. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from drivers.profile import ModbusMap


@dataclass(frozen=True, slots=True)
class Pace:
    """What the slowest unit of a link bears is everyone's."""

    pause_after_connect_s: float
    pause_between_requests_s: float
    close_after_sweep: bool
    in_flight: int

    @classmethod
    def of(cls, maps: Iterable[ModbusMap], most_in_flight: int) -> "Pace":
        """For units with these maps on a line that can carry so many requests at a time."""
        maps = tuple(maps)
        paces = [each.pacing for each in maps]
        return cls(
            max(pace.pause_after_connect_s for pace in paces),
            max(pace.pause_between_requests_s for pace in paces),
            any(pace.close_after_sweep for pace in paces),
            min(most_in_flight, *(each.in_flight for each in maps)),
        )

    @property
    def is_free(self) -> bool:
        """Nothing is to be waited for between two requests."""
        return self.pause_between_requests_s == 0 and not self.close_after_sweep
