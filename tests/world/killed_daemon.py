"""The whole daemon, killed again and again: `python -m … FOLDER --cycles N [--seed N]`.

Each life is `quotawatt run` in a process of its own, forked from one that has read the program already, so
that it starts in a moment: with real files, real fsync, a simulated plant and an exchange over real sockets,
and that exchange fails in every way it can. Whoever kills it with SIGKILL knows in what it died
(`telling_life`). Prints a histogram of that, and what an auditor finds afterwards, as JSON.
"""

import argparse
import asyncio
import ctypes
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.ledger.chain import payload_of, verify_run
from daemon.ledger.tables import read_epochs, read_records
from daemon.service.garbage import spare_the_search
from daemon.store import Store
from tests.world.flaky_outside import KEY, POINTS, SITE, Outside, outside
from tests.world.metered_site import MIDNIGHT, audit
from tests.world.telling_life import Board, Phase, live

INTERVAL_S = 1
OCCURRENCES = (1, 1, 1, 1, 2, 2, 3, 5)
"""Of its phase, that a life dies in: at the start, where there is an outage to settle, and later."""
BEFORE_MIDNIGHT_S = 15
LIFE_S = 6.0
"""A life that has not died in its phase by then dies of old age."""
REST_S = 60.0
"""What the first and the last life may take until the exchange has everything."""
WANTED = (Phase.INSIDE, Phase.COMMITTED, Phase.SENT, Phase.RECEIPT)

_PR_SET_PDEATHSIG = 1
_COMMON = {"v", "site", "epoch", "seq", "prev", "fw"}


class LifeError(Exception):
    """A life ended by itself."""


@dataclass(frozen=True, slots=True)
class Killer:
    """Starts lives of one site, and ends them."""

    folder: Path
    board: Board
    rng: random.Random

    def fork(self, work: Callable[[], None]) -> int:
        """Do something in a process of its own; returns its id. What it says is in `daemon.log`."""
        child = os.fork()
        if child:
            return child
        try:
            # It does not outlive us, however we end.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            log = os.open(self.folder / "daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def kill_in(self, phase: Phase, occurrence: int) -> Phase:
        """Live, and die at the n-th time that it comes into `phase`; returns what it died in."""
        child, deadline_s = self._born(), _now_s() + LIFE_S
        seen, before = 0, Phase.IDLE
        while seen < occurrence and (left_s := deadline_s - _now_s()) > 0:
            for now in self.board.heard(left_s):
                seen += now is phase and before is not phase
                before = now
            self._must_live(child)
        # Not always at the very beginning of it.
        time.sleep(self.rng.choice([0.0, 0.0, self.rng.uniform(0, 0.002)]))
        _kill(child)
        return self.board.phase

    def live_until(self, done: Callable[[], bool]) -> None:
        """One life that is killed when something is so.

        Raises:
            TimeoutError: it never is.
        """
        child, deadline_s = self._born(), _now_s() + REST_S
        try:
            while not done():
                if _now_s() > deadline_s:
                    raise TimeoutError(f"the exchange has not got everything within {REST_S} s")
                time.sleep(0.05)
                self.board.heard(0)
                self._must_live(child)
        finally:
            _kill(child)

    def _born(self) -> int:
        self.board.forget()
        config, board = self.folder / "site.toml", self.board
        return self.fork(lambda: live(config, board))

    def _must_live(self, child: int) -> None:
        # Looked at, not waited for: its id stays its own until it is killed.
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            text = (self.folder / "daemon.log").read_text(encoding="utf-8")
            raise LifeError(f"a life ended by itself:\n{text[-3000:]}")


def _now_s() -> float:
    return time.monotonic()  # noqa: TID251 - real processes die in real time


def _kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def campaign(folder: Path, cycles: int, seed: int) -> dict[str, Any]:
    """Kill `cycles` lives, the rarest phase first, between two that live while nothing is drawn."""
    rng, died = random.Random(seed), Counter[Phase]()
    error_s = MIDNIGHT + 86_400 - BEFORE_MIDNIGHT_S - time.time()  # noqa: TID251 - the clock that errs
    killer = Killer(folder, Board(error_s), rng)
    # What has been read already no life looks through again.
    spare_the_search()
    with outside(folder, seed=seed, interval_s=INTERVAL_S, clock_error_s=error_s, fork=killer.fork) as plant:
        begun_wh = plant.stand_still()
        killer.live_until(lambda: _settled(folder, plant))
        plant.go_on()
        for _ in range(cycles):
            phase = min(WANTED, key=lambda each: died[each])
            died[killer.kill_in(phase, rng.choice(OCCURRENCES))] += 1
            time.sleep(rng.choice([0.0, 0.0, 0.0, 0.3, 1.5]))
        ended_wh = plant.stand_still()
        killer.live_until(lambda: _settled(folder, plant))
    return {
        "cycles": cycles,
        "died": {phase.name.lower(): died[phase] for phase in Phase},
        "true_wh": ended_wh - begun_wh,
        **asyncio.run(audited(folder)),
    }


def _settled(folder: Path, plant: Outside) -> bool:
    """Whether the exchange has an interval in which nothing was drawn."""
    for jws in reversed(_at_exchange(folder)[-2 * len(POINTS) :]):
        members = payload_of(jws)
        if members["kind"] == "interval" and members["point"] == POINTS[-1]:
            return bool(members["start"] >= plant.still_since)
    return False


def _at_exchange(folder: Path) -> list[bytes]:
    with closing(sqlite3.connect(folder / "book.db")) as book:
        return [bytes(row[0]) for row in book.execute("SELECT jws FROM records ORDER BY epoch, seq")]


async def audited(folder: Path) -> dict[str, Any]:
    """Hold the site's file and the exchange's book against each other; the energy is the exchange's."""
    store = await Store.open(folder / "state" / "site.db")
    try:
        epochs = await read_epochs(store)
        records = [each for state in epochs for each in await read_records(store, state.epoch, 1)]
    finally:
        await store.close()
    verify_run(records, SITE, KEY.public())
    ours = [record.jws.encode("ascii") for record in records]
    theirs = _at_exchange(folder)
    members = [payload_of(jws) for jws in theirs]
    bodies = [{name: value for name, value in each.items() if name not in _COMMON} for each in members]
    return {
        "records": len(theirs),
        "kinds": Counter(each["kind"] for each in bodies),
        "gaps": Counter(each["reason"] for each in bodies if each["kind"] == "gap"),
        "epochs": len(epochs),
        "lost": sum(jws not in set(theirs) for jws in ours[: epochs[-1].acked_seq]),
        "doubled": len(theirs) - len(set(theirs)),
        "same": theirs == ours[: len(theirs)],
        "not_delivered": len(ours) - len(theirs),
        "counted_wh": {point: audit(bodies, INTERVAL_S, point) for point in POINTS},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(json.dumps(campaign(arguments.folder, arguments.cycles, arguments.seed)) + "\n")


if __name__ == "__main__":
    main()
