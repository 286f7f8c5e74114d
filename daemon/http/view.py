"""What the local HTTP interface needs of the site."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from daemon.http.powers import Powers


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the daemon does its work; `reasons` says why not."""

    ok: bool
    reasons: tuple[str, ...] = ()


NO_STORE = "no-store"
"""The word of a command that could not be made durable, and so was not taken: it may be sent again later."""


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """What became of a command's bytes."""

    word: str
    """`accepted`, `done`, `failed` or `rejected`; without one, why it is none: `malformed`, `NO_STORE`, …"""
    answer: str | None
    """The first answer, a compact JWS; `None` where MQTT would be silent too."""


class SiteView(Protocol):
    """The running site. The plain methods answer from memory, at once."""

    def state(self) -> dict[str, Any]:
        """The `state` object of MQTT."""

    def devices(self) -> list[dict[str, Any]]:
        """One object for every device."""

    def powers(self) -> Powers:
        """What the loads draw."""

    async def plan(self, limit_w: int) -> dict[str, Any] | None:
        """What the site would do under a limit, without doing it; `None` = it was not seen whole yet."""

    def ledger(self) -> dict[str, Any]:
        """Head, acknowledged record, backlog."""

    def health(self) -> Health:
        """For `/healthz`."""

    async def command(self, body: bytes) -> CommandOutcome:
        """Take a cmd JWS as if it had come by MQTT on its issuer's own topic."""

    async def answers(self, jti: str) -> Sequence[str]:
        """The answers to a command so far, oldest first; none if it is not known."""
