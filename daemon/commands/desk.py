"""Takes signed messages, makes the ones that count durable, answers, and has them executed.

Everything about one message changes in one transaction: the audit record, the last seq, the order
kept, the message and its first answers. Only then is anything told to the sender or the site.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import structlog

from daemon.clock import Clock
from daemon.commands import journal
from daemon.commands.answers import Answer, Outcome, compose
from daemon.commands.execution import Execution, execute, refusal, take_quota
from daemon.commands.kept import Kept
from daemon.commands.orders import Lease
from daemon.commands.refusals import RefusalLog, RefusalNews
from daemon.commands.site import AuditLedger, Outlet, Site
from daemon.commands.verdicts import (
    Admitted,
    Authentic,
    Command,
    Facts,
    HearLease,
    HeldAlready,
    Refused,
    Repeated,
    TakeQuota,
)
from daemon.commands.verifier import Verifier
from daemon.commands.waiting import Flushed, Waiting, patience_s, resumed
from daemon.commands.words import Lane, Reason
from daemon.signing import PrivateKey
from daemon.store import Store, Transaction

_PRUNE_EVERY_S = 60.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a message came to, to be told once it is durable."""

    answers: Sequence[Answer] = ()
    refused: Refused | None = None
    execution: Execution | None = None
    waiting: list[Waiting] | None = None
    """All commands that are waited for from now on; `None` = as before."""


class CommandDesk:
    """The site's one counter for orders. Use `open`.

    `receive` and `tick` raise `StoreError` when the disk refuses: then nothing was taken or answered.
    """

    def __init__(
        self,
        *,
        store: Store,
        ledger: AuditLedger,
        verifier: Verifier,
        site: Site,
        signer: PrivateKey,
        clock: Clock,
        outlet: Outlet,
        kept: Kept,
        waiting: Iterable[Waiting] = (),
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._verifier = verifier
        self._site = site
        self._signer = signer
        self._clock = clock
        self._outlet = outlet
        self._kept = kept
        self._waiting = list(waiting)
        self._news, self._lines = RefusalNews(), RefusalLog()
        self._measured_seqs: dict[str, int] = {}
        self._next_prune_s = clock.monotonic()
        self._lock = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        *,
        store: Store,
        ledger: AuditLedger,
        verifier: Verifier,
        site: Site,
        signer: PrivateKey,
        clock: Clock,
        outlet: Outlet,
    ) -> Self:
        """Go on where the last run stopped: with its orders, and waiting for what it waited for."""
        now_s, monotonic_s = clock.wall(), clock.monotonic()
        kept = await Kept.load(store)
        waiting = resumed(await journal.unfinished(store), kept, now_s, monotonic_s)
        for entry in waiting:
            if isinstance(entry.awaited, Flushed):
                site.flush(entry.awaited.job)
        # Whether these had gone out when the last run ended is not known; told twice does no harm.
        for answer in await journal.living_answers(store, now_s):
            outlet.answer(answer)
        return cls(
            store=store,
            ledger=ledger,
            verifier=verifier,
            site=site,
            signer=signer,
            clock=clock,
            outlet=outlet,
            kept=kept,
            waiting=waiting,
        )

    @property
    def kept(self) -> Kept:
        """The orders that stand."""
        return self._kept

    def trust(self, verifier: Verifier) -> None:
        """Judge by other keys from now on."""
        self._verifier = verifier

    def claimed_signer(self, lane: Lane, payload: bytes) -> str | None:
        """The trusted key that a message names, unverified; `None` = none that may speak in this lane."""
        return self._verifier.keys.claimed_signer(lane, payload)

    async def receive(
        self, lane: Lane, payload: bytes, *, retained: bool = False, arrived_s: float | None = None
    ) -> list[Answer]:
        """Take a message.

        Args:
            lane: where it came in.
            payload: the JWS bytes.
            retained: whether the broker had kept it.
            arrived_s: when it arrived by the wall clock; `None` = now.

        Returns:
            The answers so far; they have gone to the outlet too. None = it cannot be answered, or need not.
        """
        return list((await self._receive(lane, payload, retained=retained, arrived_s=arrived_s)).answers)

    async def receive_command(self, payload: bytes) -> list[Answer] | Refused:
        """Take a command that came without a topic (local HTTP).

        Returns:
            The answers so far, or why there can be none.
        """
        taken = await self._receive(self._verifier.keys.command_lane(payload), payload)
        if taken.answers:
            return list(taken.answers)
        return taken.refused or Refused(Reason.MALFORMED, "an empty message")

    async def _receive(
        self, lane: Lane, payload: bytes, *, retained: bool = False, arrived_s: float | None = None
    ) -> _Taken:
        if not payload:
            return _Taken()
        async with self._lock:
            now_s = self._clock.wall()
            held = self._kept.quota
            message = self._verifier.authenticate(
                lane, payload, now_s=now_s, held_hash=None if held is None else held.hash
            )
            match message:
                case HeldAlready():
                    return _Taken()
                case Refused():
                    taken = _Taken(refused=message)
                case Authentic():
                    arrived = now_s if arrived_s is None else arrived_s
                    async with self._store.transaction() as tx:
                        taken = await self._take(tx, message, retained=retained, arrived_s=arrived)
            self._tell(lane, payload, taken)
        return taken

    async def answers(self, jti: str) -> list[str]:
        """The answers (JWS) to a command so far, from the store."""
        return await journal.answers_by_jti(self._store, jti)

    async def tick(self) -> None:
        """Answer the commands that have come to an end; to be called about once a second."""
        async with self._lock:
            await self._answer_ended()
            monotonic_s = self._clock.monotonic()
            if monotonic_s >= self._next_prune_s and self._site.clock_trusted():
                async with self._store.transaction() as tx:
                    await journal.prune(tx, self._clock.wall())
                self._next_prune_s = monotonic_s + _PRUNE_EVERY_S

    async def _answer_ended(self) -> None:
        monotonic_s = self._clock.monotonic()
        outcomes = [(entry, entry.outcome(self._site, monotonic_s)) for entry in self._waiting]
        ended = [(entry, outcome) for entry, outcome in outcomes if outcome is not None]
        if not ended:
            return
        async with self._store.transaction() as tx:
            answers = [await self._answer(tx, entry.kid, entry.jti, outcome) for entry, outcome in ended]
            for answer in answers:
                await journal.add_answer(tx, answer)
        self._waiting = [entry for entry, outcome in outcomes if outcome is None]
        for answer in answers:
            self._outlet.answer(answer)

    async def _take(self, tx: Transaction, message: Authentic, *, retained: bool, arrived_s: float) -> _Taken:
        known = None if message.jti is None else await journal.known_hash(tx, message.kid, message.jti)
        admitted = self._verifier.admit(message, retained=retained, known_hash=known, facts=self._facts())
        match admitted:
            case Refused():
                return await self._refuse(tx, message, admitted)
            case Repeated(kid=kid, jti=jti):
                return _Taken(answers=await journal.answers_to(tx, kid, jti))
            case Admitted():
                last = await journal.last_seq(tx, message.kid, message.lane.typ)
                if message.lane is Lane.LEASE:
                    self._measure_clock(message.kid, admitted, last, arrived_s)
                return await self._take_admitted(tx, admitted, last)

    async def _take_admitted(self, tx: Transaction, admitted: Admitted, last_seq: int | None) -> _Taken:
        message = admitted.authentic
        verdict = self._verifier.decide(admitted, last_seq=last_seq, facts=self._facts())
        now_s = self._clock.wall()
        match verdict:
            case Refused():
                return await self._refuse(tx, message, verdict, exp=admitted.common.exp)
            case HearLease():
                await journal.take_seq(tx, message.kid, message.lane.typ, verdict.seq)
                return await self._hear(tx, verdict)
            case TakeQuota(jti=jti, seq=seq, quota=quota):
                execution, op, exp = take_quota(verdict, self._kept, self._site, now_s), "quota", quota.exp
            case Command(jti=jti, seq=seq, exp=exp):
                execution, op = execute(verdict, self._kept, self._site, now_s), verdict.op.value
        await journal.take_seq(tx, message.kid, message.lane.typ, seq)
        await journal.add_message(tx, message.envelope, jti=jti, exp=exp, op=op)
        answers = [await self._answer(tx, message.kid, jti, outcome) for outcome in execution.outcomes]
        for answer in answers:
            await journal.add_answer(tx, answer)
        await execution.kept.save(self._kept, tx)
        if execution.audit is not None:
            await self._ledger.append([execution.audit], tx=tx)
        if isinstance(verdict, TakeQuota):
            return _Taken(answers, execution=execution)
        waiting = [entry.after(verdict.op) for entry in self._waiting]
        if execution.awaited is not None:
            deadline_s = self._clock.monotonic() + patience_s(execution.awaited)
            waiting.append(Waiting(verdict.kid, jti, verdict.op, execution.awaited, deadline_s))
        return _Taken(answers, execution=execution, waiting=waiting)

    async def _hear(self, tx: Transaction, heard: HearLease) -> _Taken:
        """A lease counts only for the revision held; one that does not is not kept for later."""
        quota, now_s = self._kept.quota, self._clock.wall()
        if quota is None or heard.rev != quota.rev or now_s >= quota.exp:
            return _Taken()
        lease = Lease(heard.rev, heard.iat, heard.exp, self._clock.boot_id(), self._clock.boottime(), now_s)
        before = self._kept.lease
        # Of two dispatchers' leases the one that was signed later keeps the site alive for longer.
        newest = before is None or before.boot_id != lease.boot_id or lease.iat >= before.iat
        kept = replace(self._kept, lease=lease) if newest else self._kept
        await kept.save(self._kept, tx)
        return _Taken(execution=Execution(kept, (), lambda: self._site.lease_counted(lease)))

    async def _refuse(
        self, tx: Transaction, message: Authentic, refused: Refused, *, exp: int | None = None
    ) -> _Taken:
        if refused.uses_seq is not None:
            await journal.take_seq(tx, message.kid, message.lane.typ, refused.uses_seq)
            # Only these: no broker can bring one of them twice, so only the key's owner fills the ledger.
            await self._ledger.append([refusal(message, refused, self._clock.wall())], tx=tx)
        if refused.jti is None or message.lane is Lane.LEASE:
            return _Taken(refused=refused)
        outcome = Outcome.rejected(refused.reason, refused.detail)
        answer = await self._answer(tx, message.kid, refused.jti, outcome)
        if refused.kept and exp is not None and exp + journal.KEPT_AFTER_EXP_S > self._clock.wall():
            op = "quota" if message.lane is Lane.QUOTA else "refused"
            await journal.add_message(tx, message.envelope, jti=refused.jti, exp=exp, op=op)
            await journal.add_answer(tx, answer)
        return _Taken([answer], refused=refused)

    async def _answer(self, tx: Transaction, kid: str, jti: str, outcome: Outcome) -> Answer:
        now_s = self._clock.wall()
        seq = await journal.next_answer_seq(tx, self._signer.kid, now_s)
        return compose(
            outcome, site=self._verifier.site, key=self._signer, kid=kid, jti=jti, seq=seq, now_s=now_s
        )

    def _tell(self, lane: Lane, payload: bytes, taken: _Taken) -> None:
        if taken.refused is not None:
            self._outlet.refused(lane.value, taken.refused.reason.value)
            line = self._lines.line(lane, taken.refused, self._clock.monotonic())
            if line is not None:
                _log.warning("order refused", **line)
            event = self._news.event(lane, payload, taken.refused, self._clock.wall())
            if event is not None:
                self._outlet.event(event)
        if taken.execution is not None:
            self._kept = taken.execution.kept
        if taken.waiting is not None:
            self._waiting = taken.waiting
        for answer in taken.answers:
            self._outlet.answer(answer)
        if taken.execution is not None:
            taken.execution.effect()

    def _measure_clock(self, kid: str, lease: Admitted, last_seq: int | None, arrived_s: float) -> None:
        """Let every lease measure the clock once: repeats would only push better measurements out."""
        seq = lease.common.seq
        if seq > max(last_seq or 0, self._measured_seqs.get(kid, 0)):
            self._measured_seqs[kid] = seq
            self._site.lease_seen(lease.common.iat, arrived_s)

    def _facts(self) -> Facts:
        kept, now_s = self._kept, self._clock.wall()
        hold = kept.hold
        if hold is not None and hold.until is not None and hold.until <= now_s:
            hold = None
        return Facts(
            now_s=now_s,
            clock_trusted=self._site.clock_trusted(),
            held_rev=0 if kept.quota is None else kept.quota.rev,
            hold_w=None if hold is None else hold.limit_w,
            present_limit_w=self._site.present_limit_w(),
            contract_max_w=self._site.contract_max_w(),
            knows_device=self._site.knows_device,
            restart_obstacle=self._site.restart_obstacle,
            objection=self._site.objection,
        )
