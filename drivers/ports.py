"""The ports between the drivers and whoever uses them.

Times are seconds of the event loop's monotonic clock (`loop.time()`).
"""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from drivers.quantity import Quantity


class Absence(StrEnum):
    """Why a value is not there. A value is never 0 because a read failed."""

    NEVER_READ = "never-read"
    TIMED_OUT = "timed-out"
    NOT_CONNECTED = "not-connected"
    REFUSED = "refused"
    """The device answered with an exception."""
    INVALID = "invalid"
    """The answer was malformed or out of any plausible range."""
    NOT_AVAILABLE = "not-available"
    """The device says so itself (a sentinel value)."""
    WRONG_DEVICE = "wrong-device"
    """What answers there is not what its profile says: it is neither used nor written."""
    SILENT = "silent"
    """An MQTT device has not published for too long."""


class WriteResult(StrEnum):
    """How a set-point write ended. `ACKNOWLEDGED` says the device answered OK, not that it obeys."""

    ACKNOWLEDGED = "acknowledged"
    TIMED_OUT = "timed-out"
    NOT_CONNECTED = "not-connected"
    REFUSED = "refused"


class FleetSink(Protocol):
    """Where a fleet puts what it learns. Called on the event loop; must not block or raise."""

    def swept(self, row: int, started: float, slow: bool) -> None:  # noqa: FBT001  by position: it is cheaper
        """One sweep of a device succeeded; what it brought is in what `Fleet.decode_into` writes.

        Args:
            row: the device's row, its index in the fleet's list of devices.
            started: when the request went out: a value is not younger than this.
            slow: the sweep of the device's slow points, which is one of its own.
        """

    def sampled(self, row: int, values: Mapping[Quantity, float | None], started: float) -> None:
        """What a device said by itself, one message at a time.

        Args:
            row: the device's row, its index in the fleet's list of devices.
            values: every quantity of the device's profile; `None` = the device says "not available".
            started: when the request went out: a value is not younger than this.
        """

    def failed(self, row: int, reason: Absence) -> None:
        """A sweep of a device failed: its values are absent from now on, with this reason."""

    def refused(self, row: int, quantities: Collection[Quantity]) -> None:
        """A device does not let itself be asked for these; replaces what was said before.

        Its other values go on.
        """

    def written(self, row: int, watts: float | None, result: WriteResult, started: float) -> None:
        """A set-point write ended. `watts` as in `Fleet.order`; `started` = when it went out."""


class Fleet(Protocol):
    """All devices of a site, polled, and ordered about."""

    async def run(self) -> None:
        """Poll until cancelled. One bad device never delays another."""

    def order(self, row: int, watts: float | None) -> None:
        """Queue a set-point for a device: at most `watts` W, 0 = sleep, `None` = no limit of ours.

        The newest order of a device replaces one that has not gone out yet. Writes go ahead of
        reads. The outcome comes through `FleetSink.written`.
        """

    def switch(self, row: int, outlet: int, *, on: bool) -> None:
        """Queue the switching of an outlet of a PDU. Whether it came to that shows in what is measured.

        Raises:
            ValueError: its profile has no switches, or not this one.
        """

    def arm(self, row: int, watts: float) -> None:
        """Have a device fall back to `watts` by itself, 0 = sleep, unless it is ordered again in time.

        One that cannot be told what to fall back to is told the time alone, if it takes one.
        The time counts from now. Whether it arrived is not told: whoever arms does so again and again.

        Raises:
            ValueError: its profile has no reversion timer.
        """

    def counters(self) -> Mapping[str, int]:
        """Polls so far by result: `ok`, every `Absence`, and `missed` = skipped for want of time."""

    def decode_into(self, values: npt.NDArray[np.float64]) -> None:
        """Write what was swept since the last call: (devices, quantities), NaN = not available."""

    def poll_lag_s(self) -> float:
        """How late the polls were at worst since this was last asked; 0 = never late."""


TopicHandler = Callable[[str, bytes, bool], None]
"""Takes topic, payload, retained. Called on the event loop; must not block or raise."""


class TopicBus(Protocol):
    """A connection to the site's broker."""

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        """Have `handler` called for every message; survives reconnects."""

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Queue a message. `False` = there is no connection now and the message is not kept."""


class DeviceTopics(TopicBus, Protocol):
    """The same, as the drivers of devices see it, which come and go."""

    def unsubscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        """Have a handler that was given to `subscribe` called no more."""
