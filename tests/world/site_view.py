"""A site as the local HTTP interface sees it, with whatever answers a test wants."""

from collections.abc import Sequence
from typing import Any

from daemon.http import CommandOutcome, Health
from daemon.http.powers import Powers

STATE: dict[str, Any] = {
    "ts": "2027-01-15T08:00:00Z",
    "online": True,
    "boot": "0b6b3c5e-6c57-4d7b-9b0a-0f2f1a7f7a11",
    "version": "0.1.0",
    "state": "limited",
    "limit_w": 600_000,
    "limit_source": "quota",
    "quota_rev": 7,
    "power_w": None,
    "power_source": "none",
    "headroom_w": None,
    "hold": None,
    "devices": {"total": 260, "ok": 255, "suspect": 5, "down": 0, "curtailed": 90},
    "ledger": {"epoch": 1_800_000_000, "seq": 40, "acked_seq": 38},
    "alarms": [{"id": "a-1", "type": "meter-stale", "since": "2027-01-15T07:59:00Z"}],
}


class ScriptedView:
    """Implements `SiteView`."""

    def __init__(self) -> None:
        self.health_now = Health(ok=True)
        self.outcome = CommandOutcome("accepted", "a.b.c")
        self.commands: list[bytes] = []
        self.planned: list[int] = []
        self.seen_whole = True

    def state(self) -> dict[str, Any]:
        return STATE

    def devices(self) -> list[dict[str, Any]]:
        return [{"id": "poi", "power_w": None}]

    async def plan(self, limit_w: int) -> dict[str, Any] | None:
        self.planned.append(limit_w)
        return {"limit_w": limit_w, "reached": True} if self.seen_whole else None

    def powers(self) -> Powers:
        return Powers({"hall-1": (0.0, 6e6)}, {"hash": 1.5}, {"m-1": 1.5})

    def ledger(self) -> dict[str, Any]:
        return STATE["ledger"]  # type: ignore[no-any-return]  # plain JSON

    def health(self) -> Health:
        return self.health_now

    async def command(self, body: bytes) -> CommandOutcome:
        self.commands.append(body)
        return self.outcome

    async def answers(self, jti: str) -> Sequence[str]:
        return ["a.b.c", "d.e.f"] if jti == "known" else []
