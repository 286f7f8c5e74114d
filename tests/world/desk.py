"""A command desk at a site that a test makes up: no plant, no broker."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon.commands.answers import Answer
from daemon.commands.claims import Arguments
from daemon.commands.desk import CommandDesk
from daemon.commands.orders import Hold, Lease, OperatorLimit, Quota
from daemon.commands.words import Op
from daemon.signing import loads, parse, verify
from daemon.store import Store, Transaction
from tests.world.hand_clock import HandClock
from tests.world.orders import NOW_S, SITE_KEY, VERIFIER


class PaperSite:
    """Notes what it is told; the test sets what it says."""

    def __init__(self) -> None:
        self.trusted = True
        self.limit_w = 10_000_000
        self.metered_w: float | None = 9_000_000.0
        self.no_restart: str | None = None
        self.back: set[str] = set()
        """Devices that have come back."""
        self.jobs_done: set[str] = set()
        self.reloads: dict[str, list[str]] = {}
        """What came of a reload."""
        self.told: list[tuple[str, Any]] = []

    def clock_trusted(self) -> bool:
        return self.trusted

    def present_limit_w(self) -> int:
        return self.limit_w

    def contract_max_w(self) -> int:
        return 25_000_000

    def power_w(self) -> float | None:
        return self.metered_w

    def knows_device(self, device: str) -> bool:
        return device == "m-00001"

    def objection(self, op: Op, arguments: Arguments) -> str | None:
        del op, arguments
        return None

    def lease_seen(self, iat: int, arrived_s: float) -> None:
        self.told.append(("lease seen", (iat, arrived_s)))

    def quota_taken(self, quota: Quota) -> None:
        self.told.append(("quota", quota.rev))

    def lease_counted(self, lease: Lease) -> None:
        self.told.append(("lease", lease))

    def hold_set(self, hold: Hold | None) -> None:
        self.told.append(("hold", hold))

    def limit_set(self, limit: OperatorLimit | None) -> None:
        self.told.append(("limit", limit))

    def excluded(self, device: str, reason: str, until: int | None) -> None:
        self.told.append(("excluded", (device, reason, until)))

    def included(self, device: str) -> None:
        self.told.append(("included", device))

    def restart_obstacle(self, device: str) -> str | None:
        del device
        return self.no_restart

    def restart(self, device: str) -> None:
        self.told.append(("restart", device))

    def seen_again(self, device: str) -> bool:
        return device in self.back

    def flush(self, job: str) -> None:
        self.told.append(("flush", job))

    def flushed(self, job: str) -> bool:
        return job in self.jobs_done

    def reload(self, job: str) -> None:
        self.told.append(("reload", job))

    def reloaded(self, job: str) -> list[str] | None:
        return self.reloads.get(job)

    def state_object(self) -> Mapping[str, Any]:
        return {"state": "limited", "limit_w": self.limit_w}

    def plan(self, limit_w: int) -> Mapping[str, Any]:
        return {"limit_w": limit_w, "reached": True}

    def of(self, what: str) -> list[Any]:
        """What the site was told of one kind."""
        return [value for kind, value in self.told if kind == what]


class PaperLedger:
    """Keeps bodies whose transaction was committed, as far as it can know."""

    def __init__(self) -> None:
        self.bodies: list[Mapping[str, Any]] = []
        self.fails: Exception | None = None

    async def append(self, bodies: Sequence[Mapping[str, Any]], *, tx: Transaction | None = None) -> None:
        assert tx is not None
        if self.fails is not None:
            raise self.fails
        self.bodies += bodies


class PaperOutlet:
    """Keeps what the desk said."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.events: list[Mapping[str, Any]] = []
        self.refusals: list[tuple[str, str]] = []

    def answer(self, answer: Answer) -> None:
        self.answers.append(answer)

    def event(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)

    def refused(self, topic: str, reason: str) -> None:
        self.refusals.append((topic, reason))


class DeskWorld:
    """A desk and everything around it."""

    def __init__(self, store: Store, clock: HandClock) -> None:
        self.store = store
        self.clock = clock
        self.site = PaperSite()
        self.ledger = PaperLedger()
        self.outlet = PaperOutlet()

    async def open(self) -> CommandDesk:
        return await CommandDesk.open(
            store=self.store,
            ledger=self.ledger,
            verifier=VERIFIER,
            site=self.site,
            signer=SITE_KEY,
            clock=self.clock,
            outlet=self.outlet,
        )


@asynccontextmanager
async def desk_world(folder: Path, clock: HandClock | None = None) -> AsyncIterator[DeskWorld]:
    """A world whose store lies in a folder."""
    store = await Store.open(folder / "site.db")
    try:
        yield DeskWorld(store, clock or HandClock(NOW_S))
    finally:
        await store.close()


def said(answers: Sequence[Answer]) -> list[tuple[str, str | None]]:
    """Status and reason of every answer, each verified with the site's key."""
    return [(claims["status"], claims.get("reason")) for claims in map(answer_claims, answers)]


def answer_claims(answer: Answer | str) -> dict[str, Any]:
    """The claims of an answer signed by the site."""
    envelope = parse((answer if isinstance(answer, str) else answer.jws).encode())
    verify(envelope, SITE_KEY.public())
    assert envelope.header.typ == "qw-rsp+jws"
    claims: dict[str, Any] = loads(envelope.payload)
    return claims
