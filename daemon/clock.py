"""The one place that reads a clock or draws randomness from the system."""

import os
import random
import time
import uuid
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Time as the daemon sees it. Waiting is the event loop's business (`asyncio.sleep`)."""

    def wall(self) -> float:
        """Unix seconds. May step."""

    def monotonic(self) -> float:
        """Seconds of the event loop's clock (`loop.time()`). Never steps."""

    def boottime(self) -> float:
        """Seconds since the machine started, suspend included."""

    def boot_id(self) -> str:
        """Identity of this boot of the machine; another value means that it restarted."""


class Entropy(Protocol):
    """Randomness as the daemon sees it."""

    def uuid(self) -> str:
        """A fresh lower-case UUID."""

    def uniform(self, low: float, high: float) -> float:
        """Uniformly from [low, high]."""


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        # systemd knows it too, and a service that sees only processes in /proc cannot read it there.
        given = os.environ.get("QUOTAWATT_BOOT_ID")
        if given:
            return str(uuid.UUID(given))
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class SystemEntropy:
    """The machine's randomness."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def uuid(self) -> str:
        return str(uuid.uuid4())

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)
