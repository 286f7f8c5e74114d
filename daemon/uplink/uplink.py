"""Delivers the ledger until every record has a receipt, for ever."""

import asyncio
from collections.abc import Mapping
from typing import assert_never

import httpx2
import structlog

from daemon.clock import Clock, Entropy
from daemon.config.settings import Settlement
from daemon.errors import StoreError
from daemon.ledger import Beginning, EpochReason, EpochState, Head, Ledger, event, storage_loss
from daemon.signing import PublicKey
from daemon.uplink.alarms import UplinkAlarm, UplinkAlarms
from daemon.uplink.answers import Later, Missing, Refused, Taken, TooLarge, Unauthorized, Verdict
from daemon.uplink.backoff import delay_s
from daemon.uplink.client import ExchangeClient, UnreachableError
from daemon.uplink.correspondence import Correspondence
from daemon.uplink.delivery import MAX_RECORDS, Delivery, pack
from daemon.uplink.heads import Standing, compare
from daemon.uplink.owed import OwedReceipts
from daemon.uplink.receipts import ReceiptError
from daemon.uplink.steps import Outcome, Step, Wait

_log = structlog.get_logger(__name__)

COMPARE_EVERY_S = 3600.0
"""Between two comparisons of the heads, while nothing else asks for one."""


class Uplink:
    """The only deliverer of a ledger. Records leave the backlog by verified receipts alone."""

    def __init__(
        self,
        ledger: Ledger,
        http: httpx2.AsyncClient,
        settings: Settlement,
        clock: Clock,
        entropy: Entropy,
        offset_s: float = 0.0,
    ) -> None:
        """Deliver `ledger` through `http`, which its owner closes.

        Args:
            ledger: what is delivered.
            http: the way to the exchange.
            settings: where it is, and whose receipts count.
            clock: both clocks are used.
            entropy: for back-offs and request ids.
            offset_s: how long new records wait, so that many sites do not upload in the same second.
        """
        self._offset_s = offset_s
        self._ledger = ledger
        self._client = ExchangeClient(http, settings, ledger.site, lambda: ledger.known_key, clock, entropy)
        self._clock = clock
        self._entropy = entropy
        self._compared = False
        """Whether heads were compared since the last connection, and within `COMPARE_EVERY_S`."""
        self._compared_s = clock.monotonic()
        self._resend: dict[int, int] = {}
        """By epoch: next of the records to send again though they were acknowledged."""
        self._beyond_repair: set[int] = set()
        """Epochs that the exchange has acknowledged and lost, and will not take again."""
        self._known: set[int] = set()
        """Epochs that were there when heads were compared last."""
        self._replacements: set[int] = set()
        self._most = MAX_RECORDS
        self._alarms = UplinkAlarms()
        keys = {each.kid: PublicKey.from_jwk(each.kid, each.jwk) for each in settings.keys}
        self._exchange = Correspondence(ledger, self._client, keys, clock, self._alarms)
        self._owed = OwedReceipts(ledger, self._exchange, self._alarms)

    @property
    def alarms(self) -> Mapping[UplinkAlarm, str]:
        """What is wrong now, with what to tell the operator."""
        return self._alarms.standing

    async def run(self) -> None:
        """Deliver until cancelled."""
        failures = 0
        await asyncio.sleep(self._offset_s)
        while True:
            self._ledger.changed.clear()
            try:
                step = await self._step()
            except UnreachableError as error:
                self._compared = False
                self._alarms.sound(UplinkAlarm.UNREACHABLE, f"the exchange does not answer: {error}")
                step = Wait()
            except StoreError as error:
                _log.debug("delivery waits for the disk", error=str(error))
                step = Wait()
            match step:
                case Step.ON:
                    failures = 0
                case Step.IDLE:
                    failures = 0
                    await self._idle()
                case Wait(retry_after_s):
                    failures += 1
                    await asyncio.sleep(delay_s(failures, retry_after_s, self._entropy))
                case _:
                    assert_never(step)

    async def _idle(self) -> None:
        """Until there are new records, or heads are to be compared."""
        due_s = self._compared_s + COMPARE_EVERY_S - self._clock.monotonic()
        try:
            async with asyncio.timeout(max(due_s, 0.0)):
                await self._ledger.changed.wait()
        except TimeoutError:
            self._compared = False
            return
        await asyncio.sleep(self._offset_s)

    async def _step(self) -> Outcome:
        await self._ledger.refresh()
        if self._ledger.damage is not None:
            return Wait()  # the ledger's own alarm tells it
        if self._clock.monotonic() - self._compared_s >= COMPARE_EVERY_S:
            self._compared = False
        if not self._compared:
            return await self._compare()
        delivery = await self._next()
        if delivery is None:
            return Step.IDLE
        if delivery.first == 1 and delivery.epoch not in self._known | self._replacements:
            # Once it has this epoch it takes no older one that it has lost: heads are compared first.
            self._compared = False
            return await self._compare()
        return await self._heed(await self._exchange.put(delivery), delivery)

    async def _heed(self, verdict: Verdict, delivery: Delivery) -> Outcome:
        step: Outcome
        match verdict:
            case Taken():
                step = await self._take(verdict, delivery)
            case Missing():
                step = await self._missing(verdict, delivery)
            case Refused():
                step = await self._refused(verdict, delivery)
            case TooLarge():
                step = self._too_large(delivery)
            case Unauthorized():
                step = self._exchange.unauthorized(verdict)
            case Later():
                # It may come back as an older backup has it.
                self._compared = False
                step = self._exchange.later(verdict)
            case _:
                assert_never(verdict)
        return step

    # --- what to send ---

    async def _next(self) -> Delivery | None:
        """Acknowledged records that the exchange lost, then the backlog, the oldest epoch first."""
        for state in self._ledger.epochs:
            first = self._resend.get(state.epoch, state.acked_seq + 1)
            count = min(state.sendable_seq - first + 1, self._most)
            if count > 0:
                return pack(await self._ledger.records(state.epoch, first, count))
        return None

    def _state_of(self, epoch: int) -> EpochState | None:
        return next((state for state in self._ledger.epochs if state.epoch == epoch), None)

    # --- answers ---

    async def _take(self, taken: Taken, delivery: Delivery) -> Outcome:
        try:
            await self._exchange.store_receipt(taken, delivery)
        except ReceiptError as error:
            self._alarms.sound(UplinkAlarm.RECEIPT, f"records are not acknowledged: {error}")
            return Wait()
        self._resent(delivery.epoch, delivery.last)
        self._most = min(MAX_RECORDS, self._most * 2)
        return Step.ON

    def _resent(self, epoch: int, last: int) -> None:
        state = self._state_of(epoch)
        if epoch in self._resend:
            self._resend[epoch] = last + 1
            if state is None or last >= state.acked_seq:
                del self._resend[epoch]
        if not self._resend and not self._beyond_repair:
            self._alarms.clear(UplinkAlarm.RESTORED)

    async def _gone_past(self, epoch: int) -> Outcome:
        """It does not have this epoch, and has gone past it."""
        owed = await self._owed.collect()
        if owed is not None:
            return owed
        if self._resend.pop(epoch, None) is None:
            return await self._replace(epoch, f"it has no epoch {epoch}")
        # It has acknowledged it, and lost it since: only people can bring it back.
        self._beyond_repair.add(epoch)
        which = ", ".join(map(str, sorted(self._beyond_repair)))
        text = f"the exchange has lost epoch {which}, which it has acknowledged, and takes it no more: "
        self._alarms.sound(UplinkAlarm.RESTORED, f"{text}show it the ledger with its receipts")
        return Step.ON

    async def _missing(self, missing: Missing, delivery: Delivery) -> Outcome:
        """The exchange wants other records first."""
        state = self._state_of(missing.epoch)
        if state is None or missing.seq > state.sendable_seq + 1:
            return await self._compare()
        if missing.epoch > delivery.epoch:
            return await self._gone_past(delivery.epoch)
        if (missing.epoch, missing.seq) == (delivery.epoch, delivery.first):
            text = "the exchange asks for the very records that it was sent"
            self._alarms.sound(UplinkAlarm.UNEXPECTED, text)
            return Wait()
        if missing.seq <= state.last_seq and await self._ledger.hash_of(missing.epoch, missing.seq) is None:
            text = f"the exchange asks for record {missing.epoch}/{missing.seq}, which is kept no more"
            self._alarms.sound(UplinkAlarm.UNEXPECTED, text)
            return Wait()
        self._resend[missing.epoch] = missing.seq
        if missing.seq <= state.acked_seq:
            await self._compare_all()
        return Step.ON

    async def _refused(self, refused: Refused, delivery: Delivery) -> Outcome:
        """These records will never be taken: begin anew, once."""
        owed = await self._owed.collect()
        if owed is not None:
            return owed
        self._resend.pop(delivery.epoch, None)
        return await self._replace(delivery.epoch, refused.text)

    async def _replace(self, epoch: int, why: str) -> Outcome:
        text = f"the exchange refuses epoch {epoch}: {why}"
        self._alarms.sound(UplinkAlarm.REFUSED, text)
        state = self._state_of(epoch)
        if epoch in self._replacements and (state is None or state.acked_seq == 0):
            return Wait()  # a fresh epoch is refused as well: another would not help
        detail = {"alarm": UplinkAlarm.REFUSED.value, "epoch": epoch, "text": why}
        self._replacements.add(await self._ledger.open_epoch(Beginning(EpochReason.FORK, supersede=True)))
        await self._ledger.append([event(self._clock.wall(), "alarm", detail)])
        return Step.ON

    def _too_large(self, delivery: Delivery) -> Outcome:
        count = delivery.last - delivery.first + 1
        if count > 1:
            self._most = count // 2
            return Step.ON
        text = f"the exchange finds record {delivery.first} alone too large"
        self._alarms.sound(UplinkAlarm.UNEXPECTED, text)
        return Wait()

    # --- comparing heads ---

    async def _compare(self) -> Outcome:
        """Hold the exchange's newest head against our ledger, at a start and when something is missing."""
        theirs = await self._exchange.head(None)
        if isinstance(theirs, Wait):
            return theirs
        head = theirs.head
        # An exchange that holds nothing lacks whatever it has ever acknowledged.
        acked = [state for state in self._ledger.epochs if state.acked_seq > 0]
        ours = self._state_of(head.epoch) if head.seq else (acked[-1] if acked else None)
        standing = compare(theirs, ours, await self._ledger.hash_of(head.epoch, head.seq))
        if standing is Standing.EQUAL and any(state.epoch != head.epoch for state in acked):
            # The newest head tells nothing of what it has lost of another epoch.
            standing = Standing.BEHIND
        again, self._compared = self._compared, True
        self._compared_s = self._clock.monotonic()
        self._known = {state.epoch for state in self._ledger.epochs}
        step: Outcome = Wait() if again else Step.ON
        match standing:
            case Standing.BEHIND:
                await self._compare_all()
                step = Step.ON if self._resend else step
            case Standing.EQUAL | Standing.EMPTY:
                pass
            case Standing.FOREIGN:
                step = await self._storage_lost(head)
            case Standing.AHEAD:
                why = "it holds records that this store has not"
                step = await self._reopen(EpochReason.RESTORE, head, why)
            case Standing.FORKED:
                step = await self._reopen(EpochReason.FORK, head, "it holds other records of this site")
            case Standing.UNBELIEVABLE:
                where = f"{head.epoch}/{head.seq}"
                text = f"the exchange shows a head {where} that we never signed"
                self._alarms.sound(UplinkAlarm.UNEXPECTED, text)
            case _:
                assert_never(standing)
        return step

    async def _compare_all(self) -> None:
        """The exchange was restored from a backup: find in every epoch what it lacks, and send it again."""
        for state in self._ledger.epochs:
            if state.acked_seq == 0:
                continue
            theirs = await self._exchange.head(state.epoch)
            if not isinstance(theirs, Wait) and theirs.head.seq < state.acked_seq:
                self._resend[state.epoch] = theirs.head.seq + 1
        if self._resend:
            which = ", ".join(f"{epoch} from {seq}" for epoch, seq in sorted(self._resend.items()))
            text = f"the exchange lacks records that it has acknowledged: epoch {which}"
            self._alarms.sound(UplinkAlarm.RESTORED, text)

    async def _storage_lost(self, head: Head) -> Outcome:
        """It knows an epoch that our store does not: the store was lost or replaced."""
        unsent = [state for state in self._ledger.epochs if state.acked_seq < state.sendable_seq]
        if all(state.epoch > head.epoch for state in (*unsent, self._ledger.epochs[-1])):
            # Ours come after it, so they will be taken as they are.
            await self._ledger.append([storage_loss(self._clock.wall(), head.epoch, head.seq, head.hash)])
            _log.warning("the exchange holds an epoch that this store does not", epoch=head.epoch)
            return Step.ON
        return await self._reopen(EpochReason.STORAGE_LOSS, head, "it holds an epoch that this store has not")

    async def _reopen(self, reason: EpochReason, head: Head, why: str) -> Outcome:
        self._compared = False
        owed = await self._owed.collect()
        if owed is not None:
            return owed
        self._compared = True
        self._alarms.sound(UplinkAlarm.REFUSED, f"a new epoch is opened ({reason.value}): {why}")
        lost = None if reason is EpochReason.FORK else head
        epoch = await self._ledger.open_epoch(
            Beginning(reason, newest_known=head.epoch, before=head, supersede=True, lost=lost)
        )
        self._replacements.add(epoch)
        return Step.ON
