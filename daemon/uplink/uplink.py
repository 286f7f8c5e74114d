"""Delivers the ledger until every record has a receipt, for ever."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import httpx2
import structlog

from daemon.clock import Clock, Entropy
from daemon.config.settings import Settlement
from daemon.errors import StoreError
from daemon.ledger import EpochReason, EpochState, Head, Ledger, event, storage_loss
from daemon.signing import PrivateKey, PublicKey
from daemon.uplink.answers import Later, Missing, Refused, Taken, TooLarge, Unauthorized, Verdict, judge
from daemon.uplink.backoff import delay_s
from daemon.uplink.client import ExchangeClient, UnreachableError
from daemon.uplink.delivery import MAX_RECORDS, Delivery, pack
from daemon.uplink.heads import ExchangeHead, Standing, compare, read_head
from daemon.uplink.receipts import ReceiptError, read_receipt

_log = structlog.get_logger(__name__)


class UplinkAlarm(StrEnum):
    """What can be wrong between the ledger and the exchange; also the alarm's type."""

    UNREACHABLE = "exchange-unreachable"
    UNAUTHORIZED = "exchange-unauthorized"
    REFUSED = "ledger-refused"
    RESTORED = "exchange-restored"
    """It lacks records that it has acknowledged; they are sent again."""
    RECEIPT = "receipt-invalid"
    UNEXPECTED = "exchange-unexpected"
    """An answer that the contract does not know."""


COMPARE_EVERY_S = 3600.0
"""Between two comparisons of the heads, while nothing else asks for one."""

_PASSING = (
    UplinkAlarm.UNREACHABLE,
    UplinkAlarm.UNAUTHORIZED,
    UplinkAlarm.RECEIPT,
    UplinkAlarm.UNEXPECTED,
    UplinkAlarm.REFUSED,
)
"""Over with the next receipt."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """Nothing more can be done now."""

    retry_after_s: float | None = None


class _Step(StrEnum):
    ON = "on"
    """Something was done; go on at once."""
    IDLE = "idle"
    """Everything has its receipt."""


class Uplink:
    """The only deliverer of a ledger. Records leave the backlog by verified receipts alone."""

    def __init__(
        self,
        ledger: Ledger,
        http: httpx2.AsyncClient,
        settings: Settlement,
        key: PrivateKey,
        clock: Clock,
        entropy: Entropy,
        offset_s: float = 0.0,
    ) -> None:
        """Deliver `ledger` through `http`, which its owner closes.

        Args:
            ledger: what is delivered.
            http: the way to the exchange.
            settings: where it is, and whose receipts count.
            key: the site's.
            clock: both clocks are used.
            entropy: for back-offs and request ids.
            offset_s: how long new records wait, so that many sites do not upload in the same second.
        """
        self._offset_s = offset_s
        self._ledger = ledger
        self._client = ExchangeClient(http, settings, ledger.site, key, clock, entropy)
        self._receipt_keys = {each.kid: PublicKey.from_jwk(each.kid, each.jwk) for each in settings.keys}
        self._own_key = key.public()
        self._clock = clock
        self._entropy = entropy
        self._compared = False
        """Whether heads were compared since the last connection, and within `COMPARE_EVERY_S`."""
        self._compared_s = clock.monotonic()
        self._resend: dict[int, int] = {}
        """By epoch: next of the records to send again though they were acknowledged."""
        self._replacements: set[int] = set()
        self._most = MAX_RECORDS
        self._alarms: dict[UplinkAlarm, str] = {}

    @property
    def alarms(self) -> Mapping[UplinkAlarm, str]:
        """What is wrong now, with what to tell the operator."""
        return self._alarms

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
                self._alarm(UplinkAlarm.UNREACHABLE, f"the exchange does not answer: {error}")
                step = _Wait()
            except StoreError as error:
                _log.debug("delivery waits for the disk", error=str(error))
                step = _Wait()
            match step:
                case _Step.ON:
                    failures = 0
                case _Step.IDLE:
                    failures = 0
                    await self._idle()
                case _Wait(retry_after_s):
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

    async def _step(self) -> _Step | _Wait:
        await self._ledger.refresh()
        if self._ledger.damage is not None:
            return _Wait()  # the ledger's own alarm tells it
        if self._clock.monotonic() - self._compared_s >= COMPARE_EVERY_S:
            self._compared = False
        if not self._compared:
            return await self._compare()
        delivery = await self._next()
        if delivery is None:
            return _Step.IDLE
        answer = await self._client.put(delivery)
        return await self._heed(judge(answer, self._clock.wall()), delivery)

    async def _heed(self, verdict: Verdict, delivery: Delivery) -> _Step | _Wait:
        step: _Step | _Wait
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
                step = self._unauthorized(verdict)
            case Later():
                step = self._later(verdict)
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

    async def _take(self, taken: Taken, delivery: Delivery) -> _Step | _Wait:
        try:
            receipt = read_receipt(
                taken.body,
                taken.content_type,
                site=self._ledger.site,
                epoch=delivery.epoch,
                last=delivery.last,
                keys=self._receipt_keys,
            )
            own_hash = await self._ledger.hash_of(receipt.epoch, receipt.through_seq)
            receipt.check_hash(own_hash)
        except ReceiptError as error:
            self._alarm(UplinkAlarm.RECEIPT, f"records are not acknowledged: {error}")
            return _Wait()
        await self._ledger.store_receipt(receipt.epoch, receipt.through_seq, receipt.jws)
        _log.debug("receipt", epoch=receipt.epoch, through_seq=receipt.through_seq)
        self._resent(delivery.epoch, delivery.last)
        self._most = min(MAX_RECORDS, self._most * 2)
        for alarm in _PASSING:
            self._clear(alarm)
        return _Step.ON

    def _resent(self, epoch: int, last: int) -> None:
        state = self._state_of(epoch)
        if epoch in self._resend:
            self._resend[epoch] = last + 1
            if state is None or last >= state.acked_seq:
                del self._resend[epoch]
        if not self._resend:
            self._clear(UplinkAlarm.RESTORED)

    async def _missing(self, missing: Missing, delivery: Delivery) -> _Step | _Wait:
        """The exchange wants other records first."""
        state = self._state_of(missing.epoch)
        if state is None or missing.seq > state.sendable_seq + 1:
            return await self._compare()
        if missing.epoch > delivery.epoch:
            # It never had this epoch and has gone past it.
            self._resend.pop(delivery.epoch, None)
            return await self._replace(delivery.epoch, f"it has no epoch {delivery.epoch}")
        if (missing.epoch, missing.seq) == (delivery.epoch, delivery.first):
            self._alarm(UplinkAlarm.UNEXPECTED, "the exchange asks for the very records that it was sent")
            return _Wait()
        if missing.seq <= state.last_seq and await self._ledger.hash_of(missing.epoch, missing.seq) is None:
            where = f"{missing.epoch}/{missing.seq}"
            self._alarm(
                UplinkAlarm.UNEXPECTED, f"the exchange asks for record {where}, which is kept no more"
            )
            return _Wait()
        self._resend[missing.epoch] = missing.seq
        if missing.seq <= state.acked_seq:
            await self._compare_all()
        return _Step.ON

    async def _refused(self, refused: Refused, delivery: Delivery) -> _Step | _Wait:
        """These records will never be taken: begin anew, once."""
        self._resend.pop(delivery.epoch, None)
        return await self._replace(delivery.epoch, refused.text)

    async def _replace(self, epoch: int, why: str) -> _Step | _Wait:
        text = f"the exchange refuses epoch {epoch}: {why}"
        self._alarm(UplinkAlarm.REFUSED, text)
        state = self._state_of(epoch)
        if epoch in self._replacements and (state is None or state.acked_seq == 0):
            return _Wait()  # a fresh epoch is refused as well: another would not help
        detail = {"alarm": UplinkAlarm.REFUSED.value, "epoch": epoch, "text": why}
        self._replacements.add(await self._ledger.open_epoch(EpochReason.FORK, supersede=True))
        await self._ledger.append([event(self._clock.wall(), "alarm", detail)])
        return _Step.ON

    def _too_large(self, delivery: Delivery) -> _Step | _Wait:
        count = delivery.last - delivery.first + 1
        if count > 1:
            self._most = count // 2
            return _Step.ON
        self._alarm(UplinkAlarm.UNEXPECTED, f"the exchange finds record {delivery.first} alone too large")
        return _Wait()

    def _unauthorized(self, answer: Unauthorized) -> _Wait:
        self._alarm(
            UplinkAlarm.UNAUTHORIZED,
            f"the exchange does not accept this site's key {self._own_key.kid}: {answer.text}; "
            "is the key registered, the audience right and the clock set?",
        )
        return _Wait(answer.retry_after_s)

    def _later(self, answer: Later) -> _Wait:
        alarm = UplinkAlarm.UNREACHABLE if answer.expected else UplinkAlarm.UNEXPECTED
        self._alarm(alarm, f"the exchange takes no records now: {answer.text}")
        return _Wait(answer.retry_after_s)

    # --- comparing heads ---

    async def _compare(self) -> _Step | _Wait:
        """Hold the exchange's newest head against our ledger, at a start and when something is missing."""
        theirs = await self._head(None)
        if isinstance(theirs, _Wait):
            return theirs
        head = theirs.head
        # An exchange that holds nothing lacks whatever it has ever acknowledged.
        acked = [state for state in self._ledger.epochs if state.acked_seq > 0]
        ours = self._state_of(head.epoch) if head.seq else (acked[-1] if acked else None)
        standing = compare(theirs, ours, await self._ledger.hash_of(head.epoch, head.seq))
        again, self._compared = self._compared, True
        self._compared_s = self._clock.monotonic()
        match standing:
            case Standing.BEHIND:
                await self._compare_all()
            case Standing.EQUAL | Standing.EMPTY:
                return _Wait() if again else _Step.ON
            case Standing.FOREIGN:
                await self._storage_lost(head)
            case Standing.AHEAD:
                await self._reopen(EpochReason.RESTORE, head, "it holds records that this store has not")
            case Standing.FORKED:
                await self._reopen(EpochReason.FORK, head, "it holds other records of this site")
            case Standing.UNBELIEVABLE:
                where = f"{head.epoch}/{head.seq}"
                self._alarm(UplinkAlarm.UNEXPECTED, f"the exchange shows a head {where} that we never signed")
                return _Wait() if again else _Step.ON
            case _:
                assert_never(standing)
        return _Step.ON

    async def _head(self, epoch: int | None) -> ExchangeHead | _Wait:
        answer = await self._client.head(epoch)
        if answer.status == 200:
            theirs = read_head(answer.body, self._ledger.site, self._own_key)
            if theirs is not None:
                return theirs
        verdict = judge(answer, self._clock.wall())
        if isinstance(verdict, Unauthorized):
            return self._unauthorized(verdict)
        if isinstance(verdict, Later):
            return self._later(verdict)
        self._alarm(UplinkAlarm.UNEXPECTED, f"the exchange's head cannot be read (status {answer.status})")
        return _Wait()

    async def _compare_all(self) -> None:
        """The exchange was restored from a backup: find in every epoch what it lacks, and send it again."""
        for state in self._ledger.epochs:
            if state.acked_seq == 0:
                continue
            theirs = await self._head(state.epoch)
            if not isinstance(theirs, _Wait) and theirs.head.seq < state.acked_seq:
                self._resend[state.epoch] = theirs.head.seq + 1
        if self._resend:
            which = ", ".join(f"{epoch} from {seq}" for epoch, seq in sorted(self._resend.items()))
            self._alarm(
                UplinkAlarm.RESTORED, f"the exchange lacks records that it has acknowledged: epoch {which}"
            )

    async def _storage_lost(self, head: Head) -> None:
        """It knows an epoch that our store does not: the store was lost or replaced."""
        unsent = [state for state in self._ledger.epochs if state.acked_seq < state.sendable_seq]
        if all(state.epoch > head.epoch for state in (*unsent, self._ledger.epochs[-1])):
            # Ours come after it, so they will be taken as they are.
            await self._ledger.append([storage_loss(self._clock.wall(), head.epoch, head.seq, head.hash)])
            _log.warning("the exchange holds an epoch that this store does not", epoch=head.epoch)
            return
        await self._reopen(EpochReason.STORAGE_LOSS, head, "it holds an epoch that this store has not")

    async def _reopen(self, reason: EpochReason, head: Head, why: str) -> None:
        self._alarm(UplinkAlarm.REFUSED, f"a new epoch is opened ({reason.value}): {why}")
        lost = None if reason is EpochReason.FORK else head
        epoch = await self._ledger.open_epoch(
            reason, newest_known=head.epoch, before=head, supersede=True, lost=lost
        )
        self._replacements.add(epoch)

    # --- alarms ---

    def _alarm(self, alarm: UplinkAlarm, text: str) -> None:
        # Whoever shows `alarms` tells the operator, once; here it is for whoever debugs.
        if alarm not in self._alarms:
            _log.debug(text, alarm=alarm.value)
        self._alarms[alarm] = text

    def _clear(self, alarm: UplinkAlarm) -> None:
        if self._alarms.pop(alarm, None) is not None:
            _log.debug("over", alarm=alarm.value)
