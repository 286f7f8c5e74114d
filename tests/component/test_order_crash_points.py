"""Killed between any two steps of taking an order: executed at most once, and answered in the end.

A kill is a copy of the database's files as they lie there at that moment: what the kernel would keep.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from daemon.commands.answers import Answer
from daemon.commands.desk import CommandDesk
from daemon.commands.orders import ScheduleEntry
from daemon.commands.sender import Sender, Signed
from daemon.commands.words import Lane, Op, Role
from daemon.store import Store, Transaction
from daemon.store.database import Connection
from tests.world.desk import PaperOutlet, PaperSite, answer_claims
from tests.world.hand_clock import HandClock
from tests.world.inline_store import connect_inline
from tests.world.orders import KEYS, NOW_S, SITE, SITE_KEY, VERIFIER, CountedUuids

MOST_STEPS = 200


class KilledError(BaseException):
    """The end, here and now."""


class Steps:
    """Counts steps once it is armed, and ends everything at one of them."""

    def __init__(self, folder: Path, fatal: int | None) -> None:
        self.folder = folder
        self.armed = False
        self._fatal = fatal
        self._count = 0

    def step(self) -> None:
        if not self.armed:
            return
        self._count += 1
        if self._count == self._fatal:
            shutil.copytree(self.folder, self.folder.with_name("left"))
            raise KilledError


class _SteppedConnection:
    """A step before every statement, and one after every COMMIT."""

    def __init__(self, inner: Connection, steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Any:
        if sql != "ROLLBACK":
            self._steps.step()
        cursor = await self._inner.execute(sql, parameters)
        if sql == "COMMIT":
            self._steps.step()
        return cursor

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Any:
        return await self._inner.executemany(sql, parameters)

    async def executescript(self, sql_script: str) -> Any:
        return await self._inner.executescript(sql_script)

    async def close(self) -> None:
        await self._inner.close()


class _Told(list[tuple[str, Any]]):
    """A step before and after everything that the site is told."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    def append(self, entry: tuple[str, Any]) -> None:
        self._steps.step()
        super().append(entry)
        self._steps.step()


class _SteppedOutlet(PaperOutlet):
    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    def answer(self, answer: Answer) -> None:
        self._steps.step()
        super().answer(answer)


class _Audit:
    """Keeps its records where the desk's transaction is."""

    async def append(self, bodies: Sequence[Mapping[str, Any]], *, tx: Transaction | None = None) -> None:
        assert tx is not None
        for body in bodies:
            await tx.execute("INSERT INTO audit VALUES (?)", (str(body["detail"]["jti"]),))


class Life:
    """One run of the daemon's desk on the files of a folder."""

    def __init__(self, folder: Path, clock: HandClock, fatal: int | None = None) -> None:
        self.steps = Steps(folder, fatal)
        self.site = PaperSite()
        self.site.told = _Told(self.steps)
        self.outlet = _SteppedOutlet(self.steps)
        self._clock = clock

    async def open(self) -> CommandDesk:
        async def connect(path: Path) -> Connection:
            return _SteppedConnection(await connect_inline(path), self.steps)

        self.store = await Store.open(self.steps.folder / "site.db", connect)
        async with self.store.transaction() as tx:
            await tx.execute("CREATE TABLE IF NOT EXISTS audit (jti TEXT)")
        return await CommandDesk.open(
            store=self.store,
            ledger=_Audit(),
            verifier=VERIFIER,
            site=self.site,
            signer=SITE_KEY,
            clock=self._clock,
            outlet=self.outlet,
        )

    async def through(self, desk: CommandDesk, message: Signed) -> None:
        """Deliver the message, and let the site show that it is done."""
        await desk.receive(message.lane, message.jws.encode())
        self.site.metered_w = 1_000_000.0
        self.site.back.add("m-00001")
        self.site.jobs_done.add(message.jti)
        self.site.reloads[message.jti] = []
        self._clock.advance(1)
        await desk.tick()


ORDERS: dict[str, tuple[Role, dict[str, Any]]] = {
    "quota": (Role.DISPATCHER, {}),
    "ping": (Role.OPERATOR, {}),
    "hold": (Role.OPERATOR, {"limit_w": 5_000_000, "reason": "crane"}),
    "release_hold": (Role.OPERATOR, {}),
    "set_limit": (Role.OPERATOR, {"limit_w": 5_000_000}),
    "device.exclude": (Role.OPERATOR, {"device": "m-00001", "reason": "fan"}),
    "device.include": (Role.OPERATOR, {"device": "m-00001"}),
    "device.restart": (Role.OPERATOR, {"device": "m-00001"}),
    "plan": (Role.OPERATOR, {"limit_w": 1_000_000}),
    "flush": (Role.ENGINEER, {}),
    "reload": (Role.ENGINEER, {}),
}
UNRECORDED = {"ping", "plan"}


def test_every_operation_is_killed() -> None:
    assert set(ORDERS) == {"quota", *Op}


def order(name: str, clock: HandClock) -> Signed:
    role, args = ORDERS[name]
    sender = Sender(KEYS[role], SITE, clock, CountedUuids())
    if name == "quota":
        return sender.quota(3, [ScheduleEntry(NOW_S, NOW_S + 3600, 12_000_000)])
    return sender.command(name, args, lane=Lane.of_commands(role))


async def killed_at(folder: Path, name: str, step: int) -> bool:
    """Kill at this step, start again, and judge how it ended; whether there was such a step."""
    clock = HandClock(NOW_S)
    message = order(name, clock)
    (folder / "site").mkdir(parents=True)
    first = Life(folder / "site", clock, step)
    desk = await first.open()
    first.steps.armed = True
    try:
        await first.through(desk, message)
    except KilledError:
        first.steps.armed = False
    else:
        return False
    finally:
        await first.store.close()
    second = Life(folder / "left", clock)
    try:
        await _judge(first, second, message, name)
    finally:
        await second.store.close()
    return True


async def _judge(first: Life, second: Life, message: Signed, name: str) -> None:
    desk = await second.open()
    for _ in range(2):  # its sender sends it until it is answered, and the broker brings it twice
        await second.through(desk, message)
    words = [answer_claims(jws)["status"] for jws in await desk.answers(message.jti)]
    heard = {answer_claims(answer)["status"] for answer in second.outlet.answers}
    audit = await second.store.fetch_all("SELECT jti FROM audit")
    effects = Counter(kind for kind, _ in [*first.site.told, *second.site.told])

    assert len(words) == 2
    assert words[0] == "accepted"
    assert words[1] == "done" or (name == "device.restart" and words[1] == "failed")
    # A quota that is held is not answered when it comes again: its answers are told at the start.
    assert heard == set(words)
    assert audit == ([] if name in UNRECORDED else [(message.jti,)])
    # A flush may run twice: that changes nothing.
    assert all(times == 1 for kind, times in effects.items() if kind != "flush")
    assert (desk.kept.hold is not None) is (name == "hold")
    assert (desk.kept.set_limit is not None) is (name == "set_limit")
    assert (desk.kept.quota is not None) is (name == "quota")
    assert bool(desk.kept.exclusions) is (name == "device.exclude")


@pytest.mark.parametrize("name", ORDERS)
async def test_an_order_killed_at_any_step_is_executed_at_most_once_and_answered(
    tmp_path: Path, name: str
) -> None:
    step = 1
    while await killed_at(tmp_path / str(step), name, step):
        shutil.rmtree(tmp_path / str(step))
        step += 1
        assert step < MOST_STEPS
    assert step > 12
