"""What comes of one step of a delivery."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing more can be done now."""

    retry_after_s: float | None = None
    """What the exchange asked for."""


class Step(StrEnum):
    """Something came of it, or there is nothing to do."""

    ON = "on"
    """Something was done; go on at once."""
    IDLE = "idle"
    """Everything has its receipt."""


Outcome = Step | Wait
