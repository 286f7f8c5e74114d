"""What the command desk needs from the rest of the site, and where its words go."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from daemon.commands.answers import Answer
from daemon.commands.claims import Arguments
from daemon.commands.orders import Hold, Lease, OperatorLimit, Quota
from daemon.commands.words import Op
from daemon.store import Transaction


class Site(Protocol):
    """The site as orders change it. Every method returns at once; powers in W, times Unix seconds."""

    def clock_trusted(self) -> bool:
        """Whether leases have shown the wall clock to be right."""

    def present_limit_w(self) -> int:
        """The limit in force."""

    def contract_max_w(self) -> int:
        """What is never exceeded."""

    def power_w(self) -> float | None:
        """Metered site power; `None` = not known now."""

    def knows_device(self, device: str) -> bool:
        """Whether the site has a device of this id."""

    def objection(self, op: Op, arguments: Arguments) -> str | None:
        """Why executing this now would be unsafe; `None` = it would not."""

    def lease_seen(self, iat: int, arrived_s: float) -> None:
        """A lease in proper form came at this wall-clock time: a measure of the clock, nothing else."""

    def quota_taken(self, quota: Quota) -> None:
        """This quota is held from now on."""

    def lease_counted(self, lease: Lease) -> None:
        """A lease for the quota held."""

    def hold_set(self, hold: Hold | None) -> None:
        """This hold is in force from now on; `None` = none is."""

    def limit_set(self, limit: OperatorLimit | None) -> None:
        """This operator's limit is in force from now on; `None` = none is."""

    def excluded(self, device: str, reason: str, until: int | None) -> None:
        """This device is not written to from now on."""

    def included(self, device: str) -> None:
        """This device is written to again."""

    def restart_obstacle(self, device: str) -> str | None:
        """Why this device can never be restarted from here; `None` = it can."""

    def restart(self, device: str) -> None:
        """Restart this device."""

    def seen_again(self, device: str) -> bool:
        """Whether the device has gone and come back since `restart`."""

    def flush(self, job: str) -> None:
        """Write everything that waits, and ask for its upload; `job` names the wish."""

    def flushed(self, job: str) -> bool:
        """Whether that has been done."""

    def reload(self, job: str) -> None:
        """Read the configuration anew and go by it; `job` names the wish."""

    def reloaded(self, job: str) -> Sequence[str] | None:
        """`None` = not yet; empty = it is gone by; else what is wrong with it, and nothing has changed."""

    def state_object(self) -> Mapping[str, Any]:
        """The `state` object; integers only."""

    def plan(self, limit_w: int) -> Mapping[str, Any]:
        """What the site would do under this limit: the result of `plan`."""


class AuditLedger(Protocol):
    """Where commands with an effect are recorded."""

    async def append(self, bodies: Sequence[Mapping[str, Any]], *, tx: Transaction | None = None) -> object:
        """Append records in somebody's transaction."""


class Outlet(Protocol):
    """Where the desk's words go. Called on the event loop; must not block or raise."""

    def answer(self, answer: Answer) -> None:
        """An answer for `rsp/{jti}`."""

    def event(self, event: Mapping[str, Any]) -> None:
        """An object for the topic `event`."""

    def refused(self, topic: str, reason: str) -> None:
        """A message was refused: one more for the counter."""
