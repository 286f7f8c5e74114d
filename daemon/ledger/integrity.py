"""Is what is stored what was signed? What is found damaged is remembered until an operator goes past it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from daemon.errors import LedgerDamagedError
from daemon.ledger.chain import StoredRecord, check_record, payload_of, verify_run
from daemon.ledger.epochs import keep, kept
from daemon.ledger.register import Baseline
from daemon.ledger.tables import EpochState, Rows, read_baselines, read_records
from daemon.signing import MalformedError, PublicKey
from daemon.store import Transaction

TAIL = 256
"""Records of the newest epoch that are verified before anything is appended after them."""

TAIL_AGAIN = 16
"""The same after the disk has failed while the daemon runs: what lies further back is the audit's."""

SLICE = 50
"""Records that the audit verifies at once: some 10 ms."""

_DAMAGE = "ledger_damage"
_PASSED = "ledger_damage_passed"


@dataclass(frozen=True, slots=True)
class Layout:
    """What an epoch says about its intervals; another layout needs another epoch."""

    interval_s: int
    points: tuple[str, ...]
    """Metered points, the site meter first."""


async def check_tail(
    rows: Rows, newest: EpochState, site: str, keys: Sequence[PublicKey], length: int = TAIL
) -> Layout:
    """Verify the newest records of the newest epoch and its opening; returns what the epoch says.

    Raises:
        LedgerDamagedError: they are not what was signed.
    """
    first = max(1, newest.last_seq - length + 1)
    tail = await read_records(rows, newest.epoch, first, length)
    if not tail:
        raise LedgerDamagedError(f"record {newest.epoch}/1: is missing")
    if tail[0].seq != first:
        raise LedgerDamagedError(f"record {newest.epoch}/{first}: is missing")
    verify_run(tail, site, *keys)
    opening = await read_records(rows, newest.epoch, 1, 1)
    try:
        verify_run(opening[:1], site, *keys)
        members = payload_of(opening[0].jws)
        return Layout(members["interval_s"], tuple(members["points"]))
    except (MalformedError, LookupError) as error:
        raise LedgerDamagedError(f"record {newest.epoch}/1: does not open the epoch") from error


def sound(
    records: Sequence[StoredRecord], site: str, keys: Sequence[PublicKey]
) -> list[tuple[StoredRecord, dict[str, Any]]]:
    """Those of `records` that were signed as they are, with their members."""
    found = []
    for record in records:
        try:
            found.append((record, check_record(record, site, keys)))
        except LedgerDamagedError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Damage:
    """What was found damaged, and nobody has gone past it."""

    text: str
    baselines: dict[str, Baseline]
    """Where every point continued then: what came later is not signed yet."""


async def known_damage(rows: Rows) -> Damage | None:
    """What whoever found it has remembered."""
    text = await kept(rows, _DAMAGE)
    if text is None:
        return None
    value = json.loads(text)
    baselines = {each["point"]: Baseline(**each) for each in value["baselines"]}
    return Damage(value["text"], baselines)


async def remember_damage(tx: Transaction, text: str) -> None:
    """Whoever opens the ledger next knows it too. What was found first stays."""
    if await kept(tx, _DAMAGE) is None:
        baselines = [asdict(baseline) for baseline in (await read_baselines(tx)).values()]
        await keep(tx, _DAMAGE, json.dumps({"text": text, "baselines": baselines}))


async def pass_damage(tx: Transaction, epoch: int) -> None:
    """An operator has opened `epoch`: what was before it is not looked at again."""
    await keep(tx, _DAMAGE, None)
    await keep(tx, _PASSED, json.dumps(epoch))


class Audit:
    """Verifies the whole ledger bit by bit, the oldest first, and begins anew when it is through."""

    def __init__(self) -> None:
        self._epoch = 0
        self._seq = 0

    async def step(
        self, rows: Rows, epochs: Sequence[EpochState], site: str, keys: Sequence[PublicKey]
    ) -> bool:
        """Verify the next `SLICE` records; `False` if these were the last.

        Raises:
            LedgerDamagedError: they are not what was signed.
        """
        passed = json.loads(await kept(rows, _PASSED) or "0")
        due = [state for state in epochs if state.epoch >= max(passed, self._epoch)]
        if not due:
            self._epoch = self._seq = 0
            return False
        state = due[0]
        if state.epoch != self._epoch:
            self._epoch, self._seq = state.epoch, 0
        # One before, for the link; records that were pruned leave no more than a beginning.
        run = await read_records(rows, state.epoch, max(self._seq, 2), SLICE + 1)
        verify_run(run, site, *keys)
        if not run or run[-1].seq >= state.last_seq:
            self._epoch, self._seq = state.epoch + 1, 0
        else:
            self._seq = run[-1].seq
        return True
